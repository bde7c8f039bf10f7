"""Several processes: this one's rank, its rows of a batch, and what the others hold.

`torchrun` and `accelerate launch` tell a process its place in `RANK`, `WORLD_SIZE`, `LOCAL_RANK` and `MASTER_*`;
without them there is one process and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lfi.errors import ConfigError, TrainingError

T = TypeVar("T")
_PATIENCE = timedelta(hours=3)  # the others wait while process 0 evaluates or fills a cache
_PLACE = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))


@dataclass(frozen=True)
class Processes:
    """This process among all: `rank` of `world`, computing on `device`."""

    rank: int
    world: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this is the process that evaluates, writes and prints."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Figures averaged over all processes. A collective."""
        stacked = torch.stack([value.detach().to(self.device, torch.float64) for value in values.values()])
        if self.world > 1:
            dist.all_reduce(stacked)
            stacked /= self.world
        return dict(zip(values, stacked.tolist(), strict=True))

    def collect(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, by rank, on the CPU. A collective; all have one shape."""
        if self.world == 1:
            return [tensor.cpu()]
        shares = [torch.empty_like(tensor, device=self.device) for _ in range(self.world)]
        dist.all_gather(shares, tensor.to(self.device))
        return [share.cpu() for share in shares]

    def agree(self, value: int | bool, what: str) -> None:
        """Raises TrainingError, everywhere, if the processes hold different values."""
        found = [int(each) for each in self.collect(torch.tensor(int(value)))]
        if len(set(found)) > 1:
            raise TrainingError(f"the processes disagree on {what}: {found}; do they all see the same run folder?")

    def rows(self, batch: dict[str, Tensor], shared: frozenset[str] = frozenset()) -> dict[str, Tensor]:
        """This process's rows `rank::world` of the global batch."""
        if self.world == 1:
            return batch
        rows = rows_of(batch)
        check_shares(rows, self.world)
        return {
            name: value[self.rank :: self.world] if is_per_row(name, value, rows, shared) else value
            for name, value in batch.items()
        }


def connect(device: str | torch.device = "cpu") -> Processes:
    """Join the process group that the launcher describes, once; later calls find it.

    Args:
        device: `cuda` means this process's own GPU.

    Raises:
        ConfigError: there is no such device.
        TrainingError: the launcher started more processes on this machine than it has GPUs.
    """
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"there is no device called {str(device)!r}; cpu or cuda was expected") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"the device is {str(device)!r}, and torch finds no GPU here; use cpu")
    world, rank, local = (int(os.environ.get(name, default)) for name, default in _PLACE)
    if device.type == "cuda" and world > 1:
        if local >= torch.cuda.device_count():
            raise TrainingError(f"process {local} of this machine has no GPU; it has {torch.cuda.device_count()}")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if world > 1 and not dist.is_initialized():
        options: dict[str, Any] = {"device_id": device} if device.type == "cuda" else {}
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE, **options)
        atexit.register(_leave)
    if dist.is_initialized():
        rank, world = dist.get_rank(), dist.get_world_size()
    return Processes(rank, world, device)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def main_first(work: Callable[[], T], processes: Processes) -> T:
    """`work` in process 0, then in the others: what the first one stores (a cache), they find."""
    if not processes.main:
        processes.wait()
    try:
        return work()
    finally:
        if processes.main:
            processes.wait()


def check_shares(rows: int, world: int) -> None:
    """Refuse a batch that processes cannot share evenly: each would weigh its images otherwise than the others.

    Raises:
        ConfigError: says what was expected.
    """
    if rows % world:
        raise ConfigError(f"a batch has {rows} images; a multiple of {world} processes was expected")


def rows_of(batch: Mapping[str, Tensor]) -> int:
    """Images in a batch: the length of `images`, or of the first value where there are none."""
    return len(batch["images"] if "images" in batch else next(iter(batch.values())))


def is_per_row(name: str, value: Tensor, rows: int, shared: frozenset[str]) -> bool:
    """Whether a value has one entry per image; `shared` names those that only happen to be as long."""
    return name not in shared and value.ndim > 0 and len(value) == rows


def micro_batches(batch: dict[str, Tensor], parts: int, shared: frozenset[str]) -> list[dict[str, Tensor]]:
    """The batch cut into consecutive parts, sizes differing by at most one row."""
    if parts == 1:
        return [batch]
    if (rows := rows_of(batch)) < parts:
        raise ConfigError(f"loop.accumulate is {parts}; a process's share of the batch has only {rows} images")
    cut = {name: value.tensor_split(parts) for name, value in batch.items() if is_per_row(name, value, rows, shared)}
    return [{name: cut[name][part] if name in cut else value for name, value in batch.items()} for part in range(parts)]
