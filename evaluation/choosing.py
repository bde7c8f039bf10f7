"""What a trio shows, chosen on half of the held-out images, which nobody has outlined anything in, measured on others.

Several images on one canvas are masks enough: a word that is said of one of them alone must be looked for in its part.
Which words are in an image is told by its caption or class, so what a model's evidence is worth can be told as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from evaluation.metrics.pointing_game import pointing_hit
from evaluation.pointing import Cases, word_maps
from evaluation.presence import Statements, calibrate, evidence
from evaluation.presence import measured as measured_presence
from lfi.answerers import Answerer, QueriesAnswerer, TeacherAnswerer, explained_answerers
from lfi.comparison import MODELS
from lfi.data.canvases import compose
from lfi.data.imageset import ImageSet
from lfi.presence import Presence
from lfi.students import Student
from lfi.students.explanations import explanations_of
from lfi.teachers.base import BaseTeacher

SIDE = 64
"""Of the masks of a canvas."""
WORDS = 2
"""Words of one image that are asked."""
FEWEST_STATEMENTS = 40
LEAST_AUC = 0.6
"""Evidence that tells words apart no better than this is not calibrated: it would only look like knowledge."""

Rates = Callable[[Answerer[Any]], np.ndarray]
"""Of an answerer the share of words that each layer's peak finds, `[layer]`."""


@dataclass(frozen=True)
class Choice:
    """What is shown.

    Attributes:
        explanation: of the baseline.
        layers: of every answer, by name.
        rates: share of words that the layer chosen finds, by name.
    """

    explanation: str
    layers: dict[str, int]
    rates: dict[str, float]


def choose(teacher: BaseTeacher, students: Mapping[str, Student], rates: Rates, phrases: Sequence[str] = ()) -> Choice:
    """The baseline's explanation that finds the most words, and of everything that can be shown the best layer.

    Args:
        phrases: as the trio will have them.
    """
    ways = [each for part, student in students.items() for each in explained_answerers(part, student, teacher)]
    found = {each.name: rates(each) for each in tqdm(ways, desc="choosing layers", unit="explanation")}
    tried = explanations_of(students["baseline"])
    explanation = max(tried, key=lambda name: found[f"baseline:{name}"].max())
    models = {
        "teacher": rates(TeacherAnswerer(teacher)),
        "lfi": rates(QueriesAnswerer("lfi", students["lfi"], teacher, phrases)),
        "baseline": found[f"baseline:{explanation}"],
    }
    every = {**models, **found}
    return Choice(
        explanation,
        {name: int(each.argmax()) for name, each in every.items()},
        {name: float(each.max()) for name, each in every.items()},
    )


def measured(choice: Choice, answerers: Mapping[str, Answerer[Any]], rates: Rates) -> dict[str, float]:
    """Share of words that the layers of a choice find, of teacher, LFI and baseline, by rates on other images."""
    return {part: float(rates(answerers[part])[choice.layers[part]]) for part in MODELS}


def halves(pictures: Sequence[Hashable], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to choose on and rows to measure on; all rows of a picture are on the same side.

    Args:
        pictures: of every row.
    """
    once = list(dict.fromkeys(pictures))
    order = np.random.default_rng((seed, 41)).permutation(len(once))
    first = {once[place] for place in order[: len(once) // 2]}
    chosen = np.array([each in first for each in pictures], bool)
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def hit_rates(cases: Cases) -> Rates:
    """How often maps peak in the masks of some cases."""

    def rates(answerer: Answerer[Any]) -> np.ndarray:
        found = word_maps(answerer, cases)
        return np.array([float(pointing_hit(maps, found.masks).nanmean()) for maps in found.maps])

    return rates


def canvas_cases(images: ImageSet, count: int, seed: int = 0) -> Cases | None:
    """Words asked of canvases, each with the part of the canvas that holds the only image it is said of.

    A picture that a canvas shows twice is not asked about there.

    Args:
        images: with classes; of every image's words those among the classes are asked, others may be chance.
        count: of canvases.

    Returns:
        None where no word is said of one image alone, so that nothing can be told.
    """
    rng, every = np.random.default_rng((seed, 31)), said_anywhere(images)
    pictures, known = squared(images.images), set(images.classes)
    said = [[word for word in row if word in known] for row in images.words]
    canvases = compose(pictures, rng.integers(len(images), size=(count, 4)), rng)
    size = pictures.shape[1]
    rows, phrases, masks = [], [], []
    for canvas, (placed, regions) in enumerate(zip(canvases.rows, canvases.regions, strict=True)):
        there = [place for place in range(len(placed)) if placed[place] >= 0]
        counts = Counter(word for place in there for word in every[placed[place]])
        for place in there:
            if tuple(regions[place]) == (0, 0, size, size):
                continue  # an image under an inset is nearly everywhere
            alone = [word for word in dict.fromkeys(said[placed[place]]) if counts[word] == 1]
            for word in alone[:WORDS]:
                rows.append(canvas)
                phrases.append(word)
                masks.append(_mask(regions[place] * SIDE // size))
    if not rows:
        return None
    return Cases(canvases.images, np.array(rows), np.array(["word"] * len(rows)), tuple(phrases), np.stack(masks))


def said_anywhere(images: ImageSet) -> list[frozenset[str]]:
    """Of every row the words that are said of its picture, in any of its captions."""
    found: dict[str, set[str]] = {}
    for key, words in zip(images.keys, images.words, strict=True):
        found.setdefault(key, set()).update(words)
    return [frozenset(found[key]) for key in images.keys]


def squared(images: np.ndarray) -> np.ndarray:
    """Images at a side that can be quartered, as canvases need it, uint8 `[n, side, side, 3]`."""
    side = max(8, images.shape[1] // 4 * 4)
    if side == images.shape[1]:
        return np.asarray(images)
    resized = [Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC) for each in np.asarray(images)]
    return np.stack([np.asarray(each) for each in resized])


def _mask(region: np.ndarray) -> np.ndarray:
    left, top, right, bottom = region
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top:bottom, left:right] = True
    return mask


def statements(images: ImageSet, seed: int = 0) -> Statements:
    """Of every image as many words that are said of it as words that are said of others.

    False words are drawn from what is said of all images, so they are as frequent as true ones; no caption of the same
    picture says them.

    Args:
        images: with classes; only words among these are stated.
    """
    rng, every = np.random.default_rng((seed, 17)), said_anywhere(images)
    known = set(images.classes)
    said = [[word for word in dict.fromkeys(row) if word in known] for row in images.words]
    each = WORDS if np.median([len(row) for row in said]) >= WORDS else 1
    pool = [word for row in said for word in row]
    rows, words = [], []
    for row, own in enumerate(said):
        others = [word for word in pool if word not in every[row]]
        if len(own) < each or len(set(others)) < each:
            continue
        false: dict[str, None] = {}
        while len(false) < each:
            false[others[int(rng.integers(len(others)))]] = None
        rows.append(row)
        words.append((*(own[int(place)] for place in rng.permutation(len(own))[:each]), *false))
    truth = np.array([[True] * each + [False] * each] * len(rows), bool).reshape(len(rows), 2 * each)
    return Statements(np.asarray(images.images)[rows], tuple(words), truth)


def calibrated(
    answerers: Mapping[str, Answerer[Any]], asked: Statements, tested: Statements | None = None
) -> tuple[dict[str, Presence], str]:
    """The presence of each model whose evidence is worth anything, and why the others, or all, have none.

    Where the teacher cannot tell words that are there from words that are not, its students learned it of nobody.

    Args:
        answerers: the teacher first.
        asked: what the evidence is calibrated on.
        tested: about other images, what it is measured on; default: the same.
    """
    sizes = [each.truth.size for each in (asked, tested) if each is not None]
    if min(sizes) < FEWEST_STATEMENTS // len(sizes):
        of = "the held-out images" if tested is None else "half of the held-out images"
        return {}, f"{min(sizes)} statements can be made of {of}; {FEWEST_STATEMENTS // len(sizes)} are needed"
    found, without = {}, []
    for name, answerer in answerers.items():
        presence = calibrate([evidence(answerer, asked)], [asked])
        if tested is not None:
            presence = measured_presence(presence, [evidence(answerer, tested)], [tested])
        if presence.auc >= LEAST_AUC and presence.auc - 2 * standard_error(presence.auc, presence.words // 2) > 0.5:
            found[name] = presence
            continue
        without.append(f"{name} cannot tell words that are there from words that are not (AUC {presence.auc:.2f})")
        if name == "teacher":
            break
    return found, "; ".join(without)


def standard_error(auc: float, each: int) -> float:
    """Of an area under the ROC curve, from as many true as false statements (Hanley and McNeil 1982, equation 1)."""
    both = auc / (2 - auc) + 2 * auc**2 / (1 + auc) - 2 * auc**2
    return math.sqrt(max(0.0, auc * (1 - auc) + (each - 1) * both)) / each
