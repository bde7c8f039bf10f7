"""Both kinds of database, for every test that asks for one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from postgresql import binaries, running_server


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running server, with `{name}` for a database."""
    if binaries() is None:
        reason = "no PostgreSQL server; Debian's package `postgresql` has one"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with running_server(tmp_path_factory.mktemp("postgresql")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    return new_database(request.getfixturevalue("postgresql"))


def new_database(server: str) -> str:
    """URL of a new database on this server."""
    name = f"t{uuid.uuid4().hex}"
    plain = server.replace("+psycopg", "")
    with psycopg.connect(plain.format(name="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.format(name=name)
