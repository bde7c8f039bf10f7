"""A task spread over the processes: replicated (DDP), sharded (FSDP2), or alone and as it is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lfi.training.distributed import Processes


class _Losses(nn.Module):
    """The loss with its graph, all other figures without: DDP looks for unused parameters from what is returned."""

    def __init__(self, task: nn.Module):
        super().__init__()
        self.task = task

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        losses = self.task(batch)
        return losses["loss"], {name: torch.as_tensor(value).detach() for name, value in losses.items()}


class Parallel:
    """A task spread over the processes; the same thing with one process.

    Attributes:
        task: the caller's module, always whole. Under FSDP it lends its weights for evaluation only.
        module: the module whose parameters are trained: `task` itself, or its sharded copy.
    """

    def __init__(self, task: nn.Module, processes: Processes, kind: str = "ddp", compile: bool = False):
        self.task = self.module = task
        self.sharded = kind == "fsdp" and processes.world > 1
        self._ddp: nn.parallel.DistributedDataParallel | None = None
        if processes.world > 1:
            for tensor in (*task.parameters(), *task.buffers()):
                dist.broadcast(tensor.detach(), 0)
        if self.sharded:
            self.module = shard(copy.deepcopy(task), processes)
        call: Any = _Losses(self.module)
        if processes.world > 1 and not self.sharded:
            devices = [processes.device] if processes.device.type == "cuda" else None
            call = self._ddp = nn.parallel.DistributedDataParallel(call, devices, find_unused_parameters=True)
        self._call = torch.compile(call) if compile else call

    def __call__(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of this process's rows, and all named figures, detached."""
        return self._call(batch)

    def synchronised(self, last: bool) -> AbstractContextManager[Any]:
        """Around forward and backward of a micro-batch: gradients are averaged over the processes in the last one."""
        if self.sharded:
            self.module.set_requires_gradient_sync(last)  # type: ignore[operator]
        return self._ddp.no_sync() if self._ddp is not None and not last else nullcontext()

    @torch.no_grad()
    def publish(self, weights: Mapping[str, Tensor]) -> None:
        """Under FSDP: gather the trained weights into `task`, with `weights` (an average) over them. A collective."""
        if self.sharded:
            target = self.task.state_dict()
            for name, value in {**self.module.state_dict(), **weights}.items():
                target[name].copy_(whole(value))


def shard(module: nn.Module, processes: Processes) -> nn.Module:
    """FSDP2 in place: the blocks of every `Sequential` and `ModuleList` are gathered one at a time, the rest together.

    Blocks must be called as modules: code that reads a block's weights past its `forward` finds a share of them.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(processes.device.type, (processes.world,))
    for each in reversed(list(module.modules())):  # the inner ones first
        if isinstance(each, nn.ModuleList | nn.Sequential) and len(each) > 1:
            for block in each:
                if any(True for _ in block.parameters()):
                    fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor gathered (a collective); any other as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # a DTensor, whose import takes seconds


def spread(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, sharded as `like` is; itself where `like` is not sharded or has another shape."""
    if not hasattr(like, "full_tensor") or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = like
    return distribute_tensor(tensor.to(like.device), sharded.device_mesh, sharded.placements)
