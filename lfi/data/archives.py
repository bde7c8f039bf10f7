"""Archives of a WebDataset: where they are, whether they are whole, and the samples in them, as bytes."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from webdataset.gopen import gopen
from webdataset.shardlists import expand_urls

from lfi.data.grouping import Part, samples
from lfi.data.imagefiles import HIDDEN
from lfi.data.notes import Notes
from lfi.errors import DataError, reason


def find_shards(shards: str | Path | Sequence[str | Path]) -> list[str]:
    """A folder's `*.tar`; a path or URL, with braces expanded (`part-{000..099}.tar`); or several of either.

    Raises:
        DataError: for none, or a local archive that is missing or ends without its end mark.
    """
    if isinstance(shards, Sequence) and not isinstance(shards, str):
        return [shard for each in shards for shard in find_shards(each)]
    folder = None if _is_url(str(shards)) else Path(shards)  # a URL may be longer than any path
    found = sorted(map(str, folder.glob("*.tar"))) if folder and folder.is_dir() else expand_urls(str(shards))
    if not found:
        raise DataError(f"{shards} has no shards in it; *.tar was expected")
    for shard in found:
        if not _is_url(shard):
            _refuse_cut_short(Path(shard))
    return found


class Sample(NamedTuple):
    """The files of a sample: `files` by what comes after the name, in lower case (`jpg`, `seg.png`), the last of each.

    `key` is `SHARD/NAME`, unique over shards of different names; `twice` names files that were in the archive before.
    """

    key: str
    files: dict[str, bytes]
    twice: tuple[str, ...] = ()


def raw_samples(shards: list[str], notes: Notes) -> Iterator[Sample]:
    """Samples as bytes. A damaged archive is an error: how many samples it lost cannot be told.

    Args:
        notes: gets the files that belong to no sample.
    """
    for shard in shards:
        try:
            if shard.endswith(".tar") and not _is_url(shard):
                refuse_damaged(shard)
            for name, files in samples(_files(shard, notes)):
                contents = {suffix: parts[-1].data for suffix, parts in files.items()}
                twice = tuple(parts[0].name for parts in files.values() if len(parts) > 1)
                yield Sample(f"{PurePosixPath(shard).stem}/{name}", contents, twice)
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            raise DataError(f"the shard {shard} cannot be read: {error.args[0] if error.args else error}") from None


def refuse_damaged(shard: str) -> None:
    """Go from header to header: Python's tarfile takes a damaged one for the end, and the rest would be missed.

    A file is gone through once, unless its size or time of change differ: it takes a sixth of the time of decoding.

    Raises:
        tarfile.TarError, OSError: the archive, a file on this machine, is damaged or cannot be read.
    """
    state = os.stat(shard)
    _walk(shard, state.st_size, state.st_mtime_ns)


def beside(shard: str, name: str) -> str:
    """The path or URL of a file in the same folder as a shard; `""` for that of a pipe."""
    if shard.startswith("pipe:"):
        return ""
    if not _is_url(shard):
        return str(Path(shard).parent / name)
    parts = urlsplit(shard)
    return urlunsplit(parts._replace(path=parts.path.rpartition("/")[0] + f"/{name}"))


def contents(file: str) -> bytes | None:
    """A small file at a path or URL; None where there is none, or it cannot be fetched.

    Raises:
        DataError: it is there and cannot be read.
    """
    try:
        with gopen(file) as stream:
            found: bytes = stream.read()
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        if _is_url(file):
            return None
        raise DataError(f"{file} cannot be read: {reason(error)}") from None


def _files(shard: str, notes: Notes) -> Iterator[Part]:
    """All files of an archive that are named as a sample's are."""
    with gopen(shard) as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            where = f"{PurePosixPath(shard).stem}/{member.name}"
            name = PurePosixPath(member.name).name
            if member.isdir():
                continue
            if not member.isreg():
                notes.add("links and the like, of which nothing is read", where)
            elif any(part.startswith((".", "__")) for part in PurePosixPath(member.name).parts):
                notes.add(HIDDEN, where)
            elif "." not in name:
                notes.add("files of no sample, since their names have no suffix", where)
            else:
                file = archive.extractfile(member)
                assert file is not None  # of a regular file there is one
                yield Part(member.name, file.read())
            archive.members = []  # type: ignore[attr-defined]  # or it would remember all of a stream


def _is_url(shard: str) -> bool:
    return re.match(r"\w+://|pipe:", shard) is not None


def _refuse_cut_short(shard: Path) -> None:
    """A quick check before reading anything: a tar archive ends in 1024 zeros."""
    try:
        with shard.open("rb") as file:
            if shard.suffix == ".tar":
                file.seek(max(shard.stat().st_size - 1024, 0))
                if file.read() != bytes(1024):
                    raise DataError(f"the shard {shard} is cut short or not a tar archive: it has no end mark")
    except OSError as error:
        raise DataError(f"the shard {shard} cannot be read: {reason(error)}") from None


@cache
def _walk(shard: str, size: int, changed: int) -> None:
    with tarfile.open(shard, "r:") as archive, open(shard, "rb") as file:
        archive.getmembers()
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"damaged at byte {archive.offset:,}")
