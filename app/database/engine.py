"""SQLite and PostgreSQL behind one class: sessions that read, and sessions that write one at a time where they must.

SQLite: write-ahead log, `synchronous=FULL` (an acknowledged answer survives a power cut), `secure_delete` (what is
deleted is overwritten), and every writing session begins with BEGIN IMMEDIATE, so what it reads first is still true
when it writes. PostgreSQL: READ COMMITTED; whoever
reads before writing locks the row that the decision hangs on (`with_for_update`, which SQLite ignores).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Dialect, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from lfi.errors import ConfigError

_BUSY_SECONDS = 30
_IDLE_SECONDS = 1.0


class Database:
    """A database by its URL, such as `sqlite:///data/study.db` or `postgresql+psycopg://user@host/name`.

    Raises:
        ConfigError: a URL that is malformed or names another kind of database.
    """

    def __init__(self, url: str):
        try:
            self.url = make_url(url)
        except ArgumentError as error:
            raise ConfigError(f"the database URL {url!r} is malformed; an example is sqlite:///study.db") from error
        kind = self.url.drivername
        if kind not in ("sqlite", "postgresql+psycopg"):
            raise ConfigError(f"the database URL begins with {kind}; sqlite or postgresql+psycopg was expected")
        self.sqlite = kind == "sqlite"
        if self.sqlite and not self.file:
            raise ConfigError("a study in memory would be lost; use a file, such as sqlite:///study.db")
        # More at once would only pass Python's interpreter lock around at every round trip: p95 grew with it.
        pool: dict[str, Any] = {"pool_size": 6, "max_overflow": 0, "pool_timeout": _BUSY_SECONDS}
        if self.sqlite:
            self.engine = create_engine(self.url, connect_args={"timeout": _BUSY_SECONDS}, **pool)
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = create_engine(self.url, **pool)
            event.listen(self.engine, "checkin", _note_time)
            event.listen(self.engine, "checkout", _ping_when_idle(self.engine.dialect))
        # SQLite polls for its lock with pauses of up to 100 ms; threads of one process need not.
        self._turn: Any = threading.Lock() if self.sqlite else nullcontext()
        self._alone: Any = nullcontext() if self.sqlite else threading.Lock()

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database."""
        name = self.url.database
        return Path(name) if self.sqlite and name and name != ":memory:" else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with Session(self.engine, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self, alone: bool = False) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back where an error passes.

        Args:
            alone: it will lock what all such sessions lock (a study), so they wait here, and not with a connection each
                that others could use.
        """
        with (
            self._alone if alone else nullcontext(),
            self._turn,
            self.writing_connection() as connection,
            Session(connection) as session,
        ):
            yield session
            session.commit()

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        """A connection in a writing transaction, for what is not an object (migrations)."""
        with self.engine.connect().execution_options(writing=True) as connection, connection.begin():
            yield connection

    def wipe(self) -> None:
        """Take what was deleted out of SQLite's files, too; PostgreSQL's own vacuum does it there."""
        if self.sqlite:
            with self._turn, closing(self.engine.raw_connection()) as connection:  # no checkpoint in a transaction
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _note_time(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _ping_when_idle(dialect: Dialect) -> Callable[..., None]:
    """As `pool_pre_ping`, for connections that rested alone: a server that was restarted has forgotten us."""

    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", time.monotonic()) > _IDLE_SECONDS:
            try:
                dialect.do_ping(connection)
            except psycopg.Error as error:
                raise DisconnectionError from error  # the pool opens another

    return ping


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    for rule in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {rule}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writing") else "BEGIN")
