"""WebDataset shards: tar files that are streamed, for sets that do not fit one machine.

Reading and writing archives is the `webdataset` library's (`archives.py`), what a sample holds is in `members.py`; here
are the order, the counting of what is skipped, and where to go on after a stop. Next to the archives is `classes.json`,
a list of the classes' names, that of class 0 first: `write_shards` adds it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
import webdataset
from torch.utils.data import IterableDataset, get_worker_info
from tqdm.auto import tqdm

from lfi.data.archives import Sample, beside, contents, find_shards, raw_samples
from lfi.data.decode import Fit, Skipped, reason
from lfi.data.imageset import ImageSet
from lfi.data.members import Member, pack, unpack
from lfi.data.notes import Notes, announce
from lfi.errors import DataError
from lfi.writing import whole

JUDGED = 1000
"""The share that may be skipped is taken of at least this many, so that a stream survives a few bad first samples."""

CLASSES = "classes.json"
NUMBERED = "classes that have numbers for names, since there is no classes.json"

_NAMED = 1000
"""Names that a stream keeps of each kind of thing that it does not read."""


class ShardStream(IterableDataset):
    """Samples of shards in a random order that `(seed, epoch)` determines.

    Each is `{"key": "SHARD/NAME", "image": uint8 [size, size, 3], "caption": str, "label": int}`, with the caption
    `""` and the label -1 where there is none; and `"facts": dict`, the contents of its `json`, where asked for.

    Whole shards are dealt out to the processes of a training run, and those of a process to the workers of its
    `DataLoader`, so each needs a shard at least. The order also depends on how many processes and workers there are.

    Args:
        shards: a folder, paths or URLs; see `find_shards`.
        size: side of the images in pixels.
        seed: of the order.
        length: samples an epoch, over all processes; every worker then gives equally many (rounded down), going around
            its shards as often as that takes. Without it an epoch is every sample once, which may be more on one
            process than on another: give it where there are several, or they wait for each other forever.
        shuffle: samples that are held at a time to be mixed; 0 or 1 keeps the order of the shards.
        limit: the largest share of samples that may be unreadable. Each is named on stderr, and in `skipped` where
            there are no workers.
        fit: `squash` or `crop`.
        rank, world: this process and how many there are; by default as `torch.distributed` says.
        facts: whether samples hold their `facts`, which differ in shape and fit no default collation.

    Raises:
        DataError: for no shards, fewer than processes times workers, a shard that is missing or damaged, or, while
            iterating, too many unreadable samples.
    """

    def __init__(
        self,
        shards: str | Path | Sequence[str | Path],
        *,
        size: int,
        seed: int = 0,
        length: int | None = None,
        shuffle: int = 1000,
        limit: float = 0.01,
        fit: Fit = "squash",
        rank: int | None = None,
        world: int | None = None,
        facts: bool = False,
    ):
        super().__init__()
        self.facts = facts
        self.shards = find_shards(shards)
        self.size, self.seed, self.length, self.shuffle, self.limit, self.fit = size, seed, length, shuffle, limit, fit
        running = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.world = world or (torch.distributed.get_world_size() if running else 1)
        self.rank = rank if rank is not None else (torch.distributed.get_rank() if running else 0)
        self.skipped: tuple[str, ...] = ()
        # Shared memory: persistent workers would otherwise never hear of the next epoch.
        self._start = torch.tensor([0, 0, 1]).share_memory_()
        self._deal(1)

    def set_epoch(self, epoch: int, consumed: int = 0, batch: int = 1) -> None:
        """Where the next iteration starts.

        Args:
            epoch: whose order is used.
            consumed: samples of this epoch that this process has had; they are not given again. Exact for the same
                number of processes and workers; with several workers, for whole batches and where `length` is given.
            batch: the `DataLoader`'s batch size, as it takes batches, not samples, from its workers in turn.
        """
        self._start.copy_(torch.tensor([epoch, consumed, batch]))

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError("a stream of shards has a length only if one is given")
        return self.length // self.world

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        epoch, consumed, batch = self._start.tolist()
        rounds, rest = divmod(consumed, batch * workers)
        worker = (worker + rest // batch) % workers  # a loader always begins with its first worker
        done = rounds * batch + min(max(rest - worker * batch, 0), batch)
        last = None if self.length is None else self.length // (self.world * workers)
        seed = (self.seed, epoch, self.rank, worker)
        return islice(self._samples(self._deal(workers)[worker], seed, done), done, last)

    def _deal(self, workers: int) -> list[list[str]]:
        """The shards of each of this process's workers."""
        if len(self.shards) < self.world * workers:
            raise DataError(
                f"{len(self.shards)} shards cannot be dealt out to {self.world} processes of {workers} workers each; "
                f"at least {self.world * workers} are needed"
            )
        mine = self.shards[self.rank :: self.world]
        return [mine[worker::workers] for worker in range(workers)]

    def _samples(self, shards: list[str], seed: tuple[int, ...], done: int) -> Iterator[dict[str, Any]]:
        """All samples once, or forever where there is a length. The images of the first `done` must not be used."""
        given = turn = 0
        while turn == 0 or self.length is not None:
            before, skipped = given, Skipped(0, self.limit, JUDGED)
            skipped.notes = Notes(most=_NAMED)
            for sample in self._in_order(shards, (*seed, turn), skipped.notes):
                # Resuming passes over what was given before: whether a JPEG can be read shows at any size.
                member = _read(sample, self.size if given >= done else 1, self.fit, skipped)
                if member is None:
                    self.skipped = tuple(skipped.lines)
                    continue
                given += 1
                found = {"key": sample.key, "image": member.image, "caption": member.caption, "label": member.label}
                yield found | ({"facts": member.facts} if self.facts else {})
            _judge(skipped)
            if turn == 0:
                announce(skipped.notes.all(), "these shards" if len(shards) > 1 else shards[0])
            if given == before:
                raise DataError(f"{', '.join(shards[:3])}: no image in it can be read")
            turn += 1

    def _in_order(self, shards: list[str], seed: tuple[int, ...], notes: Notes) -> Iterator[Sample]:
        if self.shuffle <= 1:
            return raw_samples(shards, notes)
        rng = np.random.default_rng(seed)
        samples = raw_samples([shards[index] for index in rng.permutation(len(shards))], notes)
        return webdataset.detshuffle(self.shuffle, self.shuffle, seed=int(rng.integers(2**31))).run(samples)


def write_shards(images: ImageSet, folder: Path, per_shard: int = 1000) -> list[Path]:
    """Write a set as shards, images as PNG; `read_shards` reads the same set back, without its `by_words`.

    Returns:
        The archives, `000000.tar` and so on, each written whole or not at all.

    Raises:
        DataError: for less than one image a shard, or a folder that holds shards already.
    """
    if per_shard < 1:
        raise DataError(f"images per shard is {per_shard}; at least 1 was expected")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.tar")):
        raise DataError(f"{folder} already holds shards; choose another folder")
    (folder / CLASSES).write_text(json.dumps(images.classes))
    shards = []
    starts = range(0, len(images), per_shard)
    for start in tqdm(starts, "writing shards", disable=None if len(starts) > 1 else True):
        shard = folder / f"{start // per_shard:06}.tar"
        with whole(shard) as part, webdataset.TarWriter(str(part), encoder=False, mtime=0) as writer:
            for row in range(start, min(start + per_shard, len(images))):
                writer.write(pack(images, row))
        shards.append(shard)
    return shards


def read_shards(
    shards: str | Path | Sequence[str | Path], *, size: int, limit: float = 0.01, fit: Fit = "squash"
) -> ImageSet:
    """Shards that fit into memory, in their order.

    Classes are those of `classes.json` next to the first shard, which may be at a URL; without it they are named by
    their numbers, which is noted.

    Raises:
        DataError: for shards as in `ShardStream`, a label outside the classes, a sample without a class where others
            have several, or too many unreadable samples.
    """
    found = find_shards(shards)
    members: list[Member] = []
    keys: list[str] = []
    skipped = Skipped(0, limit, JUDGED)
    for sample in tqdm(raw_samples(found, skipped.notes), "reading shards", unit=" images", disable=None):
        member = _read(sample, size, fit, skipped)
        if member is not None:
            members.append(member)
            keys.append(str(member.facts.get("id", sample.key)))
    _judge(skipped)
    if not members:
        raise DataError(f"{found[0]}: no image in it can be read")
    table = beside(found[0], CLASSES)
    named = _class_names(table)
    labels, classes = _labels(members, keys, named)
    if classes and named is None:
        skipped.notes.add(NUMBERED, table or f"{CLASSES} of {found[0]}", len(classes))
    boxes = np.array([member.facts.get("box") or [np.nan] * 4 for member in members], np.float32)
    domains = tuple(member.facts.get("domain", "") for member in members)
    pictures = tuple(member.facts.get("picture", key) for member, key in zip(members, keys, strict=True))
    return ImageSet(
        images=np.stack([member.image for member in members]),
        ids=tuple(keys),
        classes=classes,
        labels=labels,
        captions=tuple(member.caption for member in members),
        words=tuple(tuple(member.facts.get("words", ())) for member in members),
        boxes=None if np.isnan(boxes).all() else boxes,
        domains=domains if any(domains) else (),
        pictures=pictures if any("picture" in member.facts for member in members) else (),
        skipped=tuple(skipped.lines),
        notes=skipped.notes.all(),
    )


def _read(sample: Sample, size: int, fit: Fit, skipped: Skipped) -> Member | None:
    skipped.total += 1
    try:
        member = unpack(sample, size, fit)
        for what, name in member.remarks:
            skipped.notes.add(what, name)
        return member
    except Exception as error:
        line = f"{sample.key}: {reason(error)}"
    tqdm.write(f"skipped {line}", file=sys.stderr)
    skipped.add(line)
    return None


def _judge(skipped: Skipped) -> None:
    """At the end the share is known."""
    skipped.least = 0
    skipped.check()


def _labels(
    members: list[Member], keys: list[str], named: tuple[str, ...] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Several labels of each where any has several, else one; and the classes, numbers where nothing names them."""
    rows = [member.facts.get("labels", [member.label] if member.label >= 0 else None) for member in members]
    most = max((label for row in rows for label in row or ()), default=-1)
    classes = tuple(map(str, range(most + 1))) if named is None else named
    if most >= len(classes):
        raise DataError(f"a sample has class {most}; {CLASSES} names {len(classes)}, counted from 0")
    if not any("labels" in member.facts for member in members):
        return np.array([member.label for member in members], np.int64), classes
    if None in rows:
        raise DataError(
            f"{keys[rows.index(None)]} has neither `labels` in its json nor `cls`, like {rows.count(None)} samples of "
            f"{len(rows)}; the others have (`[]` says that it shows none of the classes)"
        )
    labels = np.zeros((len(members), len(classes)), np.float32)
    for target, row in zip(labels, rows, strict=True):
        target[row] = 1
    return labels, classes


def _class_names(table: str) -> tuple[str, ...] | None:
    """What `classes.json` says; None where there is none."""
    found = contents(table) if table else None
    if found is None:
        return None
    try:
        names = json.loads(found)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{table} cannot be read as JSON: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{table} is not a JSON list of names, that of class 0 first")
    return tuple(names)
