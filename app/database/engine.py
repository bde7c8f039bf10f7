"""SQLite and PostgreSQL behind one class: sessions that read, and sessions that write one at a time where they must.

SQLite: write-ahead log, `synchronous=FULL` (an acknowledged answer survives a power cut), `secure_delete` (what is
deleted is overwritten), and every writing session begins with BEGIN IMMEDIATE, so what it reads first is still true
when it writes. PostgreSQL: READ COMMITTED; whoever reads before writing locks the row that the decision hangs on
(`with_for_update`, which SQLite ignores). Whoever only reads does so from one snapshot (REPEATABLE READ).

A database that is away, locked, full or read-only is a `StorageError`, whoever asks.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import URL, Connection, Dialect, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from app.database.away import noticed
from app.failures import StorageError, StudyError
from lfi.errors import ConfigError

PATIENCE = 30.0
"""Seconds for which a command waits for a lock, or for a server that does not answer."""
_IDLE_SECONDS = 1.0
_WIPING_SECONDS = 5.0
"""For which those who read are waited for, so that nothing of what was deleted is left."""


class Database:
    """A database by its URL, such as `sqlite:///data/study.db` or `postgresql+psycopg://user@host/name`.

    Every method that asks it raises StorageError where it is not available.

    Args:
        patience: seconds to wait for a connection, and for a lock.

    Raises:
        ConfigError: a URL that is malformed or names another kind of database.
    """

    def __init__(self, url: str, patience: float = PATIENCE):
        try:
            self.url = make_url(url)
        except ArgumentError as error:
            raise ConfigError("the database URL is malformed; an example is sqlite:///study.db") from error
        kind = self.url.drivername
        if kind not in ("sqlite", "postgresql+psycopg"):
            raise ConfigError(f"the database URL begins with {kind}; sqlite or postgresql+psycopg was expected")
        self.sqlite = kind == "sqlite"
        if self.sqlite and not self.file:
            raise ConfigError("a study in memory would be lost; use a file, such as sqlite:///study.db")
        self.patience = patience
        # More at once would only pass Python's interpreter lock around at every round trip: p95 grew with it.
        pool: dict[str, Any] = {"pool_size": 6, "max_overflow": 0, "pool_timeout": patience, "hide_parameters": True}
        if self.sqlite:
            self.engine = create_engine(_existing(self.url), connect_args={"timeout": patience}, **pool)
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "connect", _note_file(self.file))
            event.listen(self.engine, "checkout", _check_file(self.file))
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = create_engine(self.url, connect_args=_patient(self.url, patience), **pool)
            event.listen(self.engine, "connect", _limit_locks(patience))
            event.listen(self.engine, "checkin", _note_time)
            event.listen(self.engine, "checkout", _ping_when_idle(self.engine.dialect))
        snapshot = {} if self.sqlite else {"isolation_level": "REPEATABLE READ"}  # of SQLite every transaction is one
        self._readers = self.engine.execution_options(**snapshot)
        # SQLite polls for its lock with pauses of up to 100 ms; threads of one process need not.
        self._turn = threading.Lock() if self.sqlite else None
        self._alone = None if self.sqlite else threading.Lock()

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database."""
        name = self.url.database
        return Path(name) if self.sqlite and name and name != ":memory:" else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with noticed(), Session(self._readers, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self, alone: bool = False) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back where an error passes.

        Args:
            alone: it will lock what all such sessions lock (a study), so they wait here, and not with a connection each
                that others could use.
        """
        with (
            noticed(),
            self._held(self._alone if alone else None),
            self._held(self._turn),
            self.writing_connection() as connection,
            Session(connection) as session,
        ):
            yield session
            session.commit()

    @contextmanager
    def writing_connection(self) -> Iterator[Connection]:
        """A connection in a writing transaction, for what is not an object (migrations)."""
        with noticed(), self.engine.connect() as connection:
            connection.execution_options(writing=True)
            with connection.begin():
                yield connection

    def check(self, seconds: float) -> None:
        """Whether an answer could be stored now.

        Args:
            seconds: to wait for a lock of SQLite.

        Raises:
            StorageError: none could.
        """
        if not self.sqlite:
            with self.reading() as session:
                if session.scalar(text("SHOW transaction_read_only")) == "on":
                    raise StorageError("the server only reads")
            return
        uri = _existing(self.url)
        with noticed(), closing(sqlite3.connect(f"{uri.database}?mode=rw", seconds, uri=True)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")

    def wipe(self) -> None:
        """Take what was deleted out of SQLite's files, too; PostgreSQL's own vacuum does it there.

        Raises:
            StudyError: somebody kept reading, so SQLite's log still holds it.
        """
        if not self.sqlite:
            return
        until = time.monotonic() + min(self.patience, _WIPING_SECONDS)
        while not self._emptied():
            if time.monotonic() > until:
                log = f"{Path(self.url.database or '').name}-wal"
                raise StudyError(
                    f"the data are deleted, but traces are left in {log}, as somebody else reads the database; they go "
                    "with the next deletion, or when the service and all commands have stopped"
                )
            time.sleep(0.1)

    def _emptied(self) -> bool:
        """Empty SQLite's log into the database; False where somebody still reads what was there before.

        By a connection of its own: it waits only a moment, as nobody can write meanwhile.
        """
        file = f"{_existing(self.url).database}?mode=rw"
        with noticed(), self._held(self._turn), closing(sqlite3.connect(file, 0.1, uri=True)) as connection:
            busy, _frames, _moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _held(self, lock: threading.Lock | None) -> Iterator[None]:
        if lock is not None and not lock.acquire(timeout=self.patience):
            raise StorageError(f"other requests have held the database for {self.patience:g} s")
        try:
            yield
        finally:
            if lock is not None:
                lock.release()


def _existing(url: URL) -> URL:
    """The same SQLite database, never made by connecting: what is gone must not come back empty."""
    return url.set(database=f"file:{quote(url.database or '')}").update_query_dict({"mode": "rw", "uri": "true"})


def _patient(url: URL, patience: float) -> dict[str, Any]:
    """How long to wait for a server, and for a network that swallows packets; what the URL says comes first."""
    limits = {"connect_timeout": max(2, int(patience)), "tcp_user_timeout": int(patience * 1000)}
    return {name: value for name, value in limits.items() if name not in url.query}


def _limit_locks(patience: float) -> Callable[[Any, ConnectionPoolEntry], None]:
    def limit(connection: Any, _record: ConnectionPoolEntry) -> None:
        connection.autocommit = True  # or the first rollback would undo it
        connection.execute(f"SET lock_timeout = {int(patience * 1000)}")
        connection.autocommit = False

    return limit


def _note_file(file: Path | None) -> Callable[[Any, ConnectionPoolEntry], None]:
    def note(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["file"] = _identity(file)

    return note


def _check_file(file: Path | None) -> Callable[[Any, ConnectionPoolEntry, Any], None]:
    """A file that was deleted can still be written to, by whoever has it open: nobody would ever find those answers."""

    def check(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if _identity(file) != record.info["file"]:
            raise DisconnectionError  # the pool opens what is there now

    return check


def _identity(file: Path | None) -> tuple[int, int] | None:
    try:
        found = os.stat(file or "")
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
