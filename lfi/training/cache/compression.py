"""Maps, activations and attentions in 2 bytes a value or in 1.

`float16`: the value itself. `uint8`: `q = round(255 (p / max)^(1/3))`, companded because attention is mostly small
values next to few large ones: the largest is exact, and only what is below 8e-9 of it becomes 0. Maps are renormalised
to sum 1 when read, so they need no scale; of activations and attentions the largest value of every row (last axis) is
kept with them as float32, in both precisions, and the row in units of it.

Total-variation distance (half the sum of absolute differences) between a map and what is read back, on softmaxed
scores of standard deviation 1 to 4 over 64 to 576 patches: `float16` 8e-5 on average and 2e-4 at most; `uint8` 3e-3 and
5e-3 (square roots instead of cube roots: 3e-3 and 9e-3).
"""

from __future__ import annotations

import numpy as np

COMPRESSED = ("maps", "activations", "attentions")
TOLERANCE = {"float16": 3e-4, "uint8": 7e-3}
"""Largest total-variation distance between a map and what is read back, with margin; a test holds it."""

_LEVELS = 255
_VALUES = (np.arange(_LEVELS + 1, dtype=np.float32) / _LEVELS) ** 3
_SCALE = ".scale"


def compress(name: str, values: np.ndarray, precision: str) -> dict[str, np.ndarray]:
    """What to keep of a field, by the name of the array.

    Args:
        values: float32, not negative where it is one of `COMPRESSED`; other fields are kept as they are.
    """
    if name not in COMPRESSED:
        return {name: values}
    kept = {}
    largest = values.max(-1, keepdims=True)
    if name != "maps":
        kept[name + _SCALE] = largest[..., 0]
    if name != "maps" or precision == "uint8":
        values = values / np.where(largest > 0, largest, 1)
    kept[name] = values.astype(np.float16) if precision == "float16" else _quantise(values)
    return kept


def _quantise(shares: np.ndarray) -> np.ndarray:
    return np.rint(_LEVELS * np.cbrt(shares)).astype(np.uint8)


def expand(name: str, kept: dict[str, np.ndarray]) -> np.ndarray:
    """The reverse of `compress`: float32 for what was compressed, maps summing to 1."""
    values = kept[name]
    if name not in COMPRESSED:
        return values
    values = _VALUES[values] if values.dtype == np.uint8 else values.astype(np.float32)
    if name == "maps":
        return values / values.sum(-1, keepdims=True)
    return values * kept[name + _SCALE][..., None]


def arrays_of(name: str) -> tuple[str, ...]:
    """Names of the arrays that a field is kept as."""
    return (name, name + _SCALE) if name in COMPRESSED and name != "maps" else (name,)


def distances(name: str, exact: np.ndarray, read: np.ndarray, words: np.ndarray | None) -> np.ndarray:
    """How far what is read back is off, a value per map or row: total variation of maps, relative (L2) of others.

    Args:
        exact, read: `[n, layer, k, patch]` maps, or any other field.
        words: bool `[n, k]`, which maps count; None for other fields.
    """
    if name == "maps":
        assert words is not None
        exact = exact / exact.sum(-1, keepdims=True)
        return 0.5 * np.abs(exact - read).sum(-1).swapaxes(1, 2)[words].ravel()
    size = np.linalg.norm(exact, axis=-1)
    return (np.linalg.norm(exact - read, axis=-1) / np.where(size > 0, size, 1)).ravel()
