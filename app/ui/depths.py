"""Where to look in each model at every position of the layer slider, on which scale, and how the maps there agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from app.ui.agreement import Agreement, agreement
from lfi.comparison import Comparison
from lfi.rendering import DifferenceScale, Scale, difference_scales, shared_scale


@dataclass(frozen=True)
class Pair:
    """Two answers side by side, word by word: how they agree, and the scale of their difference."""

    first: str
    second: str
    agreements: tuple[Agreement, ...]
    scales: tuple[DifferenceScale, ...]


@dataclass(frozen=True)
class Position:
    """One position of the layer slider.

    Attributes:
        layers: the layer shown, for every answer.
        scale: shared by all columns and words at this position.
        word_scales: for every word, the scale that all columns share on it: one word's strong peak need not make
            another word's maps pale.
        pairs: any two of the columns and the teacher.
    """

    layers: dict[str, int]
    scale: Scale
    word_scales: tuple[Scale, ...]
    pairs: tuple[Pair, ...]


def positions(comparison: Comparison, columns: Sequence[str]) -> list[Position]:
    """Each answer's default layer, then as many equal depths as the deepest has layers.

    Models of different depth are aligned by relative depth: first layers together, last ones together.

    Args:
        columns: the answers that stand side by side and share a scale.
    """
    counts = {answer: len(maps.layers) for answer, maps in comparison.maps.items()}
    deepest = max(counts[column] for column in columns)
    depths = [dict(comparison.default_layer)] + [
        {answer: round(step / max(deepest - 1, 1) * (count - 1)) for answer, count in counts.items()}
        for step in range(deepest)
    ]
    return [_position(comparison, columns, layers) for layers in depths]


def film_scales(comparison: Comparison, columns: Sequence[str]) -> list[Scale]:
    """For every word the one scale of its film strips: all layers of the columns, and all Interaction Queries."""
    queries = [] if comparison.queries is None else [comparison.queries]
    return [
        shared_scale(
            [*(comparison.maps[each].select(queries=[word]) for each in comparison.finding(word, columns)), *queries]
        )
        for word in range(len(comparison.words))
    ]


def _position(comparison: Comparison, columns: Sequence[str], layers: dict[str, int]) -> Position:
    maps = {answer: comparison.maps[answer].layer(layers[answer]) for answer in dict.fromkeys((*columns, "teacher"))}
    words = range(len(comparison.words))
    word_scales = tuple(
        shared_scale(maps[each].select(queries=[word]) for each in comparison.finding(word, columns)) for word in words
    )
    found = comparison.found(columns)
    shown = [maps[each].select(queries=found[each]) for each in columns]
    pairs = tuple(
        Pair(
            first,
            second,
            tuple(agreement(maps[first], maps[second])),
            tuple(difference_scales(maps[first], maps[second])),
        )
        for first, second in combinations(maps, 2)
    )
    return Position(layers, shared_scale(shown), word_scales, pairs)
