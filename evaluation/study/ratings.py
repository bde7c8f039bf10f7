"""The table of rating events that a study exports and the analysis reads; the codebook is `COLUMNS`.

One row is one stored answer. Answers are append-only: if a rater went back and answered again there are two rows of
the same trial, and the one with the highest revision counts (`evaluation.study.flow`). CSV, JSON Lines and Parquet
hold the same table. A copy for spreadsheets (`write_spreadsheet`) is for people to look at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lfi.errors import DataError, reason

KINDS = ("rating", "pair")
CONDITIONS = ("teacher", "lfi", "baseline", "shuffled")
DRAWN = "drawn"
"""Condition of practice and catch trials whose region was drawn by a person, not by a model."""
SCALES = (5, 3)
CHOICES = ("left", "right", "none")
CONSISTENT_FROM = {5: 4, 3: 3}
"""Lowest level of each scale that counts as consistent."""


@dataclass(frozen=True)
class Column:
    """One column: `type` is text, integer, boolean or time; `null` says when it may be empty."""

    name: str
    type: str
    meaning: str
    null: str = ""


COLUMNS = (
    Column("study", "text", "name of the study"),
    Column("rater", "text", "opaque id of the rater, within the study"),
    Column("trial", "integer", "position of the trial in the rater's session, from 0; practice trials count, too"),
    Column("revision", "integer", "how many answers of this trial were stored before; of a trial the highest counts"),
    Column("kind", "text", "rating or pair"),
    Column("item", "text", "id of the item: one image with one word"),
    Column(
        "image",
        "text",
        "id of the image; items of one image are resampled together",
        "where it is not known: every item then counts as an image",
    ),
    Column("word", "text", "the word whose map was shown"),
    Column("condition", "text", "whose map was rated: teacher, lfi, baseline, shuffled; drawn if by hand", "for pairs"),
    Column("left", "text", "whose map stood on the left", "for ratings"),
    Column("right", "text", "whose map stood on the right", "for ratings"),
    Column("scale", "integer", "levels of the rating scale: 5 or 3", "for pairs"),
    Column("value", "text", "rating: the level from 1 (worst) to `scale`; pair: left, right or none (no difference)"),
    Column("consistent", "boolean", "5 levels: value >= 4; 3 levels: value = 3", "for pairs"),
    Column("response_ms", "integer", "time from showing the trial to the answer, by the browser, in milliseconds"),
    Column("comment", "text", "what the rater wrote, possibly nothing", "always"),
    Column("language", "text", "language of the page, e.g. en", "always"),
    Column("practice", "boolean", "a practice trial with feedback; never analysed"),
    Column("catch", "boolean", "a catch trial, whose right answer is known; never analysed as a rating"),
    Column("catch_passed", "boolean", "whether a catch trial was answered right", "for other trials"),
    Column("excluded", "text", "why the rater or the answer was excluded while the study ran", "where nobody was"),
    Column("excluded_by", "text", "who did: rule (of the plan, applied by the service) or owner", "where nobody was"),
    Column("preview", "boolean", "answered in a preview run; never analysed"),
    Column("created_at", "time", "when the answer was stored, ISO 8601, UTC"),
)
FORMATS = (".csv", ".jsonl", ".parquet")
OPTIONAL = ("revision", "image", "excluded_by")
"""Columns that a table may lack, as those of earlier versions and from elsewhere do."""
BY_RULE, BY_OWNER = "rule", "owner"
"""Who excluded a rater: nobody, as the plan's rules did it (so audit trails name it, too), or somebody."""
FAILED = re.compile(r"failed \d+ of \d+ catch trials")
TOO_FAST = re.compile(r"answered \d+ of \d+ trials within (?P<least>\d+) ms of being shown them")
"""How the service words the reasons of its rules (`app.study.catches`): it tells them apart without `excluded_by`."""
_LARGEST = 2**53
"""Whole numbers beyond it are not exact in JSON and CSV."""
_LINE_END = "\r\n"
"""RFC 4180; with a line feed alone, a carriage return in a comment would be written without quotes."""


def read_ratings(path: Path) -> pd.DataFrame:
    """The validated table in a file.

    Args:
        path: `.csv` (with `,` or `;` between fields), `.jsonl` or `.parquet`, UTF-8, as a study exports it.

    Returns:
        The columns of `COLUMNS` in that order (others are dropped), in the types of `as_ratings`.

    Raises:
        DataError: no such file, another format, or a table that `as_ratings` refuses.
    """
    if not path.is_file():
        raise DataError(f"there is no table of ratings at {path}")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            raw = _read_csv(path)
        elif suffix == ".jsonl":
            lines = path.read_bytes().split(b"\n")  # `splitlines` of text also ends a line at U+2028 in a comment
            raw = pd.DataFrame([json.loads(line) for line in lines if line.strip()], dtype=object)
        elif suffix == ".parquet":
            raw = pd.read_parquet(path)
        else:
            raise DataError(f"{path} ends in {suffix or 'nothing'}; {', '.join(FORMATS)} was expected")
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as {suffix[1:]}: {reason(error)}") from error
    return as_ratings(raw, str(path))


def write_ratings(table: pd.DataFrame, path: Path) -> None:
    """The table as CSV, JSON Lines or Parquet, by the suffix of `path`; `read_ratings` reads back the same.

    Raises:
        DataError: another suffix.
    """
    plain = _plain(table)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        plain.to_parquet(path, index=False)
    elif suffix == ".csv":
        _spelt(plain).to_csv(path, index=False, lineterminator=_LINE_END)
    elif suffix == ".jsonl":
        rows = plain.astype(object).where(plain.notna(), None).to_dict("records")
        for row in rows:
            row["value"] = int(row["value"]) if row["kind"] == "rating" else row["value"]
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        raise DataError(f"{path} ends in {suffix or 'nothing'}; {', '.join(FORMATS)} was expected")


def write_spreadsheet(table: pd.DataFrame, path: Path) -> None:
    """The table as CSV for spreadsheets: with a byte order mark, and no text that they would take for a formula.

    A text that begins with one of `=+-@`, a tab or a carriage return gets an apostrophe before it. So this copy is not
    exact; the analysis reads the others.
    """
    plain = _spelt(_plain(table))
    for column in COLUMNS:
        if column.type == "text":
            plain[column.name] = plain[column.name].str.replace(r"^(?=[=+\-@\t\r])", "'", regex=True)
    plain.to_csv(path, index=False, lineterminator=_LINE_END, encoding="utf-8-sig")


def as_ratings(rows: pd.DataFrame | Iterable[Mapping[str, Any]], source: str = "ratings") -> pd.DataFrame:
    """The validated table of rows in any spelling of the formats.

    Returns:
        `COLUMNS` in order; text as str (`""` for nothing; `value` too), integers as Int64, booleans as boolean, times
        as UTC timestamps; nulls only where the codebook allows them.

    Raises:
        DataError: names the source, the first row (from 1) and the column at fault.
    """
    raw = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows), dtype=object)
    missing = [column.name for column in COLUMNS if column.name not in (*raw.columns, *OPTIONAL)]
    if missing and (len(raw) or len(raw.columns)):
        raise DataError(f"{source} has no column {', '.join(missing)}; see the codebook")
    if not len(raw):
        raise DataError(f"{source} has no ratings in it")
    raw = _with_optional(raw)
    table = pd.DataFrame({column.name: _parsed(raw[column.name], column, source) for column in COLUMNS})
    unsaid = (table["excluded"] != "") & (table["excluded_by"] == "")
    table.loc[unsaid, "excluded_by"] = table.loc[unsaid, "excluded"].map(_excluded_by)
    _check(table, source)
    rating = table["kind"] == "rating"
    table.loc[rating, "value"] = table.loc[rating, "value"].map(lambda level: f"{float(level):.0f}")  # 4.0 is 4
    return table


def rating_row(**values: Any) -> dict[str, Any]:
    """A row with every column, those not given at their usual value."""
    usual: dict[str, Any] = {column.name: "" for column in COLUMNS}
    usual |= dict.fromkeys(("scale", "consistent", "catch_passed"))
    usual |= {"practice": False, "catch": False, "preview": False, "language": "en", "revision": 0}
    unknown = set(values) - set(usual)
    if unknown:
        raise DataError(f"a table of ratings has no column {', '.join(sorted(unknown))}")
    row = usual | values
    if row["kind"] == "rating":
        row["consistent"] = int(row["value"]) >= CONSISTENT_FROM[int(row["scale"])]
    return row


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV file of strings; its header tells the delimiter: no column name contains either."""
    with path.open(encoding="utf-8-sig") as file:
        between = ";" if ";" in file.readline() else ","
    return pd.read_csv(path, sep=between, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of the codebook, times as ISO 8601."""
    plain = table.loc[:, [column.name for column in COLUMNS]].copy()
    plain["created_at"] = plain["created_at"].map(lambda time: time.isoformat())
    return plain


def _spelt(plain: pd.DataFrame) -> pd.DataFrame:
    """The table with its booleans as JSON spells them."""
    for column in COLUMNS:
        if column.type == "boolean":
            plain[column.name] = plain[column.name].map({True: "true", False: "false"}).astype(object)
    return plain


def _with_optional(raw: pd.DataFrame) -> pd.DataFrame:
    """The rows with all columns; tables without `revision` hold the answers in the order of storing."""
    raw = raw.assign(**{name: "" for name in OPTIONAL[1:] if name not in raw.columns})
    if "revision" in raw.columns:
        return raw
    return raw.assign(revision=raw.groupby(["study", "rater", "trial"], dropna=False).cumcount())


def _excluded_by(reason: str) -> str:
    return BY_RULE if FAILED.fullmatch(reason) or TOO_FAST.fullmatch(reason) else BY_OWNER


def _text(cell: Any) -> str:
    if _empty(cell):
        return ""
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    text.encode()  # half an emoji, as JSON can hold one, could not be written anywhere
    return text


def _integer(cell: Any) -> int | None:
    if _empty(cell):
        return None
    number = float(cell)
    if isinstance(cell, bool) or not number.is_integer() or abs(number) > _LARGEST:
        raise ValueError
    return int(number)


def _boolean(cell: Any) -> bool | None:
    if _empty(cell):
        return None
    return {"true": True, "false": False, "1": True, "0": False}[str(cell).lower()]


def _time(cell: Any) -> pd.Timestamp | None:
    if _empty(cell):
        return None
    time = pd.Timestamp(cell)
    if time.tzinfo is None:
        raise ValueError
    return time.tz_convert("UTC")


_PARSERS: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "text": (_text, "str", "text"),
    "integer": (_integer, "Int64", "a whole number"),
    "boolean": (_boolean, "boolean", "true or false"),
    "time": (_time, "datetime64[us, UTC]", "a time with its zone, such as 2026-11-24T09:30:00+00:00,"),
}


def _empty(cell: Any) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or cell == "" or (isinstance(cell, float) and cell != cell)


def _parsed(raw: pd.Series, column: Column, source: str) -> pd.Series:
    parse, dtype, expected = _PARSERS[column.type]
    cells = []
    for row, cell in enumerate(raw.tolist(), 1):
        try:
            cells.append(parse(cell))
        except (ValueError, KeyError, TypeError, OverflowError):
            raise DataError(f"{source}, row {row}: {column.name} is {cell!r}; {expected} was expected") from None
        if not column.null and cells[-1] in (None, ""):
            raise DataError(f"{source}, row {row}: {column.name} is empty; {expected} was expected")
    return pd.Series(cells, dtype=dtype)


def _check(table: pd.DataFrame, source: str) -> None:
    """What holds between the columns of a row."""

    def refuse(wrong: pd.Series, name: str, expected: str) -> None:
        if wrong.any():
            row = int(wrong.to_numpy(bool, na_value=True).argmax())
            cell = table[name].iloc[row]
            shown = "empty" if _empty(cell) else repr(cell.item() if hasattr(cell, "item") else cell)
            raise DataError(f"{source}, row {row + 1}: {name} is {shown}; {expected} was expected")

    refuse(~table["kind"].isin(KINDS), "kind", "rating or pair")
    rating, pair = table["kind"] == "rating", table["kind"] == "pair"
    names = ", ".join(CONDITIONS)
    drawn = (table["practice"] | table["catch"]) & (table["condition"] == DRAWN)
    refuse(rating & ~table["condition"].isin(CONDITIONS) & ~drawn, "condition", f"one of {names}")
    for side in ("left", "right"):
        refuse(pair & ~table[side].isin(CONDITIONS), side, f"one of {names}")
    refuse(pair & (table["left"] == table["right"]), "right", "another condition than on the left")
    refuse(pair & ~table["value"].isin(CHOICES), "value", "left, right or none")
    refuse(rating & ~table["scale"].isin(SCALES).fillna(False), "scale", "5 or 3")
    level = pd.to_numeric(table["value"].where(rating), errors="coerce")
    top = table["scale"].astype("Float64").to_numpy(float, na_value=0)
    refuse(rating & ~((level >= 1) & (level <= top) & (level % 1 == 0)), "value", "a level from 1 to the scale's")
    right = level >= table["scale"].map(CONSISTENT_FROM).astype("Float64").to_numpy(float, na_value=0)
    said = table["consistent"].fillna(False).astype(bool)
    refuse(rating & (table["consistent"].isna() | (said != right)), "consistent", "what the value says")
    refuse(table["catch"] & table["catch_passed"].isna(), "catch_passed", "true or false for a catch trial")
    refuse(~table["excluded_by"].isin(("", BY_RULE, BY_OWNER)), "excluded_by", f"{BY_RULE} or {BY_OWNER}")
    refuse(table["response_ms"] < 0, "response_ms", "0 or more")
    for name in ("trial", "revision"):
        refuse(table[name] < 0, name, "0 or more")
