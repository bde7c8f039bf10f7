"""Who may send another batch, how much may lie on disk, and when somebody who may not should come again.

Places and room are held before the first byte of a body is stored, so that uploads on their way count as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from app.failures import BatchesFullError

_LEAST = 1_000_000
"""Bytes that a batch counts for at least: it takes memory, too."""
_PACE = 1.0
"""Seconds an image takes where none was timed yet."""
_ARRIVAL = 5.0
"""Seconds after which an upload that is on its way is looked at again."""


class Held(Protocol):
    """What room depends on, of a batch.

    Attributes:
        sender: whose places it holds, until it is over.
        sent: bytes of what was sent, which are deleted when it is over; bytes: of all of it.
        images_left: that were not looked at yet.
        ended: by `time.monotonic`; None while it is not over.
    """

    sender: str
    sent: int
    ended: float | None

    @property
    def bytes(self) -> int: ...

    @property
    def images_left(self) -> int: ...

    @property
    def over(self) -> bool: ...


@dataclass(frozen=True, eq=False)
class _Arrival:
    sender: str
    bytes: int


class Room:
    """Places of every sender, and bytes of all of them together.

    Args:
        places: batches of one sender that may be waiting or running.
        most: bytes on disk.
        kept: seconds for which results stay.
    """

    def __init__(self, places: int, most: int, kept: float):
        self.places, self.most, self.kept = places, most, kept
        self.pace = _PACE
        self._arriving: list[_Arrival] = []

    @contextmanager
    def hold(self, batches: Iterable[Held], sender: str, size: int) -> Iterator[None]:
        """A place and room on disk for what is being sent.

        Args:
            batches: all there are, in the order in which they are worked off.
            size: bytes of the body; it is stored twice for a moment.

        Raises:
            BatchesFullError: there is no place or no room. It says when there will be.
        """
        batches, arrival = list(batches), _Arrival(sender, 2 * size)
        self._check_place(batches, sender)
        self._check_bytes(batches, arrival.bytes)
        self._arriving.append(arrival)
        try:
            yield
        finally:
            self._arriving.remove(arrival)

    def takes(self, batches: Iterable[Held], size: int) -> Literal["now", "perhaps", "no"]:
        """Whether there is room for so many bytes more; perhaps: what is being sent, and may never come, holds it."""
        left = self._left(batches)
        return "no" if left < size else "now" if left - self._coming >= size else "perhaps"

    def _left(self, batches: Iterable[Held]) -> int:
        """Bytes that these batches leave free."""
        return self.most - sum(max(each.bytes, _LEAST) for each in batches)

    @property
    def _coming(self) -> int:
        return sum(each.bytes for each in self._arriving)

    def _check_place(self, batches: list[Held], sender: str) -> None:
        waits = [wait for batch, wait in self._ends(batches) if batch.sender == sender]
        arriving = sum(each.sender == sender for each in self._arriving)
        if len(waits) + arriving >= self.places:
            wait = min(waits, default=_ARRIVAL)
            raise BatchesFullError(
                f"{len(waits) + arriving} of your batches are being sent, waiting or running, and at most "
                f"{self.places} may be; one should be done in about {wait:.0f} s",
                wait,
            )

    def _check_bytes(self, batches: list[Held], size: int) -> None:
        left = self._left(batches) - self._coming - size
        if left >= 0:
            return
        now = time.monotonic()
        freed = [(each.ended + self.kept - now, max(each.bytes, _LEAST)) for each in batches if each.ended is not None]
        freed += [(wait, batch.sent) for batch, wait in self._ends(batches)]
        freed += [(_ARRIVAL, each.bytes) for each in self._arriving]
        wait = self.kept
        for after, freeing in sorted(freed):
            left += freeing
            if left >= 0:
                wait = after
                break
        raise BatchesFullError(
            f"there is no room for another batch: at most {self.most / 1e6:,.0f} MB of batches are kept; "
            f"there should be some in about {math.ceil(wait)} s",
            wait,
        )

    def _ends(self, batches: list[Held]) -> Iterator[tuple[Held, float]]:
        """Batches that are not over and the seconds until each should be; they are worked off one after the other."""
        total = 0.0
        for batch in batches:
            if not batch.over:
                total += batch.images_left * self.pace
                yield batch, max(total, 1.0)
