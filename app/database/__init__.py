"""Where a study's state lives: SQLite by default, PostgreSQL by URL, one schema for both."""

from app.database.engine import Database
from app.database.schema import HEAD, revision_of, upgrade

__all__ = ["HEAD", "Database", "revision_of", "upgrade"]
