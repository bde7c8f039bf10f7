"""Tiny images of one or two colours, with captions that name them, as a list on disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfi.data.captions import image_captions
from lfi.data.imageset import ImageSet
from lfi.training.teacher_config import TeacherConfig

COLOURS = {"red": (220, 30, 30), "green": (20, 180, 40), "blue": (30, 60, 230), "white": (250, 250, 250)}
SIZE = 32
TINY = TeacherConfig(
    image_size=SIZE,
    patch_size=8,
    width=32,
    layers=1,
    text_layers=1,
    decoder_layers=2,
    head_width=16,
    context=16,
    statements=4,
)


def write_captions(folder: Path, count: int = 32) -> Path:
    """A CSV of `count` images, halves of two colours: `a red wall beside a blue door`."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        one, other = rng.choice(list(COLOURS), 2, replace=False)
        pixels = np.empty((SIZE, SIZE, 3), np.uint8)
        pixels[:, : SIZE // 2], pixels[:, SIZE // 2 :] = COLOURS[one], COLOURS[other]
        pixels[:2, :2] = index
        Image.fromarray(pixels).save(folder / f"{index}.png")
        rows.append((f"{index}.png", f"A {one} wall beside a {other} door."))
    table = folder / "captions.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    return table


def read_captions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    monkeypatch.setenv("LFI_CACHE", str(folder / "cache"))
    return image_captions(write_captions(folder), size=SIZE)
