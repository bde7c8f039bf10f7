"""Which of the media types we can answer in a client prefers, by its `Accept` header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from app.accept import quality, ranges
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
    accepted = ranges(accept)
    best = max(OFFERED, key=lambda offered: quality(offered, accepted))
    if quality(best, accepted) <= 0:
        raise NotAcceptableError(f"Accept is {accept!r}; the answer can be {', '.join(OFFERED)}")
    return best
