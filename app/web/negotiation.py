"""The media type that a client prefers, by its `Accept` header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from app.failures import NotAcceptableError

JSON, NPZ, ZIP, PROBLEM = "application/json", "application/x-npz", "application/zip", "application/problem+json"
MAPS_TYPES = (JSON, NPZ, ZIP)
"""What maps can be answered in."""

Ranges = list[tuple[str, float]]


def preferred(accept: str | None) -> str:
    """The type of `MAPS_TYPES` that has the highest quality; JSON wins a tie, then npz.

    Raises:
        NotAcceptableError: nothing that we offer is accepted.
    """
    if accept is None or not accept.strip():
        return JSON
    accepted = ranges(accept)
    best = max(MAPS_TYPES, key=lambda offered: quality(offered, accepted))
    if quality(best, accepted) <= 0:
        raise NotAcceptableError(f"Accept is {accept!r}; the answer can be {', '.join(MAPS_TYPES)}")
    return best


def prefers_page(accept: str) -> bool:
    """Whether an `Accept` header names HTML and ranks it above JSON, as browsers do that open an address."""
    accepted = ranges(accept)
    named = any(name == "text/html" for name, _ in accepted)
    return named and quality("text/html", accepted) > max(quality(each, accepted) for each in (JSON, PROBLEM))


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
