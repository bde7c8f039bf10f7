"""Servers for load tests: a PostgreSQL in a temporary folder, and `lfi serve` in a process to be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from lfi.errors import ConfigError, DataError

_ACCOUNT = "postgres"  # PostgreSQL refuses to run as root
_READY_SECONDS = 600


@contextmanager
def temporary_postgresql() -> Iterator[str]:
    """URL of an empty database on a server that lives as long as the context; it waits for its disk (`fsync`).

    Raises:
        ConfigError: no PostgreSQL is installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        raise ConfigError("no PostgreSQL server is installed; Debian has it in the package `postgresql`")
    control = Path(initdb).with_name("pg_ctl")
    with tempfile.TemporaryDirectory(prefix="lfi-pg", dir="/tmp") as folder:  # a socket's path has at most 107 bytes
        data = Path(folder) / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, _ACCOUNT)
        _as_postgres([initdb, "-D", data, "-U", _ACCOUNT, "-A", "trust", "-E", "UTF8"])
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=200"
        _as_postgres([control, "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start"])
        try:
            with psycopg.connect(f"postgresql://{_ACCOUNT}@/postgres?host={folder}", autocommit=True) as connection:
                connection.execute("CREATE DATABASE study")
            yield f"postgresql+psycopg://{_ACCOUNT}@/study?host={folder}"
        finally:
            _as_postgres([control, "-D", data, "-m", "immediate", "stop"])


class Service:
    """`lfi serve` in its own process, on a port that stays the same when it is started again.

    Args:
        environment: settings, `LFI_...`; added to the environment of this process.
        log: where its output goes.
    """

    def __init__(self, environment: Mapping[str, str], log: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.environment, self.log = dict(environment), log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until its models are warm.

        Raises:
            DataError: it ends, or is not ready in ten minutes.
        """
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port)]
            self._process = subprocess.Popen(command, env=os.environ | self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + _READY_SECONDS
        with httpx.Client(timeout=5) as client:  # one for all: each would read the system's certificates again
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    raise DataError(f"the service exited with {self._process.returncode}; {self.log} says why")
                try:
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
        self.kill()
        raise DataError(f"the service was not ready after {_READY_SECONDS} s; {self.log} says why")

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Ask it to stop (SIGTERM), and wait until it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would (`kill -9`)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def _as_postgres(command: Sequence[object]) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", _ACCOUNT, "--", *words]
    done = subprocess.run(words, cwd="/tmp", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode:
        raise DataError(f"{' '.join(words)} failed: {done.stderr.decode(errors='replace').strip()}")
