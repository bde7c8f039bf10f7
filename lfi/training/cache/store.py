"""Reading a teacher cache: the rows asked for, from memory maps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lfi.data.imageset import ImageSet
from lfi.errors import DataError
from lfi.training.cache.compression import arrays_of, expand
from lfi.training.cache.files import damage, path_of
from lfi.training.cache.index import Index, read_index, read_samples
from lfi.training.cache.samples import locate, samples_of
from lfi.training.cache.settings import Settings
from lfi.training.objective_config import WORD_FIELDS

_OPEN = 512  # memory maps held open at once: each takes a file descriptor


def open_store(folder: Path, images: ImageSet, settings: Settings, *, verify: bool = True) -> Store:
    """The teacher's answers for `images`, which may be a part of those it was built for, in any order.

    Args:
        verify: read every file that is needed and compare its checksum; else only the files' sizes are checked.

    Raises:
        ConfigError: it is of another teacher or other settings; it says in what they differ.
        DataError: it is missing, unfinished or damaged, or images are missing from it or have changed; it says which.
    """
    index = read_index(folder)
    index.settings.require(settings, folder)
    finished = sum(files is not None for files in index.shards)
    if finished < len(index.shards):
        raise DataError(
            f"the teacher cache {folder} is unfinished ({finished} of {len(index.shards)} shards); "
            "`lfi cache CONFIG` continues it"
        )
    at = locate(read_samples(folder, index), samples_of(images), folder)
    fields = tuple(name for name in (*settings.fields, *WORD_FIELDS) if name in index.arrays)
    _check(folder, index, np.unique(at // index.shard), fields, verify)
    return Store(folder, index, at, fields)


def _check(folder: Path, index: Index, numbers: np.ndarray, fields: tuple[str, ...], verify: bool) -> None:
    names = [array for name in fields for array in arrays_of(name)]

    def wrong(number: int) -> str | None:
        files = index.shards[number] or {}
        return damage(folder, number, {name: files[name] for name in names}, verify=verify)

    with ThreadPoolExecutor() as pool:
        found = pool.map(wrong, numbers.tolist())
        found = tqdm(found, desc="checking the teacher cache", total=len(numbers), unit="shard", leave=False, delay=2)
        lines = [line for line in found if line]
    if lines:
        more = f" (and {len(lines) - 1} more shards are damaged)" if len(lines) > 1 else ""
        raise DataError(f"{lines[0]}{more}; `lfi cache CONFIG` rebuilds the damaged parts")


class Store:
    """A teacher's answers for `n` images, in their order. Made by `open_store`.

    Attributes:
        settings: what the store was built with.
        fields: what is read of it.
        error: by lossy field the measured `mean` and `max` distance of what is read from what the teacher answered.
    """

    def __init__(self, folder: Path, index: Index, at: np.ndarray, fields: tuple[str, ...]):
        self.folder, self.settings, self.fields, self.error = folder, index.settings, fields, index.error
        self._index, self._at = index, at
        self._map = lru_cache(_OPEN)(self._open)

    def __len__(self) -> int:
        return len(self._at)

    def __getstate__(self) -> dict[str, Any]:  # worker processes map the files themselves
        return {name: value for name, value in self.__dict__.items() if name != "_map"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map = lru_cache(_OPEN)(self._open)

    def _open(self, number: int, name: str) -> np.ndarray:
        return np.load(path_of(self.folder, number, name), mmap_mode="r", allow_pickle=False)

    def rows(
        self, indices: np.ndarray | Tensor | Sequence[int], fields: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """The answers for some images, in the order of `indices` (which may repeat).

        Args:
            fields: some of `self.fields`; all by default.

        Returns:
            By field a tensor of one row for each index: float32 `maps` (each summing to 1), `logits`, `latents`,
            `activations`, `attentions`, `presence`; bool `words`; int64 `names`.

        Raises:
            DataError: a field that was not asked for when the store was opened.
            IndexError: an index beyond the images.
        """
        at = self._at[torch.as_tensor(indices, dtype=torch.int64).cpu().numpy()]
        order = np.argsort(at, kind="stable")
        at = at[order]
        numbers, starts = np.unique(at // self._index.shard, return_index=True)
        edges = [*starts.tolist(), len(at)]
        pieces = [
            (number, at[start:end] - number * self._index.shard, order[start:end])
            for number, start, end in zip(numbers.tolist(), edges, edges[1:], strict=False)
        ]
        found = {}
        for name in self.fields if fields is None else fields:
            if name not in self.fields:
                raise DataError(
                    f"{name} were not requested from the teacher cache {self.folder}; {', '.join(self.fields)} were"
                )
            kept = {array: self._gather(array, pieces, len(at)) for array in arrays_of(name)}
            found[name] = torch.from_numpy(expand(name, kept))
        return found

    def _gather(self, name: str, pieces: list[tuple[int, np.ndarray, np.ndarray]], count: int) -> np.ndarray:
        array = self._index.arrays[name]
        values = np.empty((count, *array.shape), array.dtype)
        for number, rows, places in pieces:
            values[places] = self._map(number, name)[rows]
        return values

    def field(self, name: str) -> Tensor:
        """A field of all images: for small ones, as `logits`, `latents`, `words` and `names`."""
        return self.rows(np.arange(len(self)), (name,))[name]
