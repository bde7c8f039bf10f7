"""The maps of one image in numbers, word by word: for sorting many images, and for programs that cannot see.

Everything is read at each model's default layer. No mask is needed: these are descriptions and agreements, not grades.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from evaluation.metrics import of_category
from lfi.comparison import Comparison
from lfi.grids import poured
from lfi.maps import InteractionMaps

REFERENCE = "teacher"
"""The model whose maps the others are compared with."""

_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
REGIONS = tuple(f"{row} {column}" for row in _ROWS for column in _COLUMNS)
"""Ninths of the image, in reading order."""


@dataclass(frozen=True)
class Look:
    """Where one map looks.

    Attributes:
        peak: the strongest patch, in multiples of uniform attention.
        at: centre of that patch as shares of width and height, `(x, y)` from the upper left corner.
        densest: share of the mass on the tenth of the patches that get most; .1 where attention is even.
        regions: share of the mass in each of `REGIONS`.
    """

    peak: float
    at: tuple[float, float]
    densest: float
    regions: dict[str, float]


@dataclass(frozen=True)
class WordScores:
    """One word on one image.

    Attributes:
        word: as asked.
        query: index of the Interaction Query that stands for it, from 0; None where LFI was not asked.
        nearness: cosine between that query's name and the word.
        looks: per model.
        agreement: per model other than the teacher, and per metric of agreement, with the teacher; empty where the
            teacher was not asked. NaN where a metric is undefined.
        presence: per model that is calibrated for it, how likely the word is in the image at all.
        absent: the models that say it is not in the image.
    """

    word: str
    query: int | None
    nearness: float | None
    looks: dict[str, Look]
    agreement: dict[str, dict[str, float]]
    presence: dict[str, float] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()


def score(comparison: Comparison) -> tuple[WordScores, ...]:
    """The scores of every word, in the comparison's order. For maps averaged over heads.

    Raises:
        ValueError: the comparison holds a map per head.
    """
    shown = {model: maps.layer(comparison.default_layer[model]) for model, maps in comparison.maps.items()}
    if any(maps.queries[0] != comparison.words for maps in shown.values()):
        raise ValueError("scores are of words; a comparison without heads was expected")
    looks = {model: [_look(each) for each in maps.weights[0, 0]] for model, maps in shown.items()}
    agreement = _agreement(shown)
    addressed = {address.word: address for address in comparison.addressed}
    scores = []
    for index, word in enumerate(comparison.words):
        address = addressed.get(word)
        scores.append(
            WordScores(
                word,
                address.query if address else None,
                address.nearness if address else None,
                {model: each[index] for model, each in looks.items()},
                {model: {name: float(found[index]) for name, found in by.items()} for model, by in agreement.items()},
                {model: own[index] for model, own in comparison.presence.items()},
                frozenset(model for model, own in comparison.absent.items() if own[index]),
            )
        )
    return tuple(scores)


def columns(models: Sequence[str], judges: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of a table's columns for these models, as `row` fills them.

    Args:
        judges: models that say whether a word is in the image.
    """
    names = ["word", "query", "nearness"]
    names += [f"{model} {what}" for model in models for what in ("peak", "peak x", "peak y", "densest tenth")]
    if REFERENCE in models:
        metrics = [metric.name for metric in of_category("agreement")]
        names += [f"{model} {REFERENCE} {name}" for model in models if model != REFERENCE for name in metrics]
    names += [f"{model} {what}" for model in judges for what in ("presence", "absent")]
    return tuple(names)


def row(scores: WordScores) -> dict[str, str | int | float | None]:
    """One line of a table. Queries count from 1, as on the page; what is undefined is None; `absent` is 0 or 1."""
    values: dict[str, str | int | float | None] = {
        "word": scores.word,
        "query": None if scores.query is None else scores.query + 1,
        "nearness": scores.nearness,
    }
    for model, look in scores.looks.items():
        x, y = look.at
        values |= {f"{model} peak": look.peak, f"{model} peak x": x, f"{model} peak y": y}
        values[f"{model} densest tenth"] = look.densest
    for model, probability in scores.presence.items():
        values |= {f"{model} presence": probability, f"{model} absent": int(model in scores.absent)}
    for model, metrics in scores.agreement.items():
        for name, value in metrics.items():
            values[f"{model} {REFERENCE} {name}"] = None if math.isnan(value) else value
    return values


def _look(weights: Tensor) -> Look:
    """Of one map `[height, width]` that sums to 1."""
    height, width = weights.shape
    strongest = int(weights.argmax())
    count = max(round(weights.numel() / 10), 1)
    return Look(
        peak=float(weights.max()) * weights.numel(),
        at=((strongest % width + 0.5) / width, (strongest // width + 0.5) / height),
        densest=float(weights.flatten().topk(count).values.sum()),
        regions=dict(zip(REGIONS, poured(weights.cpu(), (3, 3)).flatten().tolist(), strict=True)),
    )


def _agreement(shown: dict[str, InteractionMaps]) -> dict[str, dict[str, Tensor]]:
    """Per model and metric `[word]`, on the coarser of both grids: no map gains detail that it does not have."""
    if REFERENCE not in shown:
        return {}
    found: dict[str, dict[str, Tensor]] = {}
    for model, maps in shown.items():
        if model != REFERENCE:
            grid = min(maps.grid, shown[REFERENCE].grid, key=math.prod)
            one, other = (each.resized(grid).weights[0, 0] for each in (maps, shown[REFERENCE]))
            found[model] = {metric.name: metric.values(one, other) for metric in of_category("agreement")}
    return found
