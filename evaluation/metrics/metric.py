"""What a metric declares, and what happens where its value is undefined."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Category = Literal["localisation", "gaze", "agreement", "faithfulness", "robustness", "classification"]


class UndefinedWarning(UserWarning):
    """Some values of a metric are NaN, since what they ask makes no sense there (an empty mask, say)."""


@dataclass(frozen=True)
class Metric:
    """A number for every case, with what is needed to read it.

    Attributes:
        name: as shown in tables.
        category: what is handed to it.
            `localisation`: maps `[n, rows, columns]` and masks `[n, height, width]`.
            `gaze`: maps, and how often every pixel was fixated `[n, height, width]`.
            `agreement`: maps and other maps on the same grid.
            `faithfulness`: maps, the images `[n, 3, height, width]` and a function that scores images, `[n]`.
            `robustness`: a function that explains images, and the images.
            `classification`: probabilities `[n, class]` and labels `[n]`.
        unit: of the values.
        better: `higher` or `lower`.
        values: computes float32 `[n]`, NaN where undefined; `[1]` where cases have no value of their own.
        bounds: of the values.
    """

    name: str
    category: Category
    unit: str
    better: Literal["higher", "lower"]
    values: Callable[..., Tensor]
    bounds: tuple[float, float] = (0.0, 1.0)

    def __call__(self, *inputs: object, **options: object) -> Tensor:
        """The values, float32 `[n]`; warns where some are undefined."""
        values = self.values(*inputs, **options)
        undefined = int(torch.isnan(values).sum())
        if undefined:
            warnings.warn(f"{self.name}: {undefined} of {values.numel()} values are undefined", UndefinedWarning, 2)
        return values

    def best(self, scores: Tensor) -> int:
        """Index of the best of these `[k]`; NaN is never the best where anything else is there."""
        sign = 1 if self.better == "higher" else -1
        return int(torch.nan_to_num(sign * scores, nan=-float("inf")).argmax())
