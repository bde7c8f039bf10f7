"""How much the service accepts: limits on images, captions and requests."""

from __future__ import annotations

from dataclasses import dataclass

from limits import RateLimitItem, parse_many

DEFAULT_RATES = "240/minute"


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


def parse_rates(text: str) -> tuple[RateLimitItem, ...]:
    """Limits such as `10/second; 240/minute`; none where the text is empty.

    Raises:
        ValueError: it reads otherwise.
    """
    try:
        limits = tuple(parse_many(text)) if text.strip() else ()
        if any(limit.amount < 1 for limit in limits):
            raise ValueError("nobody could ask anything")
        return limits
    except ValueError as error:
        raise ValueError(
            f"is {text!r}; limits such as {DEFAULT_RATES!r} or '10/second; 240/minute' were expected"
        ) from error
