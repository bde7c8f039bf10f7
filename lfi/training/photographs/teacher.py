"""The teacher for photographs: a CoCa whose image tower is locked, and whose words are trained to point.

Each stage leaves its files in the runs folder and is not done again: images (`bank/`), features (`features/`),
explanations (`guides/`), checkpoints (`teacher/`).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lfi.data.names import IMAGENET_NAMES
from lfi.errors import ConfigError
from lfi.teachers import save_teacher
from lfi.teachers.names import Names, NameTokenizer
from lfi.training.cards import read_object
from lfi.training.config import LoopConfig
from lfi.training.loop import train
from lfi.training.photographs.bank import Part, Truth, assemble
from lfi.training.photographs.evidence import EvidenceConfig, EvidenceTask
from lfi.training.photographs.guides import MOST_GUIDES, Guides
from lfi.training.photographs.sentences import NamedImages, PartFeatures
from lfi.training.photographs.trunk import CHUNK, GRID, Features, Stages, pretrained, save_whole
from lfi.writing import write_json

USED = {"canvases": 24_000, "pasted": 16_000, "pacs": None, "samples": None, "tiny": 40_000}
"""Images of every part whose features are computed; None for all."""
EXPLAINED = {"canvases": 8_000, "pasted": 6_000, "tiny": 10_000}
"""Of those, how many are explained, which takes longest; the others teach by their labels."""
SHARES = {"canvases": 28, "pasted": 20, "pacs": 12, "samples": 8, "tiny": 28}
STEPS = 1000
CONTEXT = 32
PARTS = ("held-out", "pacs", "samples", "tiny", "canvases", "pasted")


@dataclass(frozen=True)
class Sources:
    """Where the data lie and where work is kept."""

    tiny: Path
    pacs: Path
    samples: Path
    runs: Path

    def record(self) -> dict[str, str]:
        """Each folder of data and how many files it holds, by option."""
        folders = {"--tiny-imagenet": self.tiny, "--pacs": self.pacs, "--samples": self.samples}
        counts = {name: sum(len(files) for *_, files in os.walk(folder)) for name, folder in folders.items()}
        return {name: f"{folder.resolve()} (files: {counts[name]:,})" for name, folder in folders.items()}

    def check(self, path: Path) -> None:
        """Refuse other data than those that the bank was composed of; without a record at `path`, it was of these.

        Raises:
            ConfigError: it says which differ.
        """
        now = self.record()
        if not path.is_file():
            write_json(path, now)
        for option, then in read_object(path).items():
            if then != now.get(option):
                raise ConfigError(
                    f"{self.runs} was begun with {option} {then}, and it is {now.get(option)} now; choose another "
                    "folder with --runs, or start over with --fresh"
                )


def images(sources: Sources, names: Names) -> dict[str, Part]:
    """The parts, composed once and then read from `bank/`.

    Raises:
        ConfigError: they were composed of other data.
        DataError: data are missing.
    """
    folder = sources.runs / "bank"
    if all((folder / f"{name}.npz").exists() for name in PARTS):
        sources.check(folder / "sources.json")
    else:
        made = assemble(names, sources.tiny, sources.pacs, sources.samples)
        write_json(folder / "sources.json", sources.record())
        for part in made.values():
            arrays = {"images": part.images, "labels": part.labels, "regions": part.regions}
            arrays |= {} if part.boxes is None else {"boxes": part.boxes}
            save_whole(folder / f"{part.name}.npz", **arrays)
    parts = {}
    for name in PARTS:
        with np.load(folder / f"{name}.npz") as held:
            boxes = held["boxes"] if "boxes" in held else None  # noqa: SIM401, an archive is not a dictionary
            part = Part(name, held["images"], held["labels"], held["regions"], boxes)
        parts[name] = part.take(np.arange(USED.get(name) or len(part)))
    return parts


def learn(sources: Sources, part: Part, guides: Guides) -> PartFeatures:
    """A part with its features and explanations, computed where they are missing."""
    features = Features(sources.runs / "features", part.name, len(part))
    features.fill(part.images)
    folder = sources.runs / "guides"
    folder.mkdir(parents=True, exist_ok=True)
    fifth, sixth = zip(*features, strict=True)
    chances = np.zeros((len(part), 1000), np.float16)
    maps = np.zeros((len(part), MOST_GUIDES, GRID * GRID), np.float16)
    chunks = range(-(-min(len(part), EXPLAINED.get(part.name, len(part))) // CHUNK))
    for number in tqdm(chunks, desc=f"explaining {part.name}", unit="k images", dynamic_ncols=True):
        path, rows = folder / f"{part.name}-{number:03d}.npz", slice(number * CHUNK, (number + 1) * CHUNK)
        if not path.exists():
            found = guides.explain_all(fifth[number], part.labels[rows], part.regions[rows])
            save_whole(path, chances=found[0], maps=found[1])
        with np.load(path) as held:
            chances[rows], maps[rows] = held["chances"], held["maps"]
    return PartFeatures(part, fifth, sixth, chances, maps)


def train_photo_teacher(
    sources: Sources, folder: Path, *, steps: int = STEPS, resume: bool = True, device: str = "cpu"
) -> None:
    """Train it and write it to `folder`, as `load_teacher` reads it, whole or not at all.

    Raises:
        DataError: data are missing.
        CheckpointError: the tower's weights are not installed.
    """
    names = Names.read(IMAGENET_NAMES)
    tokenizer = NameTokenizer(names, CONTEXT)
    classifier = pretrained()
    stages = Stages(classifier.to(memory_format=torch.channels_last))
    guides = Guides(stages, names)
    parts = {name: learn(sources, part, guides) for name, part in images(sources, names).items() if name in SHARES}
    torch.manual_seed(0)
    task = EvidenceTask(EvidenceConfig(ids=len(tokenizer), context=CONTEXT))
    data = NamedImages(parts, SHARES, stages, tokenizer, Truth(names), steps)
    loop = LoopConfig(
        epochs=1,
        batch_size=sum(SHARES.values()),
        learning_rate=1.5e-3,
        log_every=20,
        checkpoint_every=200,
        evaluations=0,
        prefetch=0,
        autocast=True,
    )
    train(task, data, loop, sources.runs / "teacher", resume=resume, device=device, title="teacher for photographs")
    model = task.cpu().eval().model
    trunk = model.visual.trunk
    trunk.load_state_dict(
        {name: tensor for name, tensor in classifier.state_dict().items() if name in trunk.state_dict()}
    )
    card = {"name": "photographs CoCa", "default_layers": [0], "evidence": [task.scale.exp().item(), task.bias.item()]}
    part = folder.with_name(f"{folder.name}.part")
    save_teacher(
        part,
        model,
        task.config.model_config(),
        mean=[0.5] * 3,
        std=[0.5] * 3,
        dtype=torch.float16,
        card=card,
        names=names,
    )
    if folder.exists():
        shutil.rmtree(folder)
    part.replace(folder)
