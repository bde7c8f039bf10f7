"""A list of images and captions: CSV, TSV or JSON lines, one image-caption pair a row.

The first row of a CSV or TSV file names the columns. Paths are absolute or relative to the file's folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lfi.data.decode import Fit
from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.data.notes import Notes
from lfi.data.tables import rows
from lfi.errors import DataError


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
        table: a `.csv`, `.tsv`, `.jsonl` or `.ndjson` file, UTF-8 or, with a byte order mark, UTF-16.
        size: side in pixels.
        image_column: that holds the paths.
        caption_column: that holds the captions; blanks and line breaks in them are made single spaces. Where there is
            nothing (an empty cell, `null`) the caption is `""`, which is noted.
        limit: the largest share of files that may be missing or unreadable.
        fit: `squash` or `crop`.

    Returns:
        The set, without classes (labels are -1). `words` are empty, as content words depend on a teacher's tokeniser:
        take them from the captions by `lfi.teachers.content`. An image in several rows is read once; its ids are
        `path`, `path#2` and so on.

    Raises:
        DataError: for a file that is missing, empty or of another format, a row that does not fit or lacks one of the
            two columns, or too many images that cannot be read.
    """
    listing = list_captions(table, image_column=image_column, caption_column=caption_column)
    return listing.read(size, fit=fit, limit=limit, title=Path(table).stem)


def list_captions(
    table: Path, folder: Path | None = None, *, image_column: str = "image", caption_column: str = "caption"
) -> Listing:
    """What `image_captions` reads, unread; arguments and errors are the same.

    Args:
        folder: that the paths are relative to; the table's without it.
    """
    table = Path(table)
    names: list[str] = []
    captions: list[str] = []
    notes = Notes()
    for line, row in rows(table, (image_column, caption_column), notes):
        name, caption = (row.get(column, ...) for column in (image_column, caption_column))
        if not isinstance(name, str) or not (isinstance(caption, str) or caption is None):
            known = ", ".join(str(column) for column in row)
            raise DataError(
                f"{table}, line {line}: texts {image_column!r} and {caption_column!r} were expected; it has {known}"
                + (f", and no {image_column}" if name is None else "")
            )
        names.append(name.strip())
        captions.append(" ".join((caption or "").split()))
        if not captions[-1]:
            notes.add("images without a caption", f"line {line}: {names[-1]}")
        for column in row:
            if column not in (image_column, caption_column):
                notes.add("values in columns that are not read", column or "a column without a name")
    if not names:
        raise DataError(f"{table} lists no images")
    return Listing(
        files=tuple((folder or table.parent) / name for name in names),
        ids=_unique(names),
        classes=(),
        labels=np.full(len(names), -1, np.int64),
        captions=tuple(captions),
        words=((),) * len(names),
        notes=notes.all(),
    )


def _unique(names: list[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(ids)
