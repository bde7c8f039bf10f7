"""Which of the media types we can answer in a client prefers, by its `Accept` header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from app.errors import NotAcceptableError

JSON, NPZ, ZIP = "application/json", "application/x-npz", "application/zip"
OFFERED = (JSON, NPZ, ZIP)


def preferred(accept: str | None) -> str:
    """The offered type of the highest quality; JSON wins a tie, then npz.

    Raises:
        NotAcceptableError: nothing that we offer is accepted.
    """
    if accept is None or not accept.strip():
        return JSON
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    best = max(OFFERED, key=lambda offered: _quality(offered, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptableError(f"Accept is {accept!r}; the answer can be {', '.join(OFFERED)}")
    return best


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


def _quality(offered: str, ranges: list[tuple[str, float]]) -> float:
    """Quality by the most specific range that covers the type; 0 where none does."""
    for name in (offered, "application/*", "*/*"):
        qualities = [quality for each, quality in ranges if each == name]
        if qualities:
            return max(qualities)
    return 0.0
