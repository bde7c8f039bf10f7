"""A made-up teacher whose answers depend on the pixels alone, and images to ask it about.

As a program: `cached_answers.py FOLDER STOP` builds a store and dies of signal 9 when asked for the row STOP.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lfi.data.imageset import ImageSet
from lfi.training.cache import Settings, build
from lfi.training.cache.build import Report

SHARDS = 7  # of 32 images
COUNT, SIZE, PATCHES, LAYERS, WORDS = 200, 16, 64, 2, 3
VOCABULARY = tuple(f"thing {number}" for number in range(20))
FIELDS = ("maps", "logits", "latents", "activations", "attentions")


def images(count: int = COUNT) -> ImageSet:
    """Random pixels with one to three words each."""
    rng = np.random.default_rng(0)
    return ImageSet(
        images=rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8),
        ids=tuple(f"class/{row:04d}.png" for row in range(count)),
        classes=VOCABULARY[:5],
        labels=np.arange(count) % 5,
        captions=tuple(f"a photo of thing {row}" for row in range(count)),
        words=tuple(VOCABULARY[row % 10 : row % 10 + 1 + row % WORDS] for row in range(count)),
    )


def settings(**changes: object) -> Settings:
    values: dict = {
        "teacher": "coca@0123",
        "maps": "statements",
        "layers": (0, 1),
        "tower_layers": (2, 5),
        "prompt": "a photo of a {}",
        "classes": VOCABULARY[:5],
        "vocabulary": VOCABULARY,
        "preprocessing": "64 px, squash, mean .5, std .5",
        "fields": FIELDS,
        "precision": "float16",
    }
    return Settings(**(values | changes))


def softmax(scores: np.ndarray) -> np.ndarray:
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return (shares / shares.sum(-1, keepdims=True)).astype(np.float32)


class Teacher:
    """Counts what it is asked."""

    def __init__(self, data: ImageSet, stop: int | None = None):
        self.data, self.stop = data, stop
        self.asked: list[int] = []

    def __call__(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        self.asked += rows.tolist()
        if self.stop in rows:
            os.kill(os.getpid(), signal.SIGKILL)
        parts = [self.answer(row) for row in rows]
        return {name: np.stack([part[name] for part in parts]) for name in parts[0]}

    def answer(self, row: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.data.images[row, 0].astype(np.int64).ravel())
        words = np.arange(WORDS) < len(self.data.words[row])
        names = [VOCABULARY.index(word) for word in self.data.words[row]]
        return {
            "maps": softmax(3 * rng.standard_normal((LAYERS, WORDS, PATCHES))) * words[:, None],
            "logits": rng.standard_normal(5).astype(np.float32),
            "latents": rng.standard_normal(6).astype(np.float32),
            "activations": 1e5 * rng.random((2, PATCHES), np.float32) ** 2,
            "attentions": softmax(2 * rng.standard_normal((2, 1 + PATCHES, PATCHES))),
            "words": words,
            "names": np.pad(np.array(names), (0, WORDS - len(names))),
        }


def make(folder: Path, data: ImageSet, teacher: Callable | None = None, **changes: object) -> Report:
    """A cache of shards of 32 images."""
    return build(folder, data, settings(**changes), teacher or Teacher(data), shard=32, batch=10)


if __name__ == "__main__":
    data = images()
    make(Path(sys.argv[1]), data, Teacher(data, int(sys.argv[2])))
