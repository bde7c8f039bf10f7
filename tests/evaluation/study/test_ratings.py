"""A table of ratings survives every format, and what is wrong in one is named."""

import re

import pandas as pd
import pytest

from evaluation.study.ratings import COLUMNS, as_ratings, rating_row, read_ratings, write_ratings, write_spreadsheet
from lfi.errors import DataError

TIME = "2026-11-24T09:30:00.250+00:00"
ROWS = [
    rating_row(study="s", rater="r1", trial=0, kind="rating", item="i1", image="a", word="dog", condition="lfi",
               scale=5, value=4, response_ms=2300, comment='"left", ear\nonly', created_at=TIME),
    rating_row(study="s", rater="r1", trial=1, kind="rating", item="i2", image="b", word="Fuß", condition="baseline",
               scale=3, value=2, response_ms=900, catch=True, catch_passed=False, created_at=TIME),
    rating_row(study="s", rater="r2", trial=0, kind="pair", item="i1", image="a", word="NA", left="lfi",
               right="baseline", value="none", response_ms=1200, excluded="asked to", created_at=TIME),
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_gives_the_table_back(tmp_path, suffix):
    table = as_ratings(ROWS)
    write_ratings(table, tmp_path / f"table{suffix}")
    pd.testing.assert_frame_equal(read_ratings(tmp_path / f"table{suffix}"), table)


COMMENTS = (
    "sep\u2028arated",
    "para\u2029graph",
    "next\x85line",
    'a "quote"; a comma, a \\ and a\ttab',
    "two\nlines",
    "two\r\nlines",
    "a\rreturn",
    "form\x0cfeed\x1cand\x1eseparators",
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "'=quoted",
    " spaces ",
    "NaN",
    "\N{ZERO WIDTH NO-BREAK SPACE}mark",
    "\N{SLIGHTLY SMILING FACE}",
)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_comment_comes_back_as_it_was_written(tmp_path, suffix):
    rows = [{**ROWS[0], "trial": number, "comment": comment} for number, comment in enumerate(COMMENTS)]
    write_ratings(as_ratings(rows), tmp_path / f"table{suffix}")
    assert tuple(read_ratings(tmp_path / f"table{suffix}")["comment"]) == COMMENTS


def test_a_spreadsheet_s_copy_has_a_mark_and_no_formulas(tmp_path):
    rows = [{**ROWS[0], "trial": number, "comment": comment} for number, comment in enumerate(COMMENTS)]
    write_spreadsheet(as_ratings(rows), tmp_path / "copy.csv")
    data = (tmp_path / "copy.csv").read_bytes()
    assert data.startswith("\N{ZERO WIDTH NO-BREAK SPACE}study,rater".encode())
    found = dict(zip(COMMENTS, read_ratings(tmp_path / "copy.csv")["comment"], strict=True))
    changed = {was: now for was, now in found.items() if was != now}
    assert changed == {was: f"'{was}" for was in ("=1+1", "+1", "-2+3", "@SUM(A1)")}


def test_a_table_that_a_spreadsheet_stored_with_semicolons_is_read(tmp_path):
    table = as_ratings(ROWS)
    table.to_csv(tmp_path / "table.csv", sep=";", index=False, encoding="utf-8-sig")
    pd.testing.assert_frame_equal(read_ratings(tmp_path / "table.csv"), table)


def test_a_table_of_an_earlier_version_holds_answers_in_the_order_of_storing():
    rows = [{name: cell for name, cell in row.items() if name != "revision"} for row in (*ROWS, ROWS[0])]
    assert as_ratings(rows)["revision"].tolist() == [0, 0, 0, 1]


def test_a_table_from_elsewhere_may_lack_the_image_and_who_excluded():
    reasons = {
        "failed 2 of 3 catch trials": "rule",
        "answered 4 of 30 trials within 300 ms of being shown them": "rule",
        "failed 2 of 3 catch trials, and laughed": "owner",
        "": "",
    }
    rows = [{**ROWS[0], "trial": number, "excluded": reason} for number, reason in enumerate(reasons)]
    bare = [{name: cell for name, cell in row.items() if name not in ("image", "excluded_by")} for row in rows]
    table = as_ratings(bare)
    assert table["image"].tolist() == [""] * 4
    assert table["excluded_by"].tolist() == list(reasons.values())
    with pytest.raises(DataError, match="row 1: excluded_by is 'me'; rule or owner was expected"):
        as_ratings([{**ROWS[0], "excluded": "asked to", "excluded_by": "me"}])


def test_the_types_are_those_of_the_codebook():
    table = as_ratings(ROWS)
    assert list(table.columns) == [column.name for column in COLUMNS]
    assert table["value"].tolist() == ["4", "2", "none"]
    assert table["consistent"].tolist() == [True, False, pd.NA]
    assert table["scale"].tolist() == [5, 3, pd.NA]
    assert table["created_at"].iloc[0] == pd.Timestamp(TIME)


@pytest.mark.parametrize(
    ("row", "change", "said"),
    [
        (0, {"value": 6}, "row 1: value is '6'; a level from 1"),
        (0, {"value": "4.5"}, "row 1: value is '4.5'"),
        (0, {"condition": "ours"}, "row 1: condition is 'ours'; one of teacher, lfi"),
        (0, {"condition": ""}, "row 1: condition is empty"),
        (0, {"scale": 7}, "row 1: scale is 7; 5 or 3"),
        (0, {"scale": ""}, "row 1: scale is empty; 5 or 3"),
        (0, {"consistent": False}, "row 1: consistent is False; what the value says"),
        (0, {"response_ms": -1}, "row 1: response_ms is -1"),
        (0, {"response_ms": "fast"}, "row 1: response_ms is 'fast'; a whole number"),
        (0, {"created_at": "2026-11-24T09:30:00"}, "row 1: created_at is '2026-11-24T09:30:00'; a time with its zone"),
        (0, {"practice": "maybe"}, "row 1: practice is 'maybe'; true or false"),
        (1, {"catch_passed": None}, "row 2: catch_passed is empty"),
        (1, {"rater": None}, "row 2: rater is empty"),
        (2, {"value": "both"}, "row 3: value is 'both'; left, right or none"),
        (2, {"right": "lfi"}, "row 3: right is 'lfi'; another condition"),
        (2, {"kind": "guess"}, "row 3: kind is 'guess'; rating or pair"),
        (0, {"trial": "1e30"}, "row 1: trial is '1e30'; a whole number"),
        (0, {"value": "1e30"}, "row 1: value is '1e30'; a level from 1"),
        (0, {"comment": "half \ud83d"}, "row 1: comment is 'half \\ud83d'; text was expected"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(row, change, said):
    rows = [dict(each) for each in ROWS]
    rows[row].update(change)
    with pytest.raises(DataError, match=re.escape(said)):
        as_ratings(rows)


def test_a_level_that_a_spreadsheet_wrote_as_a_fraction_is_that_level():
    table = as_ratings([{**ROWS[0], "value": "4.0", "scale": "5.0"}, {**ROWS[1], "value": 2.0}])
    assert table["value"].tolist() == ["4", "2"]


def test_files_that_are_no_tables_are_refused(tmp_path):
    cases = {
        "no.csv": (None, "no table of ratings at"),
        "table.xlsx": (b"x", "ends in .xlsx"),
        "deep.jsonl": (b"[" * 100_000, "cannot be read as jsonl"),
        "table.csv": (b"rater,value\nr1,4\n", "has no column study, trial, kind"),
        "bad.jsonl": (b"{", "cannot be read as jsonl"),
        "list.jsonl": (b"[1, 2]\n", "has no column"),
        "bad.parquet": (b"PAR1", "cannot be read as parquet"),
        "empty.csv": ((",".join(column.name for column in COLUMNS) + "\n").encode(), "has no ratings in it"),
        "nothing.csv": (b"", "cannot be read as csv"),
    }
    for name, (content, said) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=re.escape(said)):
            read_ratings(tmp_path / name)
