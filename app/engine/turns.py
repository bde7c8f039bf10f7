"""Admission: a bounded number of requests, a time limit for each, a bounded number of pixels being decoded.

A request passes `Admission.run`, which refuses it immediately if too many are waiting already, gives up on it if its
time runs out while it waits, and forgets it when its client has gone. Work that has begun is finished: a thread cannot
be stopped, but it asks its `Turn` before every step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from app.failures import BusyError, GoneError, LateError

T = TypeVar("T")
_LOOK = 0.1
"""Seconds between two looks at whether a waiting request is still wanted."""


class Turn:
    """One request's right to be worked on. Safe to use from several threads.

    Args:
        seconds: from now until it is too late.
        gone: set when nobody waits for the answer any more.
    """

    def __init__(self, seconds: float = float("inf"), gone: threading.Event | None = None):
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._gone = gone or threading.Event()

    @property
    def left(self) -> float:
        """Seconds until it is too late, not below 0."""
        return max(0.0, self._end - time.monotonic())

    def abandon(self) -> None:
        """Nobody is waiting for the answer any more."""
        self._gone.set()

    def renewed(self) -> Turn:
        """The turn of the next step of a request that asks for many maps: each step has the time of one request."""
        return Turn(self.seconds, self._gone)

    def check(self) -> None:
        """Return if the work is still wanted.

        Raises:
            GoneError, LateError: there is none.
        """
        if self._gone.is_set():
            raise GoneError("the client has gone")
        if not self.left:
            raise LateError(f"the answer took more than {self.seconds:g} s; try again in a moment")

    def wait(self, condition: threading.Condition, ready: Callable[[], bool]) -> None:
        """Wait, holding `condition`, until `ready`.

        Raises:
            GoneError, LateError: as `check`, and it was not ready by then.
        """
        while not ready():
            self.check()
            condition.wait(min(self.left, _LOOK))


class Pixels:
    """How many pixels may be decoded at a time. An image that is larger than the whole budget is let in alone."""

    def __init__(self, most: int):
        self.most = most
        self._taken = 0
        self._freed = threading.Condition()

    @contextmanager
    def held(self, count: int, turn: Turn) -> Iterator[None]:
        """Hold `count` pixels while the block runs; wait for them first.

        Raises:
            GoneError, LateError: they were not free in time.
        """
        with self._freed:
            turn.wait(self._freed, lambda: not self._taken or self._taken + count <= self.most)
            self._taken += count
        try:
            yield
        finally:
            with self._freed:
                self._taken -= count
                self._freed.notify_all()


class Admission:
    """Lets requests in.

    Args:
        places: requests that may be running or waiting at a time.
        threads: of those, how many may be running; others may take some of them.
        seconds: time for one request, waiting included.
    """

    def __init__(self, places: int, threads: anyio.CapacityLimiter, seconds: float):
        self.places = places
        self.seconds = seconds
        self.inside = 0
        self._threads = threads

    async def run(self, work: Callable[[Turn], T], gone: Callable[[], Awaitable[None]] | None = None) -> T:
        """Do the work in a thread.

        Args:
            gone: returns when the client has gone.

        Raises:
            BusyError: all places are taken.
            LateError: the time was over before the work was done.
            GoneError: the client went before the work was begun or done.
        """
        if self.inside >= self.places:
            raise BusyError(f"{self.inside} requests are waiting already; try again in a moment")
        turn = Turn(self.seconds)
        self.inside += 1
        try:
            return await self._with_watch(work, turn, gone)
        finally:
            self.inside -= 1

    async def _with_watch(self, work: Callable[[Turn], T], turn: Turn, gone: Callable[[], Awaitable[None]] | None) -> T:
        answers: list[T] = []
        failures: list[Exception] = []

        async def watch() -> None:
            assert gone is not None
            await gone()
            turn.abandon()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            if gone is not None:
                tasks.start_soon(watch)
            # What waits for a thread is cancelled; what a thread has begun is waited for, and looks at its turn itself.
            with anyio.move_on_after(turn.left):
                try:
                    answers.append(await anyio.to_thread.run_sync(work, turn, limiter=self._threads))
                except Exception as error:  # out of the group as itself, not as a group of one
                    failures.append(error)
            tasks.cancel_scope.cancel()
        if failures:
            raise failures[0]
        if not answers:
            turn.check()
            raise LateError(f"the answer took more than {turn.seconds:g} s; try again in a moment")
        return answers[0]
