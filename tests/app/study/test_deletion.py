"""Whoever is deleted is gone from tables, records of others, and the database's files."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import select
from takers import Taker

from app.database import engine
from app.database.models import Audit, Rater
from app.failures import StudyError
from app.study.creation import remove_study
from app.study.export import FILES, export_study, ratings_of
from app.study.owner import delete_person, exclude

READABLE = [file for file in FILES if not file.endswith(".parquet")]
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_deleted_person_is_in_no_table(studies, walked, tmp_path):
    name, who = walked
    code = who["excluded"].code
    delete_person(studies, name, code, "test")
    with studies.database.reading() as session:
        trail = [line.detail for line in session.scalars(select(Audit))]
        assert code not in session.scalars(select(Rater.code)).all()
    assert not any(code in line or "hypothesis" in line for line in trail)
    assert code not in set(ratings_of(studies, name)["rater"])


def test_a_deleted_person_s_code_leaves_the_records_of_others(studies, walked, tmp_path):
    name, who = walked
    gone, other = who["finished"].code, who["left"].code
    exclude(studies, name, other, f"the same person as {gone.upper()}", "ada")
    delete_person(studies, name, gone, "ada")
    files = {file.name: file.read_text() for file in export_study(studies, name, tmp_path, "ada", READABLE)}
    assert not any(gone in text.lower() for text in files.values())
    reason = "the same person as (a rater who was deleted)"
    row = next(row for row in csv.DictReader(io.StringIO(files["raters.csv"])) if row["rater"] == other)
    assert (row["status"], row["reason"], row["excluded_by"]) == ("excluded", reason, "owner")
    assert f"{other}: {reason}" in [line["detail"] for line in json.loads(files["audit.json"])]


@on_sqlite
@pytest.mark.parametrize("act", ["delete", "remove"])
def test_traces_that_a_reader_keeps_in_the_log_are_named(studies, create, tmp_path, monkeypatch, act):
    monkeypatch.setattr(engine, "_WIPING_SECONDS", 0.2)
    name = create()
    taker = Taker(studies, name).start()
    taker.answer(comment="my name is Ada")
    log = tmp_path / "study.db-wal"
    with closing(sqlite3.connect(tmp_path / "study.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM answer").fetchall()
        with pytest.raises(StudyError, match=r"the data are deleted, but traces are left in .*study\.db-wal"):
            delete_person(studies, name, taker.code, "test") if act == "delete" else remove_study(studies, name)
        assert b"my name is Ada" in log.read_bytes()
    with studies.database.reading() as session:
        assert session.scalars(select(Rater.code)).all() == []
    assert studies.stimuli(name).exists() == (act == "delete")
    studies.database.wipe()
    assert b"my name is Ada" not in log.read_bytes() + (tmp_path / "study.db").read_bytes()


@on_sqlite
def test_what_a_deleted_person_wrote_is_in_no_file(studies, create, tmp_path):
    name = create()
    taker = Taker(studies, name).start()
    taker.answer(comment="my name is Ada")
    files = list(tmp_path.glob("study.db*"))
    assert any(b"my name is Ada" in file.read_bytes() for file in files)
    delete_person(studies, name, taker.code, "test")
    for file in files:
        assert b"my name is Ada" not in file.read_bytes(), file.name
        assert taker.code.encode() not in file.read_bytes(), file.name
