"""What a backup holds: `manifest.json`, its first member, names every file with its size and SHA-256.

A tar file that ends at the end of a member reads without an error, however much is missing: only a list can tell.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lfi.errors import DataError

NAME = "manifest.json"
DATABASE = "study.db"
STIMULI = "stimuli"
_FORMAT = 1


@dataclass(frozen=True)
class Sum:
    """A file's size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


def sum_of(file: Path) -> Sum:
    """What the manifest says about a file."""
    with file.open("rb") as opened:
        return Sum(file.stat().st_size, hashlib.file_digest(opened, "sha256").hexdigest())


def manifest(files: Mapping[str, Sum], made_at: datetime) -> bytes:
    """The manifest of these members, JSON."""
    listed = {name: {"size": each.size, "sha256": each.sha256} for name, each in sorted(files.items())}
    content = {"format": _FORMAT, "made_at": made_at.isoformat(), "files": listed}
    return (json.dumps(content, indent=1) + "\n").encode()


def check_folder(folder: Path) -> None:
    """Whether an unpacked backup is all there, file by file, and its database names no picture that is not in it.

    Backups from before there was a manifest are held against their database alone.

    Raises:
        DataError: something is missing, changed, or not listed; how many files, and one of them.
    """
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    listed = found.pop(NAME, None)
    if listed is not None:
        _compare(_read(listed), found)
    if DATABASE not in found:
        raise DataError(f"it has no {DATABASE}, so it is not a backup")
    check_database(found[DATABASE])
    missing = sorted(pictures_of(found[DATABASE]) - found.keys())
    if missing:
        raise DataError(f"pictures of its studies are missing: {_some(missing)}")


def check_database(file: Path) -> None:
    """Whether a SQLite file is whole.

    Raises:
        DataError: it is not.
    """
    with closing(sqlite3.connect(file)) as connection:
        try:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.DatabaseError as error:
            raise DataError(f"the database in the backup is damaged: {error}") from error
    if said != "ok" or broken:
        raise DataError(f"the database in the backup is damaged: {said}")


def pictures_of(database: Path) -> set[str]:
    """The members that a SQLite file's studies show."""
    query = "SELECT study.name, stimulus.file FROM stimulus JOIN study ON study.id = stimulus.study_id"
    with closing(sqlite3.connect(database)) as connection:
        try:
            return {f"{STIMULI}/{study}/{file}" for study, file in connection.execute(query)}
        except sqlite3.DatabaseError as error:
            raise DataError(f"the database in the backup holds no studies: {error}") from error


def _read(file: Path) -> dict[str, Sum]:
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
        if content["format"] != _FORMAT:
            raise DataError(f"its manifest has format {content['format']}; this version of LFI reads {_FORMAT}")
        return {name: Sum(each["size"], each["sha256"]) for name, each in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError("its manifest is damaged") from error


def _compare(listed: Mapping[str, Sum], found: Mapping[str, Path]) -> None:
    missing = sorted(listed.keys() - found.keys())
    if missing:
        raise DataError(f"some of {len(listed)} files are missing: {_some(missing)}; the archive was cut off")
    unknown = sorted(found.keys() - listed.keys())
    if unknown:
        raise DataError(f"files that its manifest does not list: {_some(unknown)}")
    changed = [name for name in sorted(listed) if sum_of(found[name]) != listed[name]]
    if changed:
        raise DataError(f"files that are not as its manifest says: {_some(changed)}")


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)}, such as {names[0]}"
