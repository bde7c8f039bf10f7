"""Backups of all studies: one archive with a consistent database and the stimuli.

SQLite is copied with its online backup while the service goes on. PostgreSQL has its own tools, which do it better.
"""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

from app.database import HEAD, Database, revision_of
from app.failures import StudyError
from app.study.service import Studies
from lfi.errors import DataError

_DATABASE = "study.db"
_STIMULI = "stimuli"


def backup(studies: Studies, archive: Path) -> None:
    """Write all studies into a tar file; the service may run meanwhile.

    Raises:
        StudyError: the database is PostgreSQL.
        DataError: the archive exists already, or cannot be written.
    """
    file = _sqlite_file(studies.database)
    if archive.exists():
        raise DataError(f"{archive} already exists; a backup never overwrites anything")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder, tarfile.open(archive, "x") as tar:
            copy = Path(folder) / _DATABASE
            with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            _check(copy)
            tar.add(copy, _DATABASE)
            for path in sorted(studies.settings.study_folder.glob("*/*")):
                if path.is_file():
                    tar.add(path, f"{_STIMULI}/{path.parent.name}/{path.name}")
    except OSError as error:
        raise DataError(f"cannot write {archive}: {(error.strerror or str(error)).lower()}") from error


def restore(studies: Studies, archive: Path) -> None:
    """Put a backup in place of nothing: the database must not be there yet. The service must not run.

    Raises:
        StudyError: there are studies already, or the database is PostgreSQL.
        DataError: the archive is not a backup, is damaged, or was made by a newer version.
    """
    database = Database(studies.settings.study_database)
    file = _sqlite_file(database)
    folder = studies.settings.study_folder
    # A log that an old database left behind would be played into the new one.
    for there in (file, *(file.with_name(file.name + left) for left in ("-wal", "-shm", "-journal"))):
        if there.exists():
            raise StudyError(f"{there} already exists; move it away first, nothing is ever overwritten")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as place:
            with tarfile.open(archive) as tar:
                tar.extractall(place, filter="data")
            copy = Path(place) / _DATABASE
            if not copy.is_file():
                raise DataError(f"{archive} has no {_DATABASE}, so it is not a backup")
            _check(copy)
            for study in sorted((Path(place) / _STIMULI).glob("*")):
                shutil.copytree(study, folder / study.name, dirs_exist_ok=True)
            copy.rename(file)  # last, so that half a restore does not count as a study
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{archive} cannot be restored: {error}") from error
    found = revision_of(database)
    if found is None or found > HEAD:
        file.unlink()
        raise DataError(f"{archive} has schema {found}, this version of LFI supports up to {HEAD}; update LFI")
    database.close()


def _sqlite_file(database: Database) -> Path:
    if database.file is None:
        raise StudyError("the database is PostgreSQL; use pg_dump and pg_restore, and copy the stimuli's folder")
    return database.file


def _check(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        try:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.DatabaseError as error:
            raise DataError(f"the database in the backup is damaged: {error}") from error
    if said != "ok" or broken:
        raise DataError(f"the database in the backup is damaged: {said}")
