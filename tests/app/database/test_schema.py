"""The schema: models and migrations say the same on both databases; released schemas are upgraded with their data."""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from databases import database_url, postgresql  # noqa: F401 -- fixtures
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from app.database import HEAD, Database, revision_of, upgrade
from app.database.models import CURRENT, Answer, Base, Study
from lfi.errors import ConfigError, DataError

RELEASED = sorted((Path(__file__).parent / "released").glob("*.sql"))
"""One dump of a small study for every schema that was ever released; never changed, only added to."""


@pytest.fixture
def database(database_url):  # noqa: F811
    database = Database(database_url)
    upgrade(database)
    yield database
    database.close()


def test_the_migrations_make_what_the_models_say(database):
    assert revision_of(database) == HEAD
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_every_constraint_has_its_name(database):
    found = inspect(database.engine)
    for table in Base.metadata.tables.values():
        names = {each["name"] for each in found.get_unique_constraints(table.name)}
        names |= {each["name"] for each in found.get_check_constraints(table.name)}
        names |= {each["name"] for each in found.get_foreign_keys(table.name)}
        assert None not in names
        wanted = {each.name for each in table.constraints if each.name and not each.name.startswith("pk_")}
        assert wanted <= names


def test_upgrading_again_changes_nothing(database):
    upgrade(database)
    assert revision_of(database) == HEAD


def test_the_database_itself_refuses_what_must_not_be(database):
    with pytest.raises(IntegrityError, match="ck_study_status"), database.writing() as session:
        session.execute(text("INSERT INTO study (id, name, status, created_at) VALUES (1, 'a', 'odd', '2026-01-01')"))
    with database.reading() as session:
        assert session.scalars(select(Study)).all() == []


def test_an_answer_that_leaves_out_a_revision_is_refused(database):
    at = "'2026-01-01'"
    rows = (
        f"INSERT INTO study (id, name, status, created_at) VALUES (1, 'a', 'open', {at})",
        "INSERT INTO cell (id, study_id, kind, item, image, first, second, target) "
        "VALUES (1, 1, 'rating', 'i001', 'p001', 'lfi', '', 1)",
        "INSERT INTO rater (id, study_id, code, language, preview, status, created_at, excluded_reason) "
        f"VALUES (1, 1, 'r1', 'en', false, 'active', {at}, '')",
        "INSERT INTO assignment (id, rater_id, cell_id, position, flipped, public, answered) "
        "VALUES (1, 1, 1, 0, false, 'x', false)",
    )
    answer = (
        "INSERT INTO answer (assignment_id, rater_id, key, revision, value, response_ms, comment, language, stored_at) "
        f"VALUES (1, 1, :key, :revision, '3', 900, '', 'en', {at})"
    )
    with database.writing() as session:
        for row in rows:
            session.execute(text(row))
        session.execute(text(answer), {"key": "one", "revision": 0})
        session.execute(text(answer), {"key": "two", "revision": 1})
    with pytest.raises(IntegrityError, match="without a gap"), database.writing() as session:
        session.execute(text(answer), {"key": "three", "revision": 3})
    with database.reading() as session:
        assert session.scalars(select(CURRENT.c.revision)).all() == [1]


def test_there_is_a_dump_of_the_newest_schema():
    assert HEAD in [path.stem for path in RELEASED]


@pytest.mark.parametrize("dump", RELEASED, ids=lambda path: path.stem)
def test_a_released_schema_is_upgraded_with_its_data(dump, tmp_path):
    file = tmp_path / "study.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
        before = connection.execute("SELECT id, value, comment FROM answer ORDER BY id").fetchall()
    database = Database(f"sqlite:///{file}")
    upgrade(database)
    assert revision_of(database) == HEAD
    with database.reading() as session:
        after = session.execute(select(Answer.id, Answer.value, Answer.comment).order_by(Answer.id)).all()
        assert [tuple(row) for row in after] == before
        assert 0 < len(session.execute(select(CURRENT)).all()) < len(before)
        trial, rater, number = session.execute(
            select(CURRENT.c.assignment_id, CURRENT.c.rater_id, CURRENT.c.revision)
        ).first()
    for ahead in (1, 0):
        fields = {"assignment_id": trial, "rater_id": rater, "key": f"key-{ahead}", "revision": number + 1 + ahead}
        fields |= {"value": "3", "response_ms": 1, "comment": "", "language": "en", "stored_at": datetime.now(UTC)}
        refused = pytest.raises(IntegrityError, match="without a gap") if ahead else nullcontext()
        with refused, database.writing() as session:
            session.add(Answer(**fields))
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_a_newer_schema_is_not_touched(tmp_path):
    file = tmp_path / "study.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('9999')"
        )
    with pytest.raises(DataError, match="schema 9999, this version of LFI supports up to"):
        upgrade(Database(f"sqlite:///{file}"))


@pytest.mark.parametrize("url", ["", "study.db", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_a_wrong_url_is_named(url):
    with pytest.raises(ConfigError):
        Database(url)
