"""Trios with random weights: the sizes are what they say, and a trio can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_size import TINY_SIZE

from bench.untrained import SIZES, write_untrained_trio
from lfi.comparison import MODELS
from lfi.students.vit import describe
from lfi.teachers.loading import build
from lfi.trio import Trio


def test_an_untrained_trio_answers_words_of_scenes(tmp_path: Path):
    write_untrained_trio(tmp_path / "tiny", TINY_SIZE)
    trio = Trio.load(tmp_path / "tiny")
    assert trio.cards["lfi"]["parameters"] == sum(each.numel() for each in trio.lfi.parameters())
    assert "star" in trio.vocabulary
    found = trio.compare(Image.new("RGB", (64, 64), "red"), ["red star", trio.vocabulary[0]])
    assert list(found.maps) == list(MODELS)
    assert trio.explanation == "gradient"


@pytest.mark.parametrize(("name", "millions"), [("small", 22), ("base", 86)])
def test_sizes_are_those_of_the_papers(name: str, millions: int):
    size = SIZES[name]
    assert round(describe(size.backbone).parameters / 1e6) == millions
    with torch.device("meta"):
        teacher = build(size.teacher, name)
    assert teacher.visual.grid_size == (14, 14)
    assert round(sum(each.numel() for each in teacher.visual.parameters()) / 1e6) == 88
