"""What a new plan is refused for, though an old one, already stored, is not: things twice, and rules without effect.

Pictures are compared by their pixels, as raters see them: a copy under another name does not pass for another picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from PIL import Image

from app.study.plan import Item, StudyPlan
from lfi.errors import ConfigError


def check_draft(plan: StudyPlan, pictures: Mapping[str, Image.Image]) -> None:
    """Refuse a draft in which a rater could meet one picture as two, or one item twice, or whose rules do nothing.

    Args:
        pictures: by the plan's paths, scaled.

    Raises:
        ConfigError: names what is twice, or the rule.
    """
    known: dict[str, str] = {}
    for path in plan.pictures:
        first = known.setdefault(pixels_of(pictures[path]), path)
        if first != path:
            raise ConfigError(f"{first} and {path} are the same picture; use one of the two names for both")
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


def pixels_of(picture: Image.Image) -> str:
    """SHA-256 of a picture's size and pixels, hexadecimal."""
    return hashlib.sha256(f"{picture.mode} {picture.size} ".encode() + picture.tobytes()).hexdigest()
