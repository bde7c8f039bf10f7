"""An `Accept` header: how much a client wants a media type (RFC 9110, 12.5.1)."""

from __future__ import annotations

Ranges = list[tuple[str, float]]


def ranges(accept: str) -> Ranges:
    """Media ranges and their qualities; one that cannot be read has quality 0."""
    return [_range(part) for part in accept.split(",") if part.strip()]


def quality(offered: str, accepted: Ranges) -> float:
    """Quality of a type by the most specific range that covers it; 0 where none does."""
    for name in (offered, f"{offered.partition('/')[0]}/*", "*/*"):
        qualities = [value for each, value in accepted if each == name]
        if qualities:
            return max(qualities)
    return 0.0


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, float(value)
            except ValueError:
                return name, 0.0
    return name, 1.0
