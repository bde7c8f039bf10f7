"""Trios of the sizes that labs use, with random weights: how long a model takes does not depend on what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from lfi.comparison import MODELS
from lfi.data.scenes import CLASSES
from lfi.students import Student, StudentConfig
from lfi.teachers import CoCaTeacher, load_teacher, save_teacher
from lfi.teachers.loading import build
from lfi.training.default import TYPED
from lfi.training.trio import Members, own_card, write_trio


@dataclass(frozen=True)
class Size:
    """Architectures of a trio.

    Attributes:
        teacher: open_clip's configuration of a CoCa.
        backbone: timm's name of the vision transformer of both students.
        overrides: keyword arguments for `timm.create_model`.
        title: in words.
    """

    teacher: Mapping[str, Any]
    backbone: str
    title: str
    overrides: dict[str, Any] | None = None


def _coca_with_patches_of_16() -> dict[str, Any]:
    config = open_clip.get_model_config("coca_ViT-B-32")
    assert config is not None
    return {**config, "vision_cfg": {**config["vision_cfg"], "patch_size": 16}}


_COCA = _coca_with_patches_of_16()
SIZES = {
    "small": Size(_COCA, "vit_small_patch16_224", "CoCa ViT-B/16, students ViT-S/16, 224 px"),
    "base": Size(_COCA, "vit_base_patch16_224", "CoCa ViT-B/16, students ViT-B/16, 224 px"),
}
"""By the size of the students. The teacher is open_clip's CoCa of base size, which reads any word."""


def write_untrained_trio(folder: Path, size: Size) -> None:
    """A trio's folder whose models have learned nothing. Words that can be typed are those of generated scenes."""
    name, files = "untrained CoCa", folder / "teacher"
    # rounded, as random numbers are as good then and the file is half as large
    rounded = {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD, "dtype": torch.float16}
    save_teacher(files, build(size.teacher, name), size.teacher, card={"name": name}, **rounded)
    teacher = load_teacher(files)
    assert isinstance(teacher, CoCaTeacher)
    plain = StudentConfig(size.backbone, queries=0, text_dim=teacher.embed_dim, embed=True, overrides=size.overrides)
    students = {"lfi": Student(replace(plain, queries=8, embed=False)), "baseline": Student(plain)}
    members = Members(teacher, students, {part: folder / part for part in MODELS})
    summary = f"Random weights: {size.title}"
    card = own_card(members, folder.name, *members.unmeasured(), summary=summary, vocabulary=TYPED, phrases=CLASSES)
    write_trio(folder, students, card)
