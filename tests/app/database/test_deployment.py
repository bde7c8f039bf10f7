"""The lab's backups, rehearsed with the scripts that its containers run: copy, lose everything, restore, go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from databases import new_database, postgresql  # noqa: F401 -- a fixture
from postgresql import binaries
from sqlalchemy import make_url, text

from app.database import HEAD, Database, revision_of, upgrade

DEPLOY = Path(__file__).parents[3] / "deploy"
_ROWS = "SELECT id, name, status FROM study ORDER BY id"
Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """`script(name, database url, arguments..., study=folder, rights=confined(service))`: run as the containers do."""
    (tmp_path / "backups").mkdir()

    def script(
        name: str, url: str, *arguments: str, study: Path, rights: tuple[str, ...] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        place = make_url(url)
        environment = {
            "PATH": f"{binaries()}:{os.environ['PATH']}",
            "PGHOST": str(place.query["host"]),
            "PGUSER": place.username or "",
            "PGDATABASE": place.database or "",
            "BACKUP_FOLDER": str(tmp_path / "backups"),
            "STUDY_FOLDER": str(study),
            **more,
        }
        command = [*rights, "sh", str(DEPLOY / name), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return script


def confined(name: str) -> tuple[str, ...]:
    """What a command begins with to have no more rights than a service of docker-compose.yml, which runs as root."""
    service = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"][name]
    assert "user" not in service
    kept = "".join(f",+{capability.lower()}" for capability in service["cap_add"])
    return "setpriv", "--no-new-privs", f"--bounding-set=-all{kept}", f"--inh-caps=-all{kept}"


def lab(url: str, study: Path) -> None:
    """A database of the first schema that was released, with a study and its picture."""
    database = Database(url)
    upgrade(database, "0001")
    with database.writing() as session:
        session.execute(
            text("INSERT INTO study (id, name, status, created_at) VALUES (7, 'pilot', 'open', '2026-01-01')")
        )
    database.close()
    (study / "pilot").mkdir(parents=True)
    (study / "pilot" / "a.webp").write_bytes(b"picture")


def rows(url: str) -> list[tuple[object, ...]]:
    database = Database(url)
    with database.reading() as session:
        found = [tuple(row) for row in session.execute(text(_ROWS))]
    database.close()
    return found


def test_a_lab_that_lost_everything_goes_on_from_its_backup(postgresql, script, tmp_path):  # noqa: F811
    before, after = new_database(postgresql), new_database(postgresql)
    lab(before, tmp_path / "study")

    done = script("backup.sh", before, "once", study=tmp_path / "study")
    assert (done.returncode, done.stderr) == (0, "")
    dump = Path(done.stdout.strip())
    assert sorted(path.suffix for path in dump.parent.iterdir()) == [".dump", ".tar"]

    done = script("restore.sh", after, dump.name, study=tmp_path / "new")
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(after) == rows(before) == [(7, "pilot", "open")]
    assert (tmp_path / "new" / "pilot" / "a.webp").read_bytes() == b"picture"

    database = Database(after)  # as the service does when it starts
    upgrade(database)
    assert revision_of(database) == HEAD
    database.close()


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv to give rights up"
)
def test_root_copies_what_is_closed_to_others_and_gives_it_back_to_the_service(postgresql, script, tmp_path):  # noqa: F811
    before, after = new_database(postgresql), new_database(postgresql)
    data = tmp_path / "data"
    lab(before, data / "study")
    for path in (data, *data.rglob("*")):
        os.chown(path, 10001, 10001)
    (data / "study" / "pilot").chmod(0o700)

    done = script("backup.sh", before, "once", study=data / "study", rights=confined("backup"))
    assert (done.returncode, done.stderr) == (0, "")
    shutil.rmtree(data / "study")
    dump = Path(done.stdout.strip()).name
    done = script("restore.sh", after, dump, study=data / "study", rights=confined("restore"))
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(after) == rows(before)
    restored = {path.name: path.stat() for path in (data / "study", *(data / "study").rglob("*"))}
    assert restored.keys() == {"study", "pilot", "a.webp"}
    assert {(each.st_uid, each.st_gid) for each in restored.values()} == {(10001, 10001)}
    assert restored["pilot"].st_mode & 0o777 == 0o700


def test_a_copy_that_was_cut_off_or_changed_is_refused_and_others_may_not_read_one(postgresql, script, tmp_path):  # noqa: F811
    before, after = new_database(postgresql), new_database(postgresql)
    lab(before, tmp_path / "study")
    for number in range(9):
        (tmp_path / "study" / "pilot" / f"{number}.webp").write_bytes(bytes([number]) * 2000)
    dump = Path(script("backup.sh", before, "once", study=tmp_path / "study").stdout.strip())
    copy = dump.with_suffix(".tar")
    assert {oct(path.stat().st_mode & 0o777) for path in (dump, copy)} == {"0o600"}
    whole = {path: path.read_bytes() for path in (dump, copy)}
    with tarfile.open(copy) as tar:
        end = tar.getmembers()[-3].offset
    for path, data in ((copy, whole[copy][:end]), (dump, whole[dump] + b"x"), (dump, whole[dump][:-100])):
        path.write_bytes(data)
        done = script("restore.sh", after, dump.name, study=tmp_path / "new")
        assert (done.returncode, "incomplete or damaged; nothing was restored" in done.stderr) == (2, True)
        assert list((tmp_path / "new").iterdir()) == []
        path.write_bytes(whole[path])
    (tmp_path / "new" / "pilot").mkdir()
    done = script("restore.sh", after, dump.name, study=tmp_path / "new")
    assert (done.returncode, "pilot already exists; move it away first" in done.stderr) == (2, True)
    (tmp_path / "new" / "pilot").rmdir()
    assert script("restore.sh", after, dump.name, study=tmp_path / "new").returncode == 0
    assert rows(after) == rows(before)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pilot"]
    assert len(list((tmp_path / "new" / "pilot").iterdir())) == 10


def test_a_restore_never_overwrites(postgresql, script, tmp_path):  # noqa: F811
    url = new_database(postgresql)
    lab(url, tmp_path / "study")
    dump = Path(script("backup.sh", url, "once", study=tmp_path / "study").stdout.strip())
    done = script("restore.sh", url, dump.name, study=tmp_path / "study")
    assert done.returncode == 2
    assert "restore into an empty one" in done.stderr
    assert rows(url) == [(7, "pilot", "open")]
    done = script("restore.sh", url, "other.dump", study=tmp_path / "study")
    assert done.returncode == 2
    assert dump.name in done.stderr


def test_old_copies_go_and_a_failed_one_leaves_no_dump(postgresql, script, tmp_path):  # noqa: F811
    url = new_database(postgresql)
    lab(url, tmp_path / "study")
    for day in range(1, 4):
        for suffix in ("dump", "tar"):
            (tmp_path / "backups" / f"lfi-2026010{day}T000000Z.{suffix}").touch()
    done = script("backup.sh", url, "once", study=tmp_path / "study", BACKUP_KEEP="2")
    names = sorted(path.name for path in (tmp_path / "backups").iterdir())
    assert names[:2] == ["lfi-20260103T000000Z.dump", "lfi-20260103T000000Z.tar"]
    assert names[2:] == [Path(done.stdout.strip()).name, Path(done.stdout.strip()).stem + ".tar"]

    done = script("backup.sh", url, "once", study=tmp_path / "study", PGDATABASE="nobody")
    assert done.returncode != 0
    assert "nobody" in done.stderr
    assert len(list((tmp_path / "backups").glob("*.dump"))) == 2
