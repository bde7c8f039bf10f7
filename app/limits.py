"""How much of an image and of a caption the service takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageLimits:
    """Checked before an image is decoded.

    Attributes:
        bytes: size of the file.
        pixels: width times height, as the file's header states them.
        aspect: longer side over shorter side.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000
    aspect: float = 20.0


@dataclass(frozen=True)
class WordLimits:
    """Attributes:
    words: words or phrases in one request.
    phrase: single words in one phrase.
    characters: characters in one phrase.
    """

    words: int = 16
    phrase: int = 12
    characters: int = 200
