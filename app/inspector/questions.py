"""One request for maps, from form fields to the bytes of its answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import orjson
from PIL import Image

from app.inspector.answers import maps_body
from app.inspector.decode import decoded, opened
from app.inspector.downloads import npz_bytes, zip_bytes
from app.inspector.inspector import Inspector
from app.inspector.turns import Turn
from app.inspector.words import parse_words
from app.limits import ImageLimits, WordLimits
from app.web.negotiation import NPZ, ZIP
from lfi.errors import ConfigError, ImageTooLargeError


@dataclass(frozen=True)
class Question:
    """What somebody wants to know about an image.

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
    ) -> Question:
        """A question from text fields; each may be repeated or hold several values with commas between.

        Raises:
            WordsError: as `parse_words`.
            ConfigError: a layer that is no number.
        """
        return cls(
            words=parse_words(words, limits),
            models=tuple(_split(models)),
            layers=_layers(_split(layers)),
            trio=trio.strip() or None,
            heads=heads,
        )


def answer(inspector: Inspector, question: Question, upload: BinaryIO, media_type: str, turn: Turn) -> bytes:
    """The answer in one of `negotiation.MAPS_TYPES`. Takes a while: call it in a thread.

    Raises:
        ImageError, WordsError, UnknownModelError, ConfigError: what the question asks for cannot be.
        LateError, GoneError: the turn was over before the answer was begun.
    """
    turn.check()
    settings, trio = inspector.settings, inspector.trio(question.trio)
    trio.ordered(question.models)  # before the image is decoded and run
    data = _read(upload, settings.image_limits)
    key, image = hashlib.sha256(data).hexdigest(), None
    picture = inspector.recall(key, question.trio)
    if picture is None or media_type == ZIP:
        image = opened(data, settings.image_limits)
        with inspector.pixels.held(image.width * image.height, turn):
            image = decoded(image)
            picture = picture or inspector.picture(image, question.trio, key)
            if media_type == ZIP:
                image.thumbnail((settings.overlay_side, settings.overlay_side), Image.Resampling.LANCZOS)
    comparison = inspector.compare(
        picture, question.words, question.models, question.layers, question.trio, question.heads, turn
    )
    turn.check()
    name = question.trio or inspector.default
    seen = {"width": picture.size[0], "height": picture.size[1], "sha256": key}
    about = {"trio": name, "image": seen}
    if media_type == NPZ:
        return npz_bytes(comparison, about)
    if image is not None and media_type == ZIP:
        return zip_bytes(comparison, image, settings.overlay_side, about)
    return orjson.dumps(maps_body(comparison, name, trio, seen))


def _read(upload: BinaryIO, limits: ImageLimits) -> bytes:
    """The upload, and no more of it in memory than is allowed."""
    data = upload.read(limits.bytes + 1)
    if len(data) > limits.bytes:
        raise ImageTooLargeError(f"the image file has more than {limits.bytes / 1e6:g} MB, which is the limit")
    return data


def _split(fields: Sequence[str]) -> list[str]:
    return [piece.strip() for field in fields for piece in field.split(",") if piece.strip()]


def _layers(numbers: Sequence[str]) -> tuple[int, ...] | None:
    try:
        return tuple(int(number) for number in numbers) or None
    except ValueError as error:
        raise ConfigError(f"layers are {', '.join(numbers)!r}; whole numbers from 0 were expected") from error
