"""Which errors say that the database is not available now, and not that a statement or a value is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import exc

from app.failures import StorageError, StudyError

_SQLITE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}
"""SQLite's primary codes; the generic SQLITE_ERROR is a mistake of ours (no such table)."""
_POSTGRESQL = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
"""Connections refused or lost, locks, a full disk, too many connections, a shutdown, a standby that only reads."""


@contextmanager
def noticed() -> Iterator[None]:
    """Turn such an error into StorageError; all others pass as they are.

    Raises:
        StorageError: the database is not available.
        StudyError: a text that no database stores (`models.Writing`).
    """
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error, psycopg.Error) as error:
        cause = error.orig if isinstance(error, exc.StatementError) else error
        if isinstance(cause, StudyError):
            raise cause from None
        if isinstance(error, exc.TimeoutError | exc.DisconnectionError) or _is_away(cause):
            raise StorageError(_reason(cause)) from error
        raise


def _is_away(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE  # the rest of an extended code is detail
    return isinstance(cause, _POSTGRESQL)


def _reason(cause: BaseException | None) -> str:
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
