"""Where the students of `lfi benchmark transfer` look: whether the maps that they were given, right or wrong, show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.photographs import found_words, hits, layer_peaks, right_share, words_alone
from lfi.answerers import Answerer, QueriesAnswerer, explained_answerers
from lfi.data.canvases import Canvases, compose
from lfi.data.imageset import ImageSet
from lfi.students import Student
from lfi.teachers.base import BaseTeacher

BY_EXPLANATION = " by explanation"
POINTING = {
    name + way: title + way.replace(" by", ", by")
    for way in ("", BY_EXPLANATION)
    for name, title in (
        ("boxes", "peaks in boxes of under half of the image"),
        ("canvases", "peaks in the right photograph of a canvas"),
    )
}
"""What is measured, by the name of the score in a run's record: as a student is asked for a word, by its queries if
they have names; and all by post-hoc explanations, so that what they learnt is compared and not how they are asked."""
FLOORS = {"boxes": "the image's centre", "canvases": "the share of it that is right"}
BOXES, CANVASES, SEED = 500, 200, 5


@dataclass(frozen=True)
class Cases:
    """What students are asked to find, the same for all: words in small boxes, and on canvases.

    Attributes:
        words: of every image, its class alone.
        small: rows of images whose box fills less than half of them.
        on_them: of every canvas, the words of its photographs.
    """

    images: ImageSet
    words: list[tuple[str]]
    small: np.ndarray
    canvases: Canvases
    on_them: list[tuple[str, ...]]

    @property
    def boxes(self) -> np.ndarray:
        """Of the small ones, `[case, 4]` in pixels."""
        assert self.images.boxes is not None
        return self.images.boxes[self.small]


def cases_of(images: ImageSet) -> Cases:
    """The cases that TinyImageNet's validation images, with their boxes, make."""
    assert images.boxes is not None
    words = [(images.classes[label],) for label in images.labels]
    small = (images.boxes[:, 2:] - images.boxes[:, :2]).prod(1) < 0.5 * images.images.shape[1] ** 2
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.permutation(np.flatnonzero(small))[:BOXES])
    canvases = compose(np.asarray(images.images), rng.integers(len(images), size=(CANVASES, 4)), rng)
    on_them = [tuple(words[row][0] for row in own if row >= 0) for own in canvases.rows]
    return Cases(images, words, chosen, canvases, on_them)


def pointing_scores(student: Student, texts: BaseTeacher, images: ImageSet) -> dict[str, float]:
    """How often the map of a word that is there peaks where it is, in percent, by the keys of `POINTING`.

    A student with named queries is asked for these, any other for its post-hoc explanations; by explanation all are
    asked that have an image's embedding. The best explanation and the best layer are found on these very images, for
    all students alike. Empty for a student that knows no words.

    Args:
        texts: embeds words.
        images: TinyImageNet's validation images, with boxes.
    """
    cases = cases_of(images)
    own = best_peaks(answerers_of(student, texts, images.classes), cases)
    if student.embed is None:
        return own
    explained = own if student.name is None else best_peaks(explained_answerers("student", student, texts), cases)
    return own | {name + BY_EXPLANATION: share for name, share in explained.items()}


def best_peaks(answerers: Iterable[Answerer[Any]], cases: Cases) -> dict[str, float]:
    """Of the best answerer and layer, in percent, `boxes` and `canvases`."""
    pictures = np.asarray(cases.images.images[cases.small])
    found: dict[str, list[float]] = {"boxes": [], "canvases": []}
    for answerer in answerers:
        if len(cases.small):
            points = np.stack(layer_peaks(answerer, pictures, [cases.words[row] for row in cases.small]), 1)[:, :, 0]
            found["boxes"] += [float(hits(layer, cases.boxes, 64).mean()) for layer in points]
        if len(words_alone(cases.canvases, cases.on_them)):
            found["canvases"] += found_words(answerer, cases.canvases, cases.on_them).mean(1).tolist()
    return {name: 100 * max(shares) for name, shares in found.items() if shares}


def floors(images: ImageSet) -> dict[str, float]:
    """What knowing nothing of a word gives, in percent, by the keys of `POINTING`.

    In boxes it is a peak in the middle of the image, where photographers put things; on canvases the share of the
    canvas that the right photograph takes.
    """
    cases = cases_of(images)
    found = {}
    if len(cases.small):
        found["boxes"] = 100 * float(hits(np.full((len(cases.small), 2), 32.0), cases.boxes, 64).mean())
    if len(asked := words_alone(cases.canvases, cases.on_them)):
        found["canvases"] = 100 * right_share(cases.canvases, asked)
    return found


def answerers_of(student: Student, texts: BaseTeacher, phrases: tuple[str, ...]) -> list[Answerer[Any]]:
    """How a student is asked for a word: its queries if they have names, else every explanation that it can give."""
    if student.name is not None:
        return [QueriesAnswerer("queries", student, texts, phrases)]
    if student.embed is None:
        return []
    return list(explained_answerers("student", student, texts))
