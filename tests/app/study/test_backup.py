"""Backups: whole or not there at all, their owner's alone, and refused where anything is missing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sqlite3
import stat
import tarfile
from pathlib import Path

import pytest
from takers import Taker

from app.failures import StudyError
from app.study.backup import backup, restore
from app.study.export import ratings_of
from app.study.manifest import NAME
from app.study.owner import exclude
from app.study.service import Studies
from lfi.errors import DataError

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def walked(studies, create) -> tuple[str, dict[str, Taker]]:
    """A study with a rater who finished and one who left."""
    name = create(overlap=2, trials=8, images=8)
    who = {role: Taker(studies, name).start() for role in ("finished", "left")}
    who["finished"].finish()
    who["left"].answer()
    return name, who


@pytest.fixture
def empty(study_settings, tmp_path, clock) -> Studies:
    """Where there are no studies."""
    folder = tmp_path / "new"
    changes = {"study_folder": folder, "database_url": f"sqlite:///{folder / 'study.db'}"}
    return Studies(study_settings.model_copy(update=changes), clock)


def members(archive: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(archive) as tar:
        return [(each, tar.extractfile(each).read()) for each in tar.getmembers()]


def write(archive: Path, contents: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(archive, "w") as tar:
        for each, data in contents:
            each.size = len(data)
            tar.addfile(each, io.BytesIO(data))
    return archive


@on_sqlite
def test_a_backup_of_a_running_study_brings_it_back(studies, walked, study_settings, tmp_path, clock):
    name, who = walked
    backup(studies, tmp_path / "backup.tar")
    before = ratings_of(studies, name)
    who["left"].answer()  # after the backup
    elsewhere = study_settings.model_copy(
        update={"study_folder": tmp_path / "new", "database_url": f"sqlite:///{tmp_path / 'new' / 'study.db'}"}
    )
    again = Studies(elsewhere, clock)
    restore(again, tmp_path / "backup.tar", rehearse=True)
    assert not (tmp_path / "new").exists()
    restore(again, tmp_path / "backup.tar")
    assert ratings_of(again, name).equals(before)
    returned = Taker(again, name, token=who["left"].token)
    picture = returned.session.picture(returned.state["trial"]["id"], "left")
    assert picture.is_relative_to(tmp_path / "new")
    assert picture.is_file()
    returned.answer()
    with pytest.raises(StudyError, match="already exists"):
        restore(again, tmp_path / "backup.tar")
    with pytest.raises(DataError, match="never overwrites"):
        backup(studies, tmp_path / "backup.tar")
    again.close()


@on_sqlite
def test_a_log_that_an_old_database_left_is_not_played_into_a_restored_one(studies, walked, study_settings, tmp_path):
    backup(studies, tmp_path / "backup.tar")
    elsewhere = Studies(study_settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'new.db'}"}))
    (tmp_path / "new.db-wal").write_bytes(b"of a database that was moved away")
    with pytest.raises(StudyError, match=r"new\.db-wal already exists; move it away first"):
        restore(elsewhere, tmp_path / "backup.tar")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_backup_of_postgresql_is_left_to_its_own_tools(studies, create, tmp_path):
    create()
    with pytest.raises(StudyError, match="use pg_dump"):
        backup(studies, tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()


@on_sqlite
def test_a_file_that_is_no_backup_is_refused_and_leaves_nothing(study_settings, tmp_path):
    other = Studies(study_settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'x' / 'study.db'}"}))
    (tmp_path / "bad.tar").write_bytes(b"not a tar")
    with pytest.raises(DataError, match="cannot be restored"):
        restore(other, tmp_path / "bad.tar")
    assert not (tmp_path / "x" / "study.db").exists()


@on_sqlite
def test_a_backup_is_its_owner_s_alone_and_is_not_there_before_it_is_whole(studies, walked, tmp_path, monkeypatch):
    archive = tmp_path / "backups" / "backup.tar"
    seen = []
    link = os.link
    monkeypatch.setattr(os, "link", lambda part, to: (seen.append(archive.exists()), link(part, to)))
    backup(studies, archive)
    assert seen == [False]
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert [path.name for path in archive.parent.iterdir()] == ["backup.tar"]
    assert members(archive)[0][0].name == NAME


@on_sqlite
def test_a_disk_that_is_full_is_named_and_leaves_nothing_behind(studies, walked, tmp_path, monkeypatch):
    archive = tmp_path / "backups" / "backup.tar"
    connect = sqlite3.connect

    def small(file, *arguments, **options):
        connection = connect(file, *arguments, **options)
        if archive.parent in Path(file).parents:
            connection.execute("PRAGMA max_page_count = 2")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(DataError, match=r"cannot write .*backup\.tar: database or disk is full"):
        backup(studies, archive)
    assert list(archive.parent.iterdir()) == []


@on_sqlite
def test_a_backup_without_a_picture_of_its_studies_is_not_made(studies, walked, tmp_path):
    next(studies.stimuli(walked[0]).iterdir()).unlink()
    with pytest.raises(DataError, match="pictures of the studies are missing: 1, such as"):
        backup(studies, tmp_path / "backups" / "backup.tar")
    assert list((tmp_path / "backups").iterdir()) == []


def damaged(whole: list[tuple[tarfile.TarInfo, bytes]]) -> dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]]:
    """What may become of an archive, and what is said then."""
    manifest, database, *pictures = whole
    picture, data = pictures[-1]
    other = tarfile.TarInfo("stimuli/pilot/more.webp")
    return {
        "cut at a member": (whole[:9], f"of {len(pictures) + 1} files are missing: {len(pictures) - 7}, such as"),
        "cut, from before manifests": ([database, *pictures[:9]], "pictures of its studies are missing: "),
        "without the database": ([manifest, *pictures], "files are missing: study.db"),
        "a picture that changed": ([*whole[:-1], (picture, data[:-1] + b"x")], "not as its manifest says: stimuli/"),
        "a file too many": ([*whole, (other, b"x")], "files that its manifest does not list: stimuli/pilot/more.webp"),
        "a manifest of nothing": ([(manifest[0], b"{}"), database, *pictures], "its manifest is damaged"),
        "a deep manifest": ([(manifest[0], b"[" * 99999), database, *pictures], "its manifest is damaged"),
        "not a database": ([(database[0], b"x" * 9000), *pictures], "the database in the backup is damaged"),
    }


@on_sqlite
def test_an_archive_that_is_not_whole_is_refused_and_puts_nothing_in_place(studies, walked, empty, tmp_path):
    backup(studies, tmp_path / "backup.tar")
    for about, (contents, said) in damaged(members(tmp_path / "backup.tar")).items():
        archive = write(tmp_path / "damaged.tar", contents)
        for rehearse in (True, False):
            with pytest.raises(DataError, match=said):
                restore(empty, archive, rehearse)
        left = [path.name for path in empty.settings.study_folder.glob("*")]
        assert left == [], about
    half = tmp_path / "half.tar"
    whole = (tmp_path / "backup.tar").read_bytes()
    for packed in (lambda data: data, gzip.compress, bz2.compress, lzma.compress):
        data = packed(whole)
        for part in (data[: len(data) // 2], data[:100] + b"x" * 100 + data[200:]):
            half.write_bytes(part)
            with pytest.raises(DataError, match="cannot be restored"):
                restore(empty, half)


@on_sqlite
def test_a_backup_from_before_manifests_is_restored(studies, walked, empty, tmp_path):
    backup(studies, tmp_path / "backup.tar")
    old = write(tmp_path / "old.tar", members(tmp_path / "backup.tar")[1:])
    restore(empty, old)
    assert ratings_of(empty, walked[0]).equals(ratings_of(studies, walked[0]))
    assert stat.S_IMODE((empty.settings.study_folder / "study.db").stat().st_mode) == 0o600


@on_sqlite
def test_a_rehearsal_changes_nothing_and_may_be_where_studies_are(studies, walked, tmp_path):
    backup(studies, tmp_path / "backup.tar")
    before = sorted(tmp_path.rglob("*"))
    restore(studies, tmp_path / "backup.tar", rehearse=True)
    assert sorted(tmp_path.rglob("*")) == before
    walked[1]["left"].answer()
    exclude(studies, walked[0], walked[1]["left"].code, "a test", "test")


@on_sqlite
def test_a_restore_overwrites_no_picture(studies, walked, empty, tmp_path):
    backup(studies, tmp_path / "backup.tar")
    there = empty.stimuli(walked[0])
    there.mkdir(parents=True)
    with pytest.raises(StudyError, match="pilot already exists; move it away first"):
        restore(empty, tmp_path / "backup.tar")
    assert not (empty.settings.study_folder / "study.db").exists()
