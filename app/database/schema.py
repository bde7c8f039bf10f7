"""The schema's versions: alembic migrations that come with the package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import OperationalError

from app.database.engine import Database
from lfi.errors import DataError

HEAD = "0002"
"""The newest revision."""


def upgrade(database: Database, revision: str = HEAD) -> None:
    """Bring the schema up to a revision; an empty database gets everything. Does nothing where it is there.

    Raises:
        DataError: the database cannot be reached, or was made by a newer version of LFI.
    """
    if database.file:
        database.file.parent.mkdir(parents=True, exist_ok=True)
    found = revision_of(database)
    if found == revision:
        return
    if found is not None and found > HEAD:
        raise DataError(f"the database has schema {found}, this version of LFI supports up to {HEAD}; update LFI")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.writing_connection() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def revision_of(database: Database) -> str | None:
    """The schema's revision; None for an empty database.

    Raises:
        DataError: the database cannot be reached.
    """
    try:
        with database.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise DataError(f"the database {database.url.render_as_string()} cannot be reached: {reason}") from error
