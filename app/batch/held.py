"""A temporary folder that is known for dead once its process is, however that ended."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "lfi-batches-"
_LOCK = ".lock"


class HeldFolder:
    """A temporary folder with a lock in it, which the system lets go of when this process ends.

    Attributes:
        name: its path.
    """

    def __init__(self) -> None:
        while True:
            self._made = tempfile.TemporaryDirectory(prefix=_PREFIX)
            self.name = self._made.name
            lock = Path(self.name, _LOCK)
            self._lock = FileLock(lock, thread_local=False)
            self._lock.acquire()
            if lock.exists():  # or another service swept it before it was held
                return

    def cleanup(self) -> None:
        """Delete it with all that is in it."""
        self._lock.release()
        self._made.cleanup()


def sweep() -> int:
    """Delete this user's held folders whose processes have ended, killed perhaps; how many there were."""
    swept = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not (folder / _LOCK).is_file():
                continue
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder)
            swept += 1
        except (Timeout, OSError):  # it is in use, or another service was faster
            continue
    return swept
