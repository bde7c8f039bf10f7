"""Batches on their way to the loop: this process's share, on its device, prepared ahead where a GPU waits for them."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from lfi.training.distributed import Processes


class Data(Protocol):
    """A source of batches that are a function of the step, and of nothing else: not of the global random generators.

    `batch` may also take `rank` and `world` and return only that process's rows `rank::world`; else it returns the
    whole batch, of which the loop takes them. A value whose length is the number of images has one entry per image;
    an attribute `shared` may name values that only happen to be as long.
    """

    @property
    def steps_per_epoch(self) -> int: ...

    def batch(self, step: int) -> dict[str, Tensor]: ...


class Feed:
    """Iterates over this process's batches for the steps `start` to `stop`, in order.

    Args:
        ahead: batches that a thread prepares while the loop works; 0 makes each when it is asked for.
    """

    def __init__(self, data: Data, processes: Processes, start: int, stop: int, ahead: int = 0):
        self.data, self.processes, self.steps, self.ahead = data, processes, range(start, stop), ahead
        self.shared = frozenset(getattr(data, "shared", ()))
        parameters = inspect.signature(data.batch).parameters
        self._own = processes.world > 1 and "rank" in parameters and "world" in parameters

    def __iter__(self) -> Generator[dict[str, Tensor], None, None]:
        if not self.ahead:
            for step in self.steps:
                yield self._place(self.batch(step))
            return
        waiting: deque[Future[dict[str, Tensor]]] = deque()
        pool = ThreadPoolExecutor(1, "batches")
        try:
            for step in self.steps:
                waiting.append(pool.submit(self.batch, step))
                if len(waiting) > self.ahead:
                    yield self._place(waiting.popleft().result())
            while waiting:
                yield self._place(waiting.popleft().result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, step: int) -> dict[str, Tensor]:
        """This process's rows of one step, pinned where they go to a GPU."""
        if self._own:
            batch = self.data.batch(step, rank=self.processes.rank, world=self.processes.world)  # type: ignore[call-arg]
        else:
            batch = self.processes.rows(self.data.batch(step), self.shared)
        if self.processes.device.type == "cuda":
            batch = {name: value if value.is_cuda else value.pin_memory() for name, value in batch.items()}
        return batch

    def _place(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        device: torch.device = self.processes.device
        return {name: value.to(device, non_blocking=True) for name, value in batch.items()}
