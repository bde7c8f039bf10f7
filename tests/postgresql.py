"""A PostgreSQL server for the tests: Debian's `postgresql`, in a temporary folder, on a Unix socket alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ACCOUNT = "postgres"  # the server refuses to run as root


def binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, the newest version's; None where there is no server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


@contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """The server's URL without a database name, `postgresql+psycopg://postgres@/{name}?host=...` to be filled in."""
    programs = binaries()
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as place:  # the path of a socket may have 107 bytes
        data = Path(place) / "data"
        if os.geteuid() == 0:
            shutil.chown(place, ACCOUNT)
        _run([programs / "initdb", "-D", data, "-U", ACCOUNT, "-A", "trust", "--no-sync", "-E", "UTF8"])
        options = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off -c max_connections=200"
        _run([programs / "pg_ctl", "-D", data, "-w", "-l", f"{place}/log", "-o", options, "start"])
        try:
            yield f"postgresql+psycopg://{ACCOUNT}@/{{name}}?host={place}"
        finally:
            _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"])


def _run(command: Sequence[object]) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", ACCOUNT, "--", *words]
    subprocess.run(words, check=True, cwd="/tmp", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
