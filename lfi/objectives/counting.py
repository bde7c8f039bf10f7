"""Means over a batch that is split over processes, so that W processes train exactly as one with the whole batch.

Every process has an equal share of the images, and DDP averages gradients: the loss of the batch must be the mean of
the processes' losses. A mean over equally many entries is that already. A mean over entries that a mask admits is
not, since shares hold different numbers of words: it divides by `global_count`. A loss that compares images with each
other sees the whole batch through `gathered`.

Where a process group exists, these are collectives: all processes call them, in the same order, or none does.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> int:
    """Number of processes; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def global_count(count: Tensor) -> Tensor:
    """What a process divides its sum by: the count of the whole batch over the number of processes.

    With sums `s_r` and counts `c_r`, `mean_r s_r / (sum_q c_q / W) = sum_r s_r / sum_q c_q`, the mean of the batch.

    Args:
        count: entries (or their weights) in this process's share.

    Returns:
        `count` itself without a process group; never with a gradient in one.
    """
    if (processes := world()) == 1:
        return count
    total = count.detach().clone()
    dist.all_reduce(total)
    return total / processes


def masked_mean(values: Tensor, words: Tensor) -> Tensor:
    """Mean over the entries `words` admits, of the whole batch; 0 where it admits none.

    Args:
        values: any shape.
        words: bool, or how much each entry counts; broadcast to `values`.
    """
    words = words.expand_as(values)
    count = global_count(words.sum(dtype=values.dtype))
    return (values * words).sum() / torch.where(count > 0, count, 1)


class _Gather(torch.autograd.Function):
    """All-gather and its adjoint: the slice's gradient is the sum over the processes' losses.

    Hence after DDP's mean `1/W sum_r (sum_q dL_q/dx_r) dx_r/dtheta = d(mean_q L_q)/dtheta`, whether the processes
    compute the same loss `L_q = L` or each its own part of it.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        shares = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(shares, tensor.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank() * ctx.rows :][: ctx.rows]


def gathered(tensor: Tensor) -> Tensor:
    """The rows of every process, in the order of their ranks; differentiable. No-op without a process group.

    Args:
        tensor: `[share, ...]`, the same shape in every process.

    Returns:
        `[batch, ...]`.
    """
    return tensor if world() == 1 else _Gather.apply(tensor)
