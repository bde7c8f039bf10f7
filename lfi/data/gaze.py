"""Where people looked: fixations in the layout of OSIE (Xu et al., Journal of Vision 2014).

    fixations.mat    a cell array `fixations`, one struct for each image: `img`, the name of its file, and `subjects`, a
                     cell array with one struct for each observer: `fix_x`, `fix_y` in pixels from the left and the top,
                     `fix_duration` in milliseconds

OSIE has 700 images of 800 x 600 pixels, looked at freely by 15 people for three seconds each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from lfi.errors import DataError, reason


@dataclass(frozen=True, eq=False)
class Gaze:
    """Where people looked in one image.

    Attributes:
        image: name of its file.
        observers: float32 `[fixation, 3]` for everybody who saw it: x, y in pixels, duration in milliseconds, in the
            order in which they were made; duration is NaN where it is not known.
    """

    image: str
    observers: tuple[np.ndarray, ...]

    def counts(self, shape: tuple[int, int], side: int, observers: Sequence[int] | None = None) -> np.ndarray:
        """How often every pixel was fixated, int64 `[side, side]`, with the image squashed to a square.

        Fixations outside the image are left out.

        Args:
            shape: height and width of the image in pixels.
            observers: of whom; everybody's without it.
        """
        chosen = range(len(self.observers)) if observers is None else observers
        points = np.concatenate([np.zeros((0, 2)), *(self.observers[number][:, :2] for number in chosen)])
        places = points / (shape[1], shape[0])
        inside = places[((places >= 0) & (places < 1)).all(1)]
        columns, rows = (inside * side).astype(int).T
        found = np.zeros((side, side), np.int64)
        np.add.at(found, (rows, columns), 1)
        return found


def read_gaze(file: Path) -> list[Gaze]:
    """The fixations of every image in a .mat file of OSIE's layout.

    Raises:
        DataError: a file that cannot be read, or is laid out otherwise.
    """
    if not file.is_file():
        raise DataError(f"{file} is missing; a .mat file with fixations was expected")
    try:
        content = loadmat(file)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(f"{file} cannot be read as MATLAB's format: {reason(error)}") from error
    if "fixations" not in content:
        names = ", ".join(name for name in content if not name.startswith("__"))
        raise DataError(f"{file} holds {names or 'nothing'}; a cell array `fixations` was expected")
    try:
        return [_image(_struct(cell)) for cell in content["fixations"].ravel()]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise DataError(f"{file} is not laid out as OSIE's fixations: {error!r}") from error


def _image(struct: dict[str, Any]) -> Gaze:
    return Gaze(str(struct["img"].ravel()[0]), tuple(_observer(_struct(cell)) for cell in struct["subjects"].ravel()))


def _observer(struct: dict[str, Any]) -> np.ndarray:
    x, y = struct["fix_x"].ravel(), struct["fix_y"].ravel()
    lasted = struct["fix_duration"].ravel() if "fix_duration" in struct else np.full(len(x), np.nan)
    return np.stack([x, y, lasted], 1).astype(np.float32)


def _struct(cell: np.ndarray) -> dict[str, Any]:
    """A struct of size 1 x 1, or a cell that holds one, as a dictionary of arrays."""
    while cell.dtype == object:
        cell = cell.ravel()[0]
    if cell.dtype.names is None:
        raise ValueError(f"a struct was expected, not an array of {cell.dtype}")
    return {name: cell[name].ravel()[0] for name in cell.dtype.names}
