"""The contents of a teacher cache, as recorded in `index.json` and `samples.json`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from lfi.errors import DataError
from lfi.training.cache.files import Array, File, write_whole
from lfi.training.cache.samples import Samples
from lfi.training.cache.settings import Settings, settings_of

_FORMAT = 1
_INDEX, _SAMPLES = "index.json", "samples.json"


@dataclass
class Index:
    """What a store holds.

    Attributes:
        samples: SHA-256 of `samples.json`.
        count: samples.
        shard: samples of a shard; the last may have fewer.
        arrays: by name.
        shards: of every shard the files by array, None until it is finished.
        errors: of every shard and lossy field, sum, number and largest of the distances.
    """

    settings: Settings
    samples: str
    count: int
    shard: int
    arrays: dict[str, Array]
    shards: list[dict[str, File] | None] = field(default_factory=list)
    errors: list[dict[str, tuple[float, int, float]] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        number = -(-self.count // self.shard)
        self.shards = self.shards or [None] * number
        self.errors = self.errors or [None] * number

    def rows(self, number: int) -> range:
        """Rows of a shard."""
        return range(number * self.shard, min((number + 1) * self.shard, self.count))

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample in all arrays."""
        return sum(array.row_bytes for array in self.arrays.values())

    def bytes(self, samples: int) -> int:
        """What the finished store takes on disk, `samples.json` being so long."""
        shards: list[dict[str, File] | None] = []
        data = 0
        for number in range(len(self.shards)):
            rows = len(self.rows(number))
            sizes = {name: len(array.header(rows)) + rows * array.row_bytes for name, array in self.arrays.items()}
            data += sum(sizes.values())
            shards.append({name: File("0" * 64, size) for name, size in sizes.items()})
        return data + samples + len(replace(self, shards=shards).text())

    def text(self) -> str:
        """What `index.json` holds."""
        return json.dumps(
            {
                "format": _FORMAT,
                "settings": self.settings.as_json(),
                "samples": self.samples,
                "count": self.count,
                "shard": self.shard,
                "arrays": self.arrays,
                "error": self.error,
                "shards": self.shards,
                "errors": self.errors,
            }
        )

    @property
    def error(self) -> dict[str, dict[str, float]]:
        """By lossy field the `mean` and `max` distance over the finished shards."""
        found: dict[str, dict[str, float]] = {}
        done = [entry for entry in self.errors if entry is not None]
        for name in done[0] if done else ():
            total, number, most = zip(*(entry[name] for entry in done), strict=True)
            found[name] = {"mean": sum(total) / max(sum(number), 1), "max": max(most)}
        return found


def is_begun(folder: Path) -> bool:
    """Whether there is an index, finished or not."""
    return (folder / _INDEX).exists()


def write_index(folder: Path, index: Index) -> None:
    """Write it whole or not at all."""
    write_whole(folder / _INDEX, index.text().encode())


def read_index(folder: Path) -> Index:
    """The index of a store, finished or not.

    Raises:
        DataError: there is none, it cannot be read, or it is of another format.
    """
    path = folder / _INDEX
    if not is_begun(folder):
        raise DataError(f"there is no teacher cache in {folder}; build it with `lfi cache CONFIG`")
    try:
        record = json.loads(path.read_bytes())
        if record["format"] != _FORMAT:
            raise DataError(
                f"the teacher cache {folder} is of format {record['format']}, and {_FORMAT} was expected; "
                "build a new one in another folder"
            )
        return Index(
            settings_of(record["settings"]),
            record["samples"],
            record["count"],
            record["shard"],
            {name: Array(dtype, tuple(shape)) for name, (dtype, shape) in record["arrays"].items()},
            [shard and {name: File(*file) for name, file in shard.items()} for shard in record["shards"]],
            [entry and {name: tuple(values) for name, values in entry.items()} for entry in record["errors"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DataError(f"the teacher cache's index {path} cannot be read ({error}); delete it to start over") from None


def samples_text(samples: Samples) -> bytes:
    """What `samples.json` holds."""
    return json.dumps(samples, separators=(",", ":")).encode()


def write_samples(folder: Path, text: bytes) -> None:
    """Write it whole or not at all."""
    write_whole(folder / _SAMPLES, text)


def read_samples(folder: Path, index: Index) -> Samples:
    """The samples of a store, in the order of its rows.

    Raises:
        DataError: the file is missing or damaged.
    """
    path = folder / _SAMPLES
    text = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(text).hexdigest() != index.samples:
        raise DataError(
            f"{path} is damaged: its checksum differs; "
            "`lfi cache CONFIG` with all the images of the store writes it again"
        )
    return json.loads(text)
