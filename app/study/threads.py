"""Threads of their own for what waits for the database, so that a lock or a slow server keeps nobody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from app.failures import BusyError

T = TypeVar("T")


class Threads:
    """A few threads; whoever comes when too many wait for them is told to come back.

    Args:
        count: of threads.
        places: calls that may be running or waiting.
    """

    def __init__(self, count: int, places: int = 200):
        self.places = places
        self.inside = 0
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="study")

    async def run(self, step: Callable[..., T], *arguments: object) -> T:
        """What `step` returns, run in one of the threads.

        Raises:
            BusyError: all places are taken.
        """
        if self.inside >= self.places:
            raise BusyError(f"{self.inside} requests are waiting already; try again in a moment")
        call = partial(copy_context().run, step, *arguments)
        self.inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self.inside -= 1
