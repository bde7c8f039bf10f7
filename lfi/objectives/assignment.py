"""Which Interaction Query stands for which word: one optimal assignment per image, the same in every layer.

An assignment per layer exists to be compared with: there a query may stand for another word in every layer.
"""

from __future__ import annotations

import lap
import numpy as np
import torch
from torch import Tensor

_BARRED = 1e6  # the price of a row or column that only pads


def cross_entropy_cost(teacher: Tensor, log_student: Tensor) -> Tensor:
    """Cost of standing query `m` for word `k`: `(1/L) sum_l CE(T[k, l], S[m, l])`.

    Args:
        teacher: teacher maps `[batch, layer, word, patch]`.
        log_student: log of the student's maps `[batch, layer, query, patch]`.

    Returns:
        `[batch, word, query]`.
    """
    return -torch.einsum("blkp,blmp->bkm", teacher, log_student) / teacher.shape[1]


def cross_entropy_cost_per_layer(teacher: Tensor, log_student: Tensor) -> Tensor:
    """`CE(T[k, l], S[m, l])`, of which `cross_entropy_cost` is the mean over layers: `[batch, layer, word, query]`."""
    return -teacher @ log_student.transpose(-1, -2)


def assign(cost: Tensor, words: Tensor) -> Tensor:
    """Minimum-cost assignment of words to queries for a whole batch (Jonker-Volgenant, batched in C++ by lapx).

    Args:
        cost: `[batch, word, query]`.
        words: bool `[batch, word]`, False where a row only pads.

    Returns:
        int64 `[batch, word]`: the query of each word; -1 for padding, and for words left over where an image has more
        words than there are queries.
    """
    batch, rows = cost.shape[:2]
    costs = cost.detach().float().masked_fill(~words[..., None], _BARRED).cpu().double().numpy()
    queries, left = lap.lapjvx_batch(costs, extend_cost=True, return_cost=False, n_threads=1)
    found = np.full((batch, rows), -1, np.int64)
    image = np.repeat(np.arange(batch), [len(row) for row in queries])
    found[image, np.concatenate(queries)] = np.concatenate(left)
    found[~words.cpu().numpy()] = -1
    return torch.from_numpy(found).to(cost.device)


def assign_per_layer(cost: Tensor, words: Tensor) -> Tensor:
    """As `assign`, but every layer on its own: what persistence is compared with.

    Args:
        cost: `[batch, layer, word, query]`.
        words: bool `[batch, word]`.

    Returns:
        int64 `[batch, layer, word]`.
    """
    batch, layers, rows = cost.shape[:3]
    repeated = words[:, None].expand(batch, layers, rows)
    return assign(cost.flatten(0, 1), repeated.flatten(0, 1)).unflatten(0, (batch, layers))


def pick(values: Tensor, assignment: Tensor, dim: int) -> Tensor:
    """`values` with its query axis `dim` reordered to words; unmatched words take query 0 and must be masked.

    Args:
        values: `[batch, ..., query, ...]`.
        assignment: `[batch, word]` as from `assign`, or `[batch, layer, word]` as from `assign_per_layer`, where
            axis 1 of `values` is the layer.
    """
    shape = [1] * values.ndim
    shape[: assignment.ndim - 1] = assignment.shape[:-1]
    shape[dim] = assignment.shape[-1]
    index = assignment.clamp_min(0).view(shape)
    target = list(values.shape)
    target[dim] = assignment.shape[-1]
    return values.gather(dim, index.expand(target))
