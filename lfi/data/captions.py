"""A list of images and captions: CSV, TSV or JSON lines, one image-caption pair a row.

The first row of a CSV or TSV file names the columns. Paths are absolute or relative to the file's folder.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lfi.data.decode import Fit
from lfi.data.imagecache import cached
from lfi.data.imageset import ImageSet
from lfi.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")


def image_captions(
    table: Path,
    *,
    size: int,
    image_column: str = "image",
    caption_column: str = "caption",
    limit: float = 0.01,
    fit: Fit = "squash",
) -> ImageSet:
    """Every pair of a list, in its order.

    Args:
        table: a `.csv`, `.tsv`, `.jsonl` or `.ndjson` file, UTF-8.
        size: side in pixels.
        image_column: that holds the paths.
        caption_column: that holds the captions; blanks and line breaks in them are made single spaces.
        limit: the largest share of files that may be missing or unreadable.
        fit: `squash` or `crop`.

    Returns:
        The set, without classes (labels are -1). `words` are empty, as content words depend on a teacher's tokeniser:
        take them from the captions by `lfi.teachers.content`. An image in several rows is read once; its ids are
        `path`, `path#2` and so on.

    Raises:
        DataError: for a file that is missing, empty or of another format, a row without one of the two columns, or too
            many images that cannot be read.
    """
    table = Path(table)
    names, captions = [], []
    try:
        for line, row in _rows(table):
            if not isinstance(row.get(image_column), str) or not isinstance(row.get(caption_column), str):
                known = ", ".join(str(name) for name in row if name is not None)
                raise DataError(
                    f"{table}, line {line}: texts {image_column!r} and {caption_column!r} were expected; it has {known}"
                )
            names.append(row[image_column])
            captions.append(" ".join(row[caption_column].split()))
    except FileNotFoundError:
        raise DataError(f"{table} is missing; a list of images and captions was expected") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read: {error}") from None
    if not names:
        raise DataError(f"{table} lists no images")

    once = list(dict.fromkeys(names))
    decoded = cached([table.parent / name for name in once], size, fit=fit, limit=limit, title=table.stem)
    position = {once[file]: index for index, file in enumerate(decoded.kept)}
    rows = [row for row, name in enumerate(names) if name in position]
    images = decoded.images
    if len(once) < len(names):
        images = images[[position[names[row]] for row in rows]]
    return ImageSet(
        images=images,
        ids=_unique([names[row] for row in rows]),
        classes=(),
        labels=np.full(len(rows), -1, np.int64),
        captions=tuple(captions[row] for row in rows),
        words=((),) * len(rows),
        skipped=decoded.skipped,
    )


def _rows(table: Path) -> Iterator[tuple[int, dict]]:
    """Line number and columns of every row."""
    kind = table.suffix.lower()
    if kind not in (*DELIMITERS, *LINES):
        raise DataError(f"{table} is no list of captions that is read; one of {', '.join((*DELIMITERS, *LINES))}")
    with table.open(encoding="utf-8-sig", newline="") as file:
        if kind in DELIMITERS:
            reader = csv.DictReader(file, delimiter=DELIMITERS[kind])
            for row in reader:
                yield reader.line_num, row
            return
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except ValueError as error:
                raise DataError(f"{table}, line {number} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise DataError(f"{table}, line {number}: a JSON object was expected")
            yield number, row


def _unique(names: list[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(ids)
