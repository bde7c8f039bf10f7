"""What somebody wants to know about an image, from the fields of any door."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.words import parse_words
from app.limits import WordLimits
from lfi.errors import ConfigError, excerpt

_NUMBER = re.compile("[0-9]{1,4}")
"""Not what `int` reads besides: `1_0`, or digits of other scripts."""

_MOST = 1000
"""Models or layers in one request: more than any trio has."""


@dataclass(frozen=True)
class MapsRequest:
    """Maps that are wanted of a picture; `Engine.question` checks it.

    Attributes:
        words: words or phrases, in their order.
        models: some of what the trio answers (`lfi.trio.Trio.layers`); its three models where empty.
        layers: numbers of layers, from 0; None for all.
        trio: name of the trio; None for the default one.
        heads: every attention head on its own.
    """

    words: tuple[str, ...]
    models: tuple[str, ...] = ()
    layers: tuple[int, ...] | None = None
    trio: str | None = None
    heads: bool = False

    @classmethod
    def from_fields(
        cls,
        limits: WordLimits,
        words: Sequence[str],
        models: Sequence[str] = (),
        layers: Sequence[str] = (),
        trio: str = "",
        heads: bool = False,
    ) -> MapsRequest:
        """A request from text fields; each may be repeated or hold several values with commas between.

        A value that is repeated counts once.

        Raises:
            WordsError: as `parse_words`.
            ConfigError: a layer that is not a number, or more models or layers than any trio has.
        """
        return cls(
            words=parse_words(words, limits),
            models=tuple(dict.fromkeys(_split(models, "models"))),
            layers=_layers(_split(layers, "layers")),
            trio=trio.strip() or None,
            heads=heads,
        )


def _split(fields: Sequence[str], called: str) -> list[str]:
    count = len(fields) + sum(field.count(",") for field in fields)
    if count > _MOST:  # before they are split: a megabyte of commas would be half a million of them
        raise ConfigError(f"{count:,} {called} were given; at most {_MOST:,} are read")
    return [piece.strip() for field in fields for piece in field.split(",") if piece.strip()]


def _layers(numbers: Sequence[str]) -> tuple[int, ...] | None:
    if not all(_NUMBER.fullmatch(each) for each in numbers):
        raise ConfigError(f"layers are {excerpt(', '.join(numbers))!r}; whole numbers from 0 were expected")
    return tuple(dict.fromkeys(map(int, numbers))) or None
