"""How fast a run is: images per second, the share of time it waits for data, and model FLOPs utilisation (MFU)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lfi.training import randomness

PEAKS = {
    "B200": 2250e12,
    "GH200": 989e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800": 989e12,
    "H20": 148e12,
    "A100": 312e12,
    "A800": 312e12,
    "A10G": 70e12,
    "A10": 125e12,
    "A30": 165e12,
    "A40": 150e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
    "MI250X": 383e12,
}
"""Dense bfloat16 FLOP/s from the vendors' data sheets, by words of the device's name; the first that fits counts."""


def peak_flops(name: str) -> float | None:
    """Dense bfloat16 FLOP/s of a GPU, None where it is not known."""
    return next((peak for words, peak in PEAKS.items() if re.search(rf"\b{words}\b", name)), None)


def step_flops(task: nn.Module, batch: dict[str, Tensor], autocast: bool) -> int:
    """Floating-point operations of forward and backward on one batch (matrix products and convolutions).

    Runs the task once and leaves neither gradients nor drawn random numbers behind.
    """
    device = next(iter(batch.values())).device
    buffers = {name: buffer.clone() for name, buffer in task.named_buffers()}
    with randomness.untouched(device), FlopCounterMode(display=False) as counter:
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            loss = task(batch)["loss"]
        loss.backward()
    task.zero_grad(set_to_none=True)
    for name, buffer in task.named_buffers():
        buffer.copy_(buffers[name])
    return counter.get_total_flops()


class Meter:
    """Times of the steps since the figures were last read.

    Args:
        utilisation: FLOPs of a step over the device's FLOP/s, in seconds; None where either is unknown.
    """

    def __init__(self, utilisation: float | None = None):
        self.utilisation = utilisation
        self._clear()

    def _clear(self) -> None:
        self.images = self.steps = 0
        self.waited = self.worked = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wraps the wait for a batch."""
        before = time.perf_counter()
        yield
        self.waited += time.perf_counter() - before

    @contextmanager
    def working(self, images: int) -> Iterator[None]:
        """Wraps a step on `images` images, counted over all processes."""
        before = time.perf_counter()
        yield
        self.worked += time.perf_counter() - before
        self.images += images
        self.steps += 1

    def read(self) -> dict[str, float]:
        """`images/s`, `data wait` (a share) and, where known, `MFU` (a share); then starts over."""
        seconds = self.waited + self.worked
        figures = {"images/s": self.images / seconds, "data wait": self.waited / seconds}
        if self.utilisation is not None:
            figures["MFU"] = self.utilisation * self.steps / seconds
        self._clear()
        return figures
