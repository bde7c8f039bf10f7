"""Which stage of a plan it is, and how much time is left, corrected by how long the stages before it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lfi.training.distil.plan import Plan, spoken

_TRUSTED = 60.0
"""Seconds of work after which the measured speed counts."""


class Progress:
    """Tells of every stage as it begins.

    Args:
        tell: takes a line.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], None]):
        self.stages = {stage.name: stage.seconds for stage in plan.stages}
        self.left, self.tell = dict(self.stages), tell
        self.planned = self.taken = 0.0

    @property
    def factor(self) -> float:
        """How much longer stages take than planned, once that can be told."""
        return self.taken / self.planned if self.taken > _TRUSTED and self.planned > 0 else 1.0

    def there(self, name: str) -> None:
        """A stage was finished by an earlier call."""
        self.left.pop(name, None)
        self._say(name, "finished before")

    @contextmanager
    def stage(self, name: str, before: bool = False) -> Iterator[None]:
        """Around a stage.

        Args:
            before: it was finished by an earlier call, and what it left is only read.
        """
        if before:
            self.there(name)
            yield
            return
        own, in_all = self.factor * self.stages[name], self.factor * sum(self.left.values())
        self._say(name, f"about {spoken(own)}; {spoken(in_all)} left in all")
        start = time.perf_counter()
        yield
        self.left.pop(name, None)
        self.planned += self.stages[name]
        self.taken += time.perf_counter() - start

    def _say(self, name: str, text: str) -> None:
        place = list(self.stages).index(name) + 1
        self.tell(f"{place}/{len(self.stages)} {name}: {text}")
