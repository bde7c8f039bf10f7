"""How far a study is that is being drawn, for whoever waits for it: reading, models, maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Tell = Callable[[str, int, int], None]
"""Is told a step, how much of it is done, and of how much."""


def silent(step: str, done: int, of: int) -> None:
    """For those whom nobody waits for."""


@dataclass(frozen=True)
class Drawn:
    """Where a drawing is: `done` of `of` in this step."""

    step: str
    done: int
    of: int


class Drawings:
    """What this process is drawing, by the study's name. It is for the eye: nothing depends on it."""

    def __init__(self) -> None:
        self._now: dict[str, Drawn] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[Tell]:
        """Notes what the drawing of this study tells, and forgets it at the end."""

        def tell(step: str, done: int, of: int) -> None:
            self._now[name] = Drawn(step, done, of)

        try:
            yield tell
        finally:
            self._now.pop(name, None)

    def now(self, name: str) -> Drawn | None:
        """Where the drawing of this study is; None if there is none."""
        return self._now.get(name)
