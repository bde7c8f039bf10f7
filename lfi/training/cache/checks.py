"""What a teacher answers, checked before it is kept: shapes, sums, and finite numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lfi.data.imageset import ImageSet
from lfi.errors import DataError
from lfi.training.cache.compression import COMPRESSED
from lfi.training.cache.settings import Settings

Answers = dict[str, np.ndarray]
"""By field, one row per image."""

WORDS = 8
"""Words of an image that are kept, unless the teacher answers with more at once."""

_TYPES = {"words": np.dtype(bool), "names": np.dtype(np.int64), "presence": np.dtype(np.float32)}
_AXES = {"maps": 4, "logits": 2, "latents": 2, "activations": 3, "attentions": 4, "words": 2, "names": 2, "presence": 2}
_SUM = 0.01  # how far a map's sum may be from 1: half precision over a thousand patches


def checked(
    ask: Callable[[np.ndarray], Answers], images: ImageSet, settings: Settings, width: int = 0
) -> Callable[[np.ndarray], Answers]:
    """`ask`, with its answers checked, of one type, and padded to one number of words.

    That number is `width` or, where that is 0, the larger of the first answer's and of the most words of any image (at
    most `WORDS`). Padding has `words` False, `names` and `presence` 0 and uniform maps.
    """
    fixed, width = width > 0, width or min(WORDS, max(map(len, images.words)))
    wanted: tuple[str, ...] = ()

    def answer(rows: np.ndarray) -> Answers:
        nonlocal width, wanted
        found = ask(rows)
        if not wanted:
            needed = ("words", "names") if "maps" in settings.fields else ()
            wanted = tuple(dict.fromkeys((*settings.fields, *needed, *(found.keys() & _TYPES.keys()))))
            if "words" in found and not fixed:
                width = max(width, np.shape(found["words"])[1])
        absent = [name for name in wanted if name not in found]
        if absent:
            raise DataError(f"the teacher answered {', '.join(found)}, but not {', '.join(absent)}")
        values = {name: _typed(name, found[name], rows, images) for name in wanted}
        for name in values.keys() & _TYPES.keys():
            values[name] = _pad(values[name], 1, width)
        if "maps" in values:
            values["maps"] = _maps(_pad(values["maps"], 2, width), values["words"], rows, images)
        return values

    return answer


def _typed(name: str, field: np.ndarray, rows: np.ndarray, images: ImageSet) -> np.ndarray:
    values: np.ndarray = np.asarray(field, _TYPES.get(name, np.dtype(np.float32)))
    if values.ndim != _AXES[name] or len(values) != len(rows):
        raise DataError(
            f"the teacher's {name} are {values.shape} for {len(rows)} images; {_AXES[name]} axes were expected"
        )
    good = np.isfinite(values)
    if name in COMPRESSED:
        good &= values >= 0
    if not good.all():
        row = int(np.flatnonzero(~good.reshape(len(rows), -1).all(1))[0])
        raise DataError(
            f"the teacher's {name} of {images.ids[rows[row]]} hold {values[row][~good[row]][0]}; "
            f"{'finite numbers, 0 or more,' if name in COMPRESSED else 'finite numbers'} were expected"
        )
    return values


def _pad(values: np.ndarray, axis: int, width: int) -> np.ndarray:
    missing = width - values.shape[axis]
    if missing < 0:
        raise DataError(
            f"the teacher answered for {values.shape[axis]} words of an image; {width} at most were expected"
        )
    return np.pad(values, [(0, missing if each == axis else 0) for each in range(values.ndim)])


def _maps(maps: np.ndarray, words: np.ndarray, rows: np.ndarray, images: ImageSet) -> np.ndarray:
    real = np.broadcast_to(words[:, None], maps.shape[:3])
    sums = maps.sum(-1)
    wrong = real & (np.abs(sums - 1) > _SUM)
    if wrong.any():
        row = int(np.flatnonzero(wrong.any((1, 2)))[0])
        raise DataError(
            f"a teacher map of {images.ids[rows[row]]} sums to {sums[row][wrong[row]][0]:.4g}; 1 was expected"
        )
    return np.where(real[..., None], maps, np.float32(1 / maps.shape[-1]))
