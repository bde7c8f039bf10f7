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
Stub = Callable[[str, str], None]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """`script(name, database url, arguments..., study=folder, rights=confined(service))`: run as the containers do."""
    for folder in ("backups", "work"):
        (tmp_path / folder).mkdir()

    def script(
        name: str, url: str, *arguments: str, study: Path, rights: tuple[str, ...] = (), **more: str
    ) -> subprocess.CompletedProcess[str]:
        place = make_url(url)
        environment = {
            "PATH": f"{tmp_path / 'bin'}:{binaries()}:{os.environ['PATH']}",
            "TMPDIR": str(tmp_path / "work"),
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


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    """`stub(name, lines)`: what the scripts run instead of this program; `real` in the lines is the program itself."""

    def stub(name: str, lines: str) -> None:
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\nreal() {{ {shutil.which(name)} "$@"; }}\n{lines}\n')
        file.chmod(0o755)

    return stub


@pytest.fixture
def no_server(stub: Stub, tmp_path: Path) -> str:
    """A database as far as the scripts can tell: its dump is one line. With a picture in the folder `study`."""
    stub("pg_dump", 'for each; do file=${each#--file=}; done; echo database >"$file"')
    stub("pg_restore", "")
    stub("psql", "echo 0")
    (tmp_path / "study" / "pilot").mkdir(parents=True)
    (tmp_path / "study" / "pilot" / "a.webp").write_bytes(b"picture")
    return "postgresql+psycopg://lfi@/lfi?host=/nowhere"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


FAILURES = {
    "pg_dump": 'for each; do file=${each#--file=}; done; echo half >"$file"; exit 1',
    "pg_restore": "exit 1",
    "tar": 'real "$@"; exit 2',  # a full disk
    "tar, killed": 'real "$@"; kill -TERM "$PPID"',
    "tar, cut off": 'real "$@"; [ "$1" != -cf ] || truncate -s 1024 "$2"',
    "tar, changed": 'real "$@"; [ "$1" != -cf ] || sed -i s/picture/pigture/ "$2"',
    "mv": 'case $1 in *.tar.part) real "$@" ;; *) exit 1 ;; esac',
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_copy_that_fails_leaves_nothing(no_server, script, stub, tmp_path, what):
    stub(what.partition(",")[0], FAILURES[what])
    done = script("backup.sh", no_server, "once", study=tmp_path / "study")
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert left(tmp_path / "backups") == left(tmp_path / "work") == []


def test_what_killed_copies_left_is_removed_even_when_the_next_one_fails(no_server, script, stub, tmp_path):
    stub("pg_dump", "exit 1")
    names = ("20260101T000000Z.part", "20260101T000000Z.tar.part", "20260102T000000Z.tar")
    kept = ("20260103T000000Z.dump", "20260103T000000Z.tar", "my-own.tar")
    for name in (*names, *kept):
        (tmp_path / "backups" / f"lfi-{name}").touch()
        os.utime(tmp_path / "backups" / f"lfi-{name}", (0, 0))
    (tmp_path / "backups" / "lfi-20260104T000000Z.part").touch()  # somebody is writing it
    assert script("backup.sh", no_server, "once", study=tmp_path / "study").returncode == 1
    assert left(tmp_path / "backups") == sorted(f"lfi-{name}" for name in (*kept, "20260104T000000Z.part"))


REDRAWN = 'rm -f "$STUDY_FOLDER"/pilot/*; echo new >"$STUDY_FOLDER/pilot/$(date +%N).webp"'


@pytest.mark.parametrize("meanwhile", ["pg_dump", "sha256sum", "tar"])
def test_a_draft_that_is_redrawn_meanwhile_is_copied_again_with_its_dump(no_server, script, stub, tmp_path, meanwhile):
    dumped = 'for each; do file=${each#--file=}; done; ls "$STUDY_FOLDER"/pilot >"$file"'
    stub("pg_dump", dumped)
    stub("sleep", "")
    once = f'if mkdir "{tmp_path}/once"; then {REDRAWN}; fi 2>/dev/null'
    stub(meanwhile, f"{dumped}; {once}" if meanwhile == "pg_dump" else f'{once}; real "$@"')
    dump = Path(script("backup.sh", no_server, "once", study=tmp_path / "study").stdout.strip())
    assert left(tmp_path / "backups") == [dump.name, f"{dump.stem}.tar"]
    done = script("restore.sh", no_server, dump.name, study=tmp_path / "new")
    assert (done.returncode, done.stderr) == (0, "")
    assert left(tmp_path / "new" / "pilot") == left(tmp_path / "study" / "pilot") == dump.read_text().split()


def test_a_draft_that_is_always_redrawn_is_not_copied_half(no_server, script, stub, tmp_path):
    stub("sleep", "")
    stub("tar", f'real "$@"; {REDRAWN}')
    done = script("backup.sh", no_server, "once", study=tmp_path / "study")
    assert (done.returncode, "changed each time" in done.stderr) == (1, True)
    assert left(tmp_path / "backups") == []


def test_a_lab_without_studies_is_copied_and_restored(no_server, script, tmp_path):
    done = script("backup.sh", no_server, "once", study=tmp_path / "none")
    assert (done.returncode, "this copy holds no pictures" in done.stderr) == (0, True)
    done = script("restore.sh", no_server, Path(done.stdout.strip()).name, study=tmp_path / "new")
    assert (done.returncode, done.stderr, left(tmp_path / "new")) == (0, "", [])


def test_a_copy_without_its_tar_is_restored_only_when_asked(no_server, script, tmp_path):
    dump = Path(script("backup.sh", no_server, "once", study=tmp_path / "study").stdout.strip())
    dump.with_suffix(".tar").unlink()
    done = script("restore.sh", no_server, dump.name, study=tmp_path / "new")
    assert (done.returncode, "--no-pictures" in done.stderr, done.stdout) == (2, True, "")
    done = script("restore.sh", no_server, "--no-pictures", dump.name, study=tmp_path / "new")
    assert (done.returncode, done.stdout) == (0, f"restored {dump}\n")
    assert not (tmp_path / "new").exists()


def test_a_restore_that_failed_in_the_database_can_be_repeated(postgresql, script, tmp_path):  # noqa: F811
    before, after = new_database(postgresql), new_database(postgresql)
    lab(before, tmp_path / "study")
    dump = Path(script("backup.sh", before, "once", study=tmp_path / "study").stdout.strip())
    database = Database(after)
    with database.writing() as session:
        session.execute(text("CREATE VIEW study AS SELECT 1"))
    done = script("restore.sh", after, dump.name, study=tmp_path / "new")
    assert (done.returncode, "nothing was changed" in done.stderr) == (1, True)
    assert left(tmp_path / "new") == []
    with database.writing() as session:
        session.execute(text("DROP VIEW study"))
    database.close()
    done = script("restore.sh", after, dump.name, study=tmp_path / "new")
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(after) == rows(before)
    assert (tmp_path / "new" / "pilot" / "a.webp").read_bytes() == b"picture"
