"""Random generators as part of a run: seeded, saved, restored; and the deterministic mode.

A generator's state is a tensor, so that a checkpoint needs no pickle. numpy's and Python's states are 32-bit words and
one float, all of which float64 holds exactly.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

_APART = 1_000_003  # between the seeds of two processes, so that runs with seeds 0, 1, 2 share none


def seed(value: int, rank: int = 0) -> None:
    """Seed torch (CPU and CUDA), numpy and Python for one process."""
    value = (value + rank * _APART) % 2**32
    torch.manual_seed(value)
    np.random.seed(value)
    random.seed(value)


def state(device: torch.device) -> dict[str, Tensor]:
    """States of all generators by name: `torch`, `numpy`, `python` and, on a GPU, `cuda`."""
    numpy = np.random.get_state(legacy=False)
    assert isinstance(numpy, dict)
    words = (*numpy["state"]["key"], numpy["state"]["pos"], numpy["has_gauss"], numpy["gauss"])
    _, inner, gauss = random.getstate()
    found = {
        "torch": torch.get_rng_state(),
        "numpy": torch.tensor([float(word) for word in words], dtype=torch.float64),
        "python": torch.tensor([*inner, gauss is not None, gauss or 0.0], dtype=torch.float64),
    }
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def restore(states: Mapping[str, Tensor], device: torch.device) -> None:
    """The reverse of `state`. A state that is missing (a run that moves from CPU to GPU) leaves its generator alone."""
    if "torch" in states:
        torch.set_rng_state(states["torch"])
    if "numpy" in states:
        *key, position, has_gauss, gauss = states["numpy"].tolist()
        np.random.set_state(("MT19937", np.array(key, np.uint32), int(position), int(has_gauss), gauss))
    if "python" in states:
        *inner, has_gauss, gauss = states["python"].tolist()
        random.setstate((3, tuple(int(word) for word in inner), gauss if has_gauss else None))
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def untouched(device: torch.device) -> Iterator[None]:
    """What is drawn inside (an evaluation's samples) does not change what is drawn after."""
    before = state(device)
    try:
        yield
    finally:
        restore(before, device)


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Within, torch refuses operations that have no deterministic implementation; cuDNN chooses none by timing.

    cuBLAS reads its workspace setting when it starts: where a GPU was used before, set `CUBLAS_WORKSPACE_CONFIG`
    outside.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
