"""Connections that are kept open, and what became of the server meanwhile."""

from __future__ import annotations

import psycopg
from databases import new_database, postgresql  # noqa: F401 -- a fixture
from sqlalchemy import text

from app.database import Database, engine


def test_connections_that_a_restarted_server_has_forgotten_are_replaced(postgresql, monkeypatch):  # noqa: F811
    monkeypatch.setattr(engine, "_IDLE_SECONDS", -1.0)  # all have rested long enough
    url = new_database(postgresql)
    database = Database(url)
    with database.reading() as session:
        first = session.scalar(text("SELECT pg_backend_pid()"))
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [first])
    with database.reading() as session:
        second = session.scalar(text("SELECT pg_backend_pid()"))
    database.close()
    assert first != second


def test_sessions_that_wait_for_one_another_leave_connections_to_others(postgresql):  # noqa: F811
    database = Database(new_database(postgresql))
    with database.writing(alone=True):
        assert not database._alone.acquire(blocking=False)  # the next one waits here,
        assert database.engine.pool.checkedout() == 1  # and before it has taken a connection
        with database.writing() as session:
            assert session.scalar(text("SELECT 1")) == 1
    database.close()
