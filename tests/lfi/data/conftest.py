"""Pictures on disk, and a cache of their own for every test."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """The folder that decoded images are kept in."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LFI_CACHE", str(folder))
    return folder


@pytest.fixture
def picture():
    """Write an image of one colour, or of random pixels, and return its path."""

    def write(path: Path, colour: int | tuple[int, int, int] | None = None, size: tuple[int, int] = (16, 16)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if colour is None:
            pixels = np.random.default_rng(len(str(path))).integers(0, 256, (size[1], size[0], 3), np.uint8)
            image = Image.fromarray(pixels)
        else:
            image = Image.new("RGB", size, (colour,) * 3 if isinstance(colour, int) else colour)
        image.save(path)
        return path

    return write
