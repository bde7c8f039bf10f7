"""What a new plan is refused for, though an old one, already stored, is not: things twice, and rules without effect.

Pictures are compared as raters see them: a copy under another name, in another format or compressed again, such as the
inspector's page hands out, does not pass for another picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from app.study.plan import Item, StudyPlan
from lfi.errors import ConfigError

_CELLS, _APART = 16, 10
"""Pictures are the same if no cell of a grid of so many a side differs by more, in levels of 255 of any colour: WebP at
quality 90 changes these means by 1 or 2, another picture changes some by dozens."""


def check_draft(plan: StudyPlan, pictures: Mapping[str, Image.Image]) -> None:
    """Refuse a draft in which a rater could meet one picture as two, or one item twice, or whose rules do nothing.

    Args:
        pictures: by the plan's paths, scaled.

    Raises:
        ConfigError: names what is twice, or the rule.
    """
    known: dict[str, Image.Image] = {}
    for path in plan.pictures:
        first = known_name(pictures[path], known)
        if first:
            raise ConfigError(f"{first} and {path} are the same picture; use one of the two names for both")
        known[path] = pictures[path]
    once: dict[tuple[str, str], Item] = {}
    for item in plan.items:
        first_item = once.setdefault(item_of(item), item)
        if first_item is not item:
            raise ConfigError(f"items holds {item.word!r} on {item.image} twice (first as {first_item.word!r})")
    check_rules(plan)


def check_rules(plan: StudyPlan) -> None:
    """Refuse an exclusion rule of the analysis that can exclude nobody, or that must exclude everybody.

    A plan without catch trials has no rule about them.

    Raises:
        ConfigError: names the rule and what would do.
    """
    can_fail = [trial for trial in plan.catch if set(trial.expected) < set(range(1, plan.rating.scale + 1))]
    if len(can_fail) < len(plan.catch):
        word = next(trial.word for trial in plan.catch if trial not in can_fail)
        raise ConfigError(f"the catch trial {word!r} takes every answer for right, so nobody can fail it")
    allowed = plan.analysis.max_failed_catch
    if plan.catch and len(plan.catch) <= allowed:
        trials = "catch trial" if len(plan.catch) == 1 else "catch trials"
        raise ConfigError(
            f"analysis.max_failed_catch is {allowed}, but there {'is' if len(plan.catch) == 1 else 'are'} only "
            f"{len(plan.catch)} {trials}, so nobody could ever be excluded; at most {len(plan.catch) - 1} was expected"
        )
    least = plan.analysis.min_answers
    most = plan.rating.trials * bool(plan.rating.overlap) + plan.pair.trials * bool(plan.pair.overlap)
    if least == 1:
        raise ConfigError("analysis.min_answers is 1, which excludes nobody: who has no answer is not in the table")
    if least > most:
        raise ConfigError(
            f"analysis.min_answers is {least}, but a rater gives at most {most} answers; nobody would count"
        )


def item_of(item: Item) -> tuple[str, str]:
    """What makes two items the same: picture and word, however the word is spaced and capitalised."""
    return item.image, " ".join(item.word.split()).casefold()


def named_as_known(items: Sequence[Item], names: Mapping[str, str]) -> list[Item]:
    """The items with pictures that are there already under the name that they have there."""
    return [Item(names.get(item.image, item.image), item.word, item.shown) for item in items]


def known_name(picture: Image.Image, known: Mapping[str, Image.Image]) -> str:
    """The name under which a picture is known; empty if under none."""
    mine = _sketch(picture)
    for name, other in known.items():
        if _same_shape(picture.size, other.size) and np.abs(_sketch(other) - mine).max() <= _APART:
            return name
    return ""


def _sketch(picture: Image.Image) -> np.ndarray:
    """Mean colours of a coarse grid, float `[row, column, colour]`."""
    return np.asarray(picture.convert("RGB").resize((_CELLS, _CELLS), Image.Resampling.BOX), float)


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] * other[1] - other[0] * one[1]) <= 0.02 * one[0] * other[1]
