"""The schema's versions: alembic migrations that come with the package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from app.database.away import noticed
from app.database.engine import Database
from app.failures import NewerSchemaError, StorageError
from lfi.errors import reason

HEAD = "0003"
"""The newest revision."""


def upgrade(database: Database, revision: str = HEAD) -> None:
    """Bring the schema up to a revision; an empty database gets everything. Does nothing where it is there.

    Raises:
        NewerSchemaError: it was made by a newer version of LFI.
        StorageError: it cannot be reached.
    """
    if database.file and not database.file.exists():
        _make_file(database.file)
    found = revision_of(database)
    if found == revision:
        return
    if found is not None and found > HEAD:
        raise NewerSchemaError(HEAD, found)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.writing_connection() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def revision_of(database: Database) -> str | None:
    """The schema's revision; None for an empty database.

    Raises:
        StorageError: it cannot be reached.
    """
    with noticed(), database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _make_file(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError as error:
        raise StorageError(f"cannot make {file}: {reason(error)}") from error
