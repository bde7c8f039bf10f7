"""Backups of all studies: one archive with a consistent database and the stimuli.

SQLite is copied with its online backup while the service goes on. PostgreSQL has its own tools, which do it better.
An archive has its name only once it is whole and has been read back; it holds people's answers, so it is its owner's
alone (0600).
"""

from __future__ import annotations

import io
import lzma
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.database import HEAD, Database, revision_of
from app.failures import StudyError
from app.study.manifest import (
    DATABASE,
    NAME,
    STIMULI,
    check_database,
    check_folder,
    manifest,
    pictures_of,
    sum_of,
)
from app.study.private import private
from app.study.service import Studies
from lfi.errors import DataError, reason


def backup(studies: Studies, archive: Path) -> None:
    """Write all studies into a tar file; the service may run meanwhile.

    Raises:
        StudyError: the database is PostgreSQL.
        DataError: the archive exists already, or cannot be written; pictures of a study are missing.
    """
    file = _sqlite_file(studies.database)
    if archive.exists():
        raise DataError(f"{archive} already exists; a backup never overwrites anything")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{archive.name}-", dir=archive.parent) as folder:
            copy, part = Path(folder) / DATABASE, Path(folder) / "part"
            with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            check_database(copy)
            # The database first: whatever it names then lies in the folder already.
            members = {DATABASE: copy} | _pictures(studies.settings.study_folder)
            missing = sorted(pictures_of(copy) - members.keys())
            if missing:
                raise DataError(f"pictures of the studies are missing: {len(missing)}, such as {missing[0]}")
            _write(part, members, manifest({name: sum_of(path) for name, path in members.items()}, studies.clock()))
            _rehearse(part, Path(folder))
            os.link(part, archive)  # unlike a rename, it never replaces what came there meanwhile
            _settle(archive.parent)
    except FileExistsError as error:
        raise DataError(f"{archive} already exists; a backup never overwrites anything") from error
    except OSError as error:
        raise DataError(f"cannot write {archive}: {reason(error)}") from error
    except sqlite3.OperationalError as error:  # such as a full disk
        raise DataError(f"cannot write {archive}: {error}") from error


def restore(studies: Studies, archive: Path, rehearse: bool = False) -> None:
    """Put a backup in place of nothing: there may be neither a database nor its folders, and no running service.

    Args:
        rehearse: unpack and check everything, and put nothing in place; studies may be there and the service may run.

    Raises:
        StudyError: there are studies already, or the database is PostgreSQL.
        DataError: the archive is not a backup, is incomplete or damaged, or was made by a newer version.
    """
    file = _sqlite_file(Database(studies.settings.study_database))
    folder = studies.settings.study_folder
    if not rehearse:
        # A log that an old database left behind would be played into the new one.
        _check_absent(file, *(file.with_name(file.name + left) for left in ("-wal", "-shm", "-journal")))
    try:
        with _workplace(folder, rehearse) as place:
            _unpack(archive, place)
            if rehearse:
                return
            studies_found = sorted((place / STIMULI).glob("*"))
            _check_absent(*(folder / study.name for study in studies_found))
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            staged = file.with_name(f"{file.name}.restored")
            shutil.copyfile(place / DATABASE, staged)
            staged.chmod(0o600)
            with staged.open("rb+") as written:
                os.fsync(written.fileno())
            for study in studies_found:
                study.rename(folder / study.name)
            staged.rename(file)  # last, so that half a restore does not count as a study
            _settle(file.parent)
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error, ValueError) as error:
        raise DataError(f"{archive} cannot be restored: {reason(error)}") from error


def _pictures(folder: Path) -> dict[str, Path]:
    found = [path for path in sorted(folder.glob("*/*")) if path.is_file() and path.parent.name[0] != "."]
    return {f"{STIMULI}/{path.parent.name}/{path.name}": path for path in found}


def _write(part: Path, members: dict[str, Path], listed: bytes) -> None:
    with open(part, "xb", opener=private) as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            head = tarfile.TarInfo(NAME)
            head.size, head.mode = len(listed), 0o600
            tar.addfile(head, io.BytesIO(listed))
            for name, path in members.items():
                tar.add(path, name)
        file.flush()
        os.fsync(file.fileno())


def _rehearse(archive: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        _unpack(archive, Path(place))


def _unpack(archive: Path, place: Path) -> None:
    """Unpack a backup and check every file of it.

    Raises:
        DataError: it is not a backup, is incomplete or damaged, or was made by a newer version.
    """
    with tarfile.open(archive) as tar:
        tar.extractall(place, filter="data")
    try:
        check_folder(place)
    except DataError as error:
        raise DataError(f"{archive} cannot be restored: {error}") from error
    database = Database(f"sqlite:///{place / DATABASE}")
    found = revision_of(database)
    database.close()
    if found is None or found > HEAD:
        raise DataError(f"{archive} has schema {found}, this version of LFI supports up to {HEAD}; update LFI")


@contextmanager
def _workplace(folder: Path, rehearse: bool) -> Iterator[Path]:
    """A folder that is gone afterwards, on the disk of the studies, so that what is put in place is only renamed."""
    if not rehearse:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=None if rehearse else folder) as place:
        yield Path(place)


def _check_absent(*paths: Path) -> None:
    for there in paths:
        if there.exists():
            raise StudyError(f"{there} already exists; move it away first, nothing is ever overwritten")


def _settle(folder: Path) -> None:
    """Have the folder's new entry on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sqlite_file(database: Database) -> Path:
    if database.file is None:
        raise StudyError("the database is PostgreSQL; use pg_dump and pg_restore, and copy the stimuli's folder")
    return database.file
