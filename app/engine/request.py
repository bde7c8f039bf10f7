"""What somebody wants to know about an image, from the fields of any door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.words import parse_words
from app.limits import WordLimits
from lfi.errors import ConfigError


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

        Raises:
            WordsError: as `parse_words`.
            ConfigError: a layer that is not a number.
        """
        return cls(
            words=parse_words(words, limits),
            models=tuple(_split(models)),
            layers=_layers(_split(layers)),
            trio=trio.strip() or None,
            heads=heads,
        )


def _split(fields: Sequence[str]) -> list[str]:
    return [piece.strip() for field in fields for piece in field.split(",") if piece.strip()]


def _layers(numbers: Sequence[str]) -> tuple[int, ...] | None:
    try:
        return tuple(int(number) for number in numbers) or None
    except ValueError as error:
        raise ConfigError(f"layers are {', '.join(numbers)!r}; whole numbers from 0 were expected") from error
