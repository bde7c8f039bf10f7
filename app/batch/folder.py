"""A batch on disk: what is done stays done, so that a stopped batch can resume.

batch.json         what is asked: words, models, trio and fingerprints
records.jsonl      one line an image: its scores, or why it could not be read
maps/              raw maps of every layer, one npz an image
thumbnails/        the images, as large as a figure for a paper shows them
photos/            the same, as small as the gallery does
scores.csv         and
index.html         made of the above by `app.batch.gallery`
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from evaluation.scores import columns
from lfi.errors import ConfigError, reason
from lfi.rendering import encode_webp
from lfi.writing import write_json

THUMBNAIL, PHOTO = 400, 240
"""Longest sides, in pixels."""
_MAP = 8_000
"""Bytes that one map takes in the gallery, at most about."""


@dataclass(frozen=True)
class BatchQuestion:
    """What a batch asks of every image.

    Attributes:
        words: as the models are asked for them.
        models: some of `lfi.trio.Trio.layers`.
        trio: name of the trio.
        fingerprints: of its models; another training is another batch.
        layers: per model, name and index of the layer that is drawn and scored.
    """

    words: tuple[str, ...]
    models: tuple[str, ...]
    trio: str
    fingerprints: dict[str, str]
    layers: dict[str, tuple[str, int]]


@dataclass(frozen=True)
class Record:
    """One image of a batch.

    Attributes:
        name: of its file within the folder or zip.
        sha256: of the file; empty where it could not be read.
        stem: of its files in `maps/` and `thumbnails/`.
        width, height: upright, in pixels.
        rows: one a word, as `evaluation.scores.row` makes them.
        problem: why there are none; empty where all is well.
        note: what of the image could not be read; empty where all could.
    """

    name: str
    sha256: str = ""
    stem: str = ""
    width: int = 0
    height: int = 0
    rows: list[dict[str, str | int | float | None]] = field(default_factory=list)
    problem: str = ""
    note: str = ""


class BatchFolder:
    """The folder of one batch, new or resumed.

    Attributes:
        bytes: that were added to it.
        to_come: bytes that will be added to it and its zip at the end, at most about: of what is done so far.

    Raises:
        ConfigError: it holds a batch that asks something else or cannot be read, or cannot be written to.
    """

    def __init__(self, path: Path, asked: BatchQuestion):
        self.path, self.asked = path, asked
        self.bytes = self.to_come = 0
        self.records: dict[str, Record] = {}
        try:
            for folder in (path, path / "maps", path / "thumbnails", path / "photos"):
                folder.mkdir(parents=True, exist_ok=True)
            self._begin()
        except OSError as error:
            raise ConfigError(f"cannot write to {path}: {reason(error)}") from error

    def _begin(self) -> None:
        wanted = json.loads(json.dumps(asdict(self.asked)))
        about = self.path / "batch.json"
        if not about.exists():
            write_json(about, wanted)
        else:
            found = _read(about)
            for name, value in wanted.items():
                if found.get(name) != value:
                    raise ConfigError(
                        f"{self.path} has a batch with {name} {_short(found.get(name))}, not {_short(value)}; "
                        "choose another folder, or move that one away"
                    )
            self._recall()

    def _recall(self) -> None:
        """Read the records; a last line that was cut off is an image that was not done, and is taken away."""
        log = self.path / "records.jsonl"
        whole = log.read_bytes() if log.exists() else b""
        *lines, cut = whole.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                record = Record(**json.loads(line))
                self.records[record.name] = record
            except (ValueError, TypeError) as error:
                raise ConfigError(
                    f"line {number} of {log} is no record of an image; delete the line, and the image is answered again"
                ) from error
        if cut:
            os.truncate(log, len(whole) - len(cut))

    def last_run(self) -> list[str]:
        """Names of the images of the gallery as it stands, in its order; of all answers where none was written yet.

        Raises:
            ConfigError: `scores.csv`, by which they are known, is not as it was written.
        """
        table = self.path / "scores.csv"
        known = {_harmless(name): name for name in self.records}
        try:
            with table.open(encoding="utf-8", newline="") as file:
                return list(dict.fromkeys(known[row["image"]] for row in csv.DictReader(file)))
        except FileNotFoundError:
            return list(self.records)
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise ConfigError(
                f"{table} is not as `lfi batch` wrote it, so which images are in the gallery cannot be told; "
                "the same `lfi batch` writes it again"
            ) from error

    def holds(self, name: str, sha256: str) -> bool:
        """Whether this very file has been answered already. Unreadable ones are tried again."""
        record = self.records.get(name)
        return record is not None and not record.problem and record.sha256 == sha256

    def add(self, record: Record, thumbnail: Image.Image | None = None, maps: bytes = b"") -> None:
        """Keep an image's answer; the record comes last, so that a record stands for files that are whole."""
        if thumbnail is not None:
            photo = thumbnail.copy()
            photo.thumbnail((PHOTO, PHOTO), Image.Resampling.LANCZOS)
            kept = {
                self.maps_file(record): maps,
                self.thumbnail_file(record): encode_webp(thumbnail, quality=70),
                self.photo_file(record): encode_webp(photo, quality=70),
            }
            for file, data in kept.items():
                file.write_bytes(data)
                self.bytes += len(data)
            shown = 4 * len(kept[self.photo_file(record)]) // 3 + len(record.rows) * len(self.asked.models) * _MAP
            self.to_come += len(maps) + 2 * shown
        line = (json.dumps(asdict(record)) + "\n").encode()
        with (self.path / "records.jsonl").open("ab") as log:
            log.write(line)
        self.bytes += len(line)
        self.to_come += 2 * len(line)
        self.records[record.name] = record

    def write(self, name: str, text: str) -> None:
        """Write one of the results."""
        data = text.encode()
        (self.path / name).write_bytes(data)
        self.bytes += len(data)

    def maps_file(self, record: Record) -> Path:
        """Where the image's raw maps lie."""
        return self.path / "maps" / f"{record.stem}.npz"

    def thumbnail_file(self, record: Record) -> Path:
        """Where the image for figures lies."""
        return self.path / "thumbnails" / f"{record.stem}.webp"

    def photo_file(self, record: Record) -> Path:
        """Where the image for the gallery lies."""
        return self.path / "photos" / f"{record.stem}.webp"


def open_folder(path: Path) -> BatchFolder:
    """The folder of a batch that is there.

    Raises:
        ConfigError: there is none.
    """
    try:
        asked = json.loads((path / "batch.json").read_text(encoding="utf-8"))
        question = BatchQuestion(
            words=tuple(asked["words"]),
            models=tuple(asked["models"]),
            trio=asked["trio"],
            fingerprints=asked["fingerprints"],
            layers={model: (name, index) for model, (name, index) in asked["layers"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} holds no batch; a folder that `lfi batch` wrote was expected") from error
    return BatchFolder(path, question)


def stem_of(name: str) -> str:
    """A file name without its ending that every system takes and no two images share."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower().rpartition(".")[0]).strip("-")[-40:]
    return f"{slug or 'image'}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"


def judges_of(records: Iterable[Record], models: Sequence[str]) -> list[str]:
    """The models that say in these records whether a word is in the image."""
    said = {name for record in records for row in record.rows for name in row}
    return [model for model in models if f"{model} presence" in said]


def scores_csv(records: Sequence[Record], models: Sequence[str]) -> str:
    """A table of one line an image and word; an image that could not be read has one line that says why.

    Where an image could not be read to its end, a last column `note` says so.
    """
    text = io.StringIO()
    names = ["image", "width", "height", "sha256", *columns(models, judges_of(records, models)), "problem"]
    if any(record.note for record in records):
        names.append("note")
    table = csv.DictWriter(text, names, restval="", lineterminator="\n")
    table.writeheader()
    for record in records:
        image: dict[str, Any] = {"image": _harmless(record.name), "problem": record.problem}
        if record.note:
            image["note"] = record.note
        if not record.problem:
            image |= {"width": record.width, "height": record.height, "sha256": record.sha256}
        for row in record.rows or [{}]:
            table.writerow(image | {name: _rounded(value) for name, value in row.items()})
    return text.getvalue()


def _harmless(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _rounded(value: object) -> object:
    if isinstance(value, str):
        return _harmless(value)
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else value


def _read(about: Path) -> dict[str, Any]:
    try:
        found = json.loads(about.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    except ValueError:
        pass
    raise ConfigError(f"{about} does not say what its batch asks; choose another folder, or delete this one")


def _short(value: object) -> str:
    text = ", ".join(value) if isinstance(value, list) else json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."
