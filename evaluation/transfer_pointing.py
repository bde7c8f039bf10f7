"""Where the students of `lfi benchmark transfer` look: whether the maps that they were given, right or wrong, show."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.photographs import found_words, hits, layer_peaks, words_alone
from lfi.answerers import Answerer, QueriesAnswerer, explained_answerers
from lfi.data.canvases import compose
from lfi.data.imageset import ImageSet
from lfi.students import Student
from lfi.teachers.base import BaseTeacher

POINTING = {
    "boxes": "peaks in boxes of under half of the image",
    "canvases": "peaks in the right photograph of a canvas",
}
"""What is measured, by the name of the score in a run's record."""
BOXES, CANVASES, SEED = 500, 200, 5


def pointing_scores(student: Student, texts: BaseTeacher, images: ImageSet) -> dict[str, float]:
    """How often the map of a word that is there peaks where it is, in percent, by the keys of `POINTING`.

    A student with named queries is asked for these, any other for its post-hoc explanations; the best explanation and
    the best layer are found on these very images, for all students alike. Empty for a student that knows no words.

    Args:
        texts: embeds words.
        images: TinyImageNet's validation images, with boxes.
    """
    answerers = answerers_of(student, texts, images.classes)
    if not answerers:
        return {}
    assert images.boxes is not None
    words = [(images.classes[label],) for label in images.labels]
    small = (images.boxes[:, 2:] - images.boxes[:, :2]).prod(1) < 0.5 * images.images.shape[1] ** 2
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.permutation(np.flatnonzero(small))[:BOXES])
    pictures, boxes = np.asarray(images.images[chosen]), images.boxes[chosen]
    canvases = compose(np.asarray(images.images), rng.integers(len(images), size=(CANVASES, 4)), rng)
    on_them = [tuple(words[row][0] for row in own if row >= 0) for own in canvases.rows]
    found: dict[str, list[float]] = {name: [] for name in POINTING}
    for answerer in answerers:
        if len(chosen):
            points = np.stack(layer_peaks(answerer, pictures, [words[row] for row in chosen]), 1)[:, :, 0]
            found["boxes"] += [float(hits(layer, boxes, 64).mean()) for layer in points]
        if len(words_alone(canvases, on_them)):
            found["canvases"] += found_words(answerer, canvases, on_them).mean(1).tolist()
    return {name: 100 * max(shares) for name, shares in found.items() if shares}


def answerers_of(student: Student, texts: BaseTeacher, phrases: tuple[str, ...]) -> list[Answerer[Any]]:
    """How a student is asked for a word: its queries if they have names, else every explanation that it can give."""
    if student.name is not None:
        return [QueriesAnswerer("queries", student, texts, phrases)]
    if student.embed is None:
        return []
    return list(explained_answerers("student", student, texts))
