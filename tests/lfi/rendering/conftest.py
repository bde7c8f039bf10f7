"""A photograph and a comparison to draw."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import Comparison, spot
from PIL import Image


@pytest.fixture
def photo() -> Image.Image:
    noise = np.random.default_rng(0).integers(60, 200, (90, 160, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def comparison() -> Comparison:
    words = ("star", "red circle")
    return Comparison(
        maps={
            "teacher": spot(8, 9, words, layers=3, model="coca@aaaaaaaaaaaa"),
            "lfi": spot(6, 5, words, model="vit@bbbbbbbbbbbb"),
            "baseline": spot(4, 1, words, model="vit@cccccccccccc"),
        },
        default_layer={"teacher": 0, "lfi": 1, "baseline": 1},
    )
