"""The teacher's answers, once for each image, in a folder that any number of runs read from.

A store is built for a list of images and can be read for any of them, in any order. It refuses, by name, another
teacher, other settings (`settings.py`) and images of which anything changed that the teacher saw
(`samples.py`). Its files (`files.py`) are memory-mapped; maps, activations and attentions are kept in two
bytes per value or in one (`compression.py`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lfi.data.imageset import ImageSet
from lfi.errors import ConfigError, DataError
from lfi.training.cache.checks import Answers, checked
from lfi.training.cache.compression import COMPRESSED, compress, distances, expand
from lfi.training.cache.files import Array, ShardWriter, alone, damage, unfinished
from lfi.training.cache.index import Index, is_begun, read_index, read_samples, samples_text, write_index, write_samples
from lfi.training.cache.samples import Samples, locate, samples_of
from lfi.training.cache.settings import Settings


@dataclass(frozen=True)
class Report:
    """What a build did.

    Attributes:
        bytes: of the whole store on disk.
        announced: bytes that were announced before the teacher was asked.
        made, kept: shards.
        error: by lossy field, `mean` and `max` distance between what the teacher answered and what is read back:
            total variation of maps, relative (L2) of a row of activations or attentions.
    """

    bytes: int
    announced: int
    made: int
    kept: int
    error: dict[str, dict[str, float]]


def build(
    folder: Path,
    images: ImageSet,
    settings: Settings,
    ask: Callable[[np.ndarray], Answers],
    *,
    shard: int = 4096,
    batch: int = 64,
    title: str = "asking the teacher",
) -> Report:
    """Ask the teacher about every image and keep what it answers; go on where an earlier call was broken off.

    Finished shards are kept if their checksums hold; a line says which are made again. A finished store that holds
    all of `images`, whatever their order and among whatever others, is left as it is.

    Args:
        ask: rows of `images` (int64) to float32 `maps` `[n, layer, k, patch]`, each summing to 1, `logits`
            `[n, class]`, `latents` `[n, dim]`, `activations` `[n, layer, patch]`, `attentions`
            `[n, layer, 1 + patch, patch]`, `words` bool `[n, k]`, `names` int64 `[n, k]`: those of `settings.fields`,
            `words` and `names` also where maps are among them; `presence` float32 `[n, k]` if it is answered. `k` may
            differ between batches.
        shard: images of a shard; an unfinished store keeps its own.
        batch: images of one question.

    Raises:
        ConfigError: the folder holds answers of another teacher or to other questions.
        DataError: it is being built by another process, is of other images, does not fit the disk, or the teacher
            answered what cannot be kept.
    """
    if not len(images):
        raise DataError("there are no images to ask the teacher about")
    samples = samples_of(images)
    text = samples_text(samples)
    with alone(folder):
        index = _reopen(folder, samples, text, settings)
        width = index.arrays["words"].shape[0] if index and "words" in index.arrays else 0
        answer = checked(ask, images, settings, width)
        first = None
        if index is None:
            first = answer(np.arange(min(batch, shard, len(images))))
            index = _plan(settings, text, len(images), shard, first)
        announced = index.bytes(len(text))
        missing = [number for number, files in enumerate(index.shards) if files is None]
        kept = len(index.shards) - len(missing)
        there = f"; {kept} of {len(index.shards)} shards are there" if kept else ""
        print(
            f"{title}: {index.count:,} images of {index.row_bytes:,} bytes each, {_readable(announced)} "
            f"({announced:,} bytes) in {folder}{there}",
            flush=True,
        )
        if missing:
            _room(folder, announced * len(missing) // len(index.shards))
            write_samples(folder, text)
            write_index(folder, index)
        done = index.count - sum(len(index.rows(number)) for number in missing)
        with tqdm(total=index.count, initial=done, desc=title, unit="image", disable=not missing) as bar:
            for number in missing:
                _shard(folder, index, number, answer, batch, first if number == 0 else None, bar)
                write_index(folder, index)
        for name, error in index.error.items():
            print(f"{name} in {settings.precision}: off by {error['mean']:.1e} on average, {error['max']:.1e} at most")
        size = sum(path.stat().st_size for path in folder.iterdir())
        return Report(size, announced, len(missing), kept, index.error)


def _reopen(folder: Path, samples: Samples, text: bytes, settings: Settings) -> Index | None:
    """What is there already, damaged shards left out; None where there is nothing."""
    for number in unfinished(folder):
        print(f"shard {number} of {folder} was broken off: it is made again", flush=True)
    if not is_begun(folder):
        return None
    index = read_index(folder)
    index.settings.require(settings, folder)
    same = hashlib.sha256(text).hexdigest() == index.samples
    if same:
        write_samples(folder, text)  # in case it was damaged
    else:
        locate(read_samples(folder, index), samples, folder)
    for number, files in enumerate(index.shards):
        wrong = files and damage(folder, number, files, verify=True)
        if wrong:
            print(f"{wrong}: shard {number} is made again", flush=True)
            index.shards[number] = index.errors[number] = None
    if None in index.shards:
        if not same:
            raise DataError(
                f"the teacher cache {folder} is unfinished or damaged, and is for {index.count:,} images; the "
                f"{len(samples):,} given are part of them or in another order: finish it with all of them, or remove it"
            )
        if set(index.settings.fields) != set(settings.fields):
            raise ConfigError(
                f"the teacher cache {folder} is unfinished or damaged, and holds {', '.join(index.settings.fields)}: "
                "finish it with these fields, or remove it"
            )
    return index


def _plan(settings: Settings, text: bytes, count: int, shard: int, first: Answers) -> Index:
    arrays = {
        key: Array(values.dtype.str, values.shape[1:])
        for name, field in first.items()
        for key, values in compress(name, field, settings.precision).items()
    }
    return Index(settings, hashlib.sha256(text).hexdigest(), count, shard, arrays)


def _shard(
    folder: Path,
    index: Index,
    number: int,
    answer: Callable[[np.ndarray], Answers],
    batch: int,
    first: Answers | None,
    bar: tqdm,
) -> None:
    """Make one shard; `first`, if given, is the answer to its first batch."""
    rows = np.array(index.rows(number))
    off: dict[str, list[np.ndarray]] = {}
    with closing(ShardWriter(folder, number, len(rows), index.arrays)) as writer:
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            fields = first if first is not None and start == 0 else answer(part)
            kept = {name: compress(name, values, index.settings.precision) for name, values in fields.items()}
            writer.append({name: array for arrays in kept.values() for name, array in arrays.items()})
            for name in fields.keys() & set(COMPRESSED):
                off.setdefault(name, []).append(
                    distances(name, fields[name], expand(name, kept[name]), fields.get("words"))
                )
            bar.update(len(part))
        index.shards[number] = writer.finish()
    index.errors[number] = {
        name: (float(np.sum(values)), len(values), float(values.max(initial=0)))
        for name, values in ((name, np.concatenate(parts)) for name, parts in sorted(off.items()))
    }


def _room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise DataError(f"the teacher cache needs {_readable(wanted)} in {folder}, where {_readable(free)} are free")


def _readable(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
