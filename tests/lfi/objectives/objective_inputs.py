"""Inputs of the objectives' tests."""

import torch


def distributions(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(-1)


def words(batch, count, seed=0):
    mask = torch.rand(batch, count, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[:, 0] = True
    return mask


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
