"""Tables as people save them: CSV, TSV and JSON lines, row by row, each with the number of its first line.

Whatever a row holds, it is read or it is refused by its line: a quote that is never closed would otherwise swallow the
rows below it, and a comma without quotes cut the caption short. Cells between tabs may be quoted or not: where they
cannot be, quotes are text, which is noted.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

from lfi.data.imagefiles import has_image_suffix
from lfi.data.notes import Notes
from lfi.errors import DataError, reason

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")

_OTHERS = (",", ";", "\t", "|")
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NULLS = frozenset(
    ("", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "\\N")
)  # what pandas and databases write where there is nothing


class QuoteError(DataError):
    """A quote that begins a cell and does not end it."""


def rows(table: Path, wanted: Sequence[str], notes: Notes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and columns of every row; blank lines are passed over.

    Values of JSON are as they are; those of CSV and TSV are text, or None where they say that there is nothing.

    Args:
        wanted: names of columns: of several characters between cells that one is taken whose header has all of them,
            and a name with blanks around it, or in other letters, is read as the wanted one.
        notes: gets the lines whose quotes are read as text.

    Raises:
        DataError: a file that is missing, of another format, not UTF-8 (or UTF-16 with a byte order mark), or with a
            row that does not fit; names the line.
    """
    kind = table.suffix.lower()
    if kind not in (*DELIMITERS, *LINES):
        raise DataError(f"{table} is not a list of captions we can read; one of {', '.join((*DELIMITERS, *LINES))}")
    try:
        with table.open(encoding=_encoding(table), newline="") as file:
            yield from _lines(table, file, wanted) if kind in LINES else _cells(table, file, wanted, notes)
    except FileNotFoundError:
        raise DataError(f"{table} is missing; a list of images and captions was expected") from None
    except UnicodeDecodeError:
        raise DataError(f"{table}, line {_first_wrong(table)} is not UTF-8; save the table as UTF-8") from None
    except OSError as error:
        raise DataError(f"{table} cannot be read: {reason(error)}") from None


def _encoding(table: Path) -> str:
    with table.open("rb") as file:
        start = file.read(4)
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")


def _first_wrong(table: Path) -> int:
    for number, line in enumerate(table.read_bytes().splitlines(), start=1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return number
    return 1


def _lines(table: Path, file: TextIO, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{table}, line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{table}, line {number}: a JSON object was expected")
        names = _renamed(list(row), wanted)
        yield number, dict(zip(names, row.values(), strict=True))


def _cells(table: Path, file: TextIO, wanted: Sequence[str], notes: Notes) -> Iterator[tuple[int, dict[str, Any]]]:
    first = next((line for line in file if line.strip()), "")
    file.seek(0)
    delimiter = _delimiter(first, DELIMITERS[table.suffix.lower()], wanted)
    if delimiter != "\t":
        yield from _fitting(table, file, delimiter, wanted)
        return
    try:
        found = list(_fitting(table, file, delimiter, wanted))
    except QuoteError as error:
        file.seek(0)
        try:
            found = list(_fitting(table, file, delimiter, wanted, csv.QUOTE_NONE))
        except DataError:
            raise error from None
        for line, row in found:
            if any(value and value.startswith('"') for value in row.values()):
                notes.add("lines whose quotes are read as text", f"line {line}")
    yield from found


def _fitting(
    table: Path, file: TextIO, delimiter: str, wanted: Sequence[str], quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Rows that have as many cells as the header."""
    closed = re.compile(rf'" +(?={re.escape(delimiter)}|[\r\n]|$)')  # blanks behind a quoted name of a column
    lines = itertools.chain([closed.sub('"', file.readline())], file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True, quoting=quoting)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            where = f", up to line {reader.line_num}" if reader.line_num > line else ""
            long = f", or a cell has more than {csv.field_size_limit():,} characters" if "limit" in str(error) else ""
            raise QuoteError(
                f'{table}, line {line}: a quote (") opens a cell and is never closed{where}{long}; '
                "if it is part of the text, quote the cell and double it"
            ) from error
        if not cells:
            continue
        if not header:
            header = _renamed([cell.strip() for cell in cells], wanted)
            twice = [name for name in wanted if header.count(name) > 1]
            if twice:
                raise DataError(f"{table}, line {line}: {header.count(twice[0])} columns are called {twice[0]!r}")
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{table}, line {line}: {len(cells)} cells, and the header has {len(header)}; "
                f"a cell that holds {_called(delimiter)} needs quotes around it"
            )
        if quoting != csv.QUOTE_NONE:
            _refuse_swallowed(table, line, cells, delimiter, len(header))
        yield line, {name: _value(cell) for name, cell in zip(header, cells, strict=True)}


def _delimiter(header: str, usual: str, wanted: Sequence[str]) -> str:
    """The usual one, or another by which the header has the wanted columns."""
    for delimiter in dict.fromkeys((usual, *_OTHERS)):
        names = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        if set(wanted) <= set(_renamed([name.strip() for name in names], wanted)):
            return delimiter
    return usual


def _renamed(names: list[str], wanted: Sequence[str]) -> list[str]:
    """Names of columns; one that is a wanted one but for blanks and capitals is called so, if none is exactly."""
    plain = [name.strip().casefold() for name in names]
    for name in wanted:
        if name not in names and plain.count(name.casefold()) == 1:
            names = [name if plain[column] == name.casefold() else each for column, each in enumerate(names)]
    return names


def _refuse_swallowed(table: Path, line: int, cells: list[str], delimiter: str, count: int) -> None:
    """A cell of several lines, one of which looks like a row of its own, began with a quote that was not meant so."""
    for cell in cells:
        for offset, below in enumerate(cell.splitlines()[1:], start=1):
            parts = below.split(delimiter)
            if len(parts) >= count and any(has_image_suffix(part.strip(' "')) for part in parts):
                raise QuoteError(
                    f'{table}, line {line}: the quote (") that begins a cell there takes in line {line + offset}, '
                    "which looks like a row; if it is part of the text, quote the cell and double it"
                )


def _value(cell: str) -> str | None:
    return None if cell.strip() in _NULLS else cell


def _called(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(delimiter, repr(delimiter))
