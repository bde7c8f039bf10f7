"""Data in their stock layouts, a few noisy pictures each, and a teacher that has learned nothing of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.transfer import TransferSetup
from lfi.images import MEAN, STD
from lfi.teachers import save_teacher
from lfi.training.teacher import build_coca
from lfi.training.teacher_config import TeacherConfig


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> TransferSetup:
    """Four classes of TinyImageNet and two of PACS, a few noisy pictures each, in their stock layouts."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)

    def picture(path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(path)

    tiny, wnids = root / "tiny", {"n1": "goldfish", "n2": "bullfrog", "n3": "tailed frog", "n4": "pizza"}
    for wnid in wnids:
        for index in range(40):
            picture(tiny / "train" / wnid / "images" / f"{wnid}_{index}.JPEG")
        boxes = "".join(f"{wnid}_{index}.JPEG\t0\t0\t63\t63\n" for index in range(40))
        (tiny / "train" / wnid / f"{wnid}_boxes.txt").write_text(boxes)
    rows = [(f"val_{index}.JPEG", wnid) for index, wnid in enumerate([*wnids] * 3)]
    for name, _ in rows:
        picture(tiny / "val" / "images" / name)
    (tiny / "val" / "val_annotations.txt").write_text("".join(f"{name}\t{wnid}\t0\t0\t31\t31\n" for name, wnid in rows))
    (tiny / "wnids.txt").write_text("\n".join(wnids))
    (tiny / "words.txt").write_text("\n".join(f"{wnid}\t{name}" for wnid, name in wnids.items()))
    for domain in ("art_painting", "cartoon", "photo", "sketch"):
        for kind in ("dog", "horse"):
            for index in range(8):
                picture(root / "PACS" / domain / kind / f"{index}.jpg")
    for domain in ("Caltech101", "LabelMe", "SUN09", "VOC2007"):
        for kind in ("bird", "car"):
            for index in range(4):
                picture(root / "VLCS" / domain / "full" / kind / f"{index}.jpg")
    known = ("goldfish", "bullfrog", "tailed", "frog", "pizza", "dog", "horse", "bird", "car")
    teacher = untrained_teacher(root / "teacher", known)
    return TransferSetup(
        *("tiny", str(tiny), str(root / "PACS"), str(teacher), "static/models/scenes/teacher", str(root / "runs")),
        vlcs=str(root / "VLCS"),
    )


def untrained_teacher(folder: Path, words: tuple[str, ...]) -> Path:
    """A small CoCa that knows these words and has learned nothing of them."""
    config = TeacherConfig(width=32, layers=2, text_layers=1, decoder_layers=1, head_width=16)
    torch.manual_seed(0)
    model, card = build_coca(config, words), {"name": "photographs CoCa", "vocabulary": list(words)}
    save_teacher(folder, model, config.coca(words), mean=[MEAN] * 3, std=[STD] * 3, card=card)
    return folder
