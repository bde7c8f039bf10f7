"""Files that are whole or not there, however the process that writes them ends."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lfi.errors import ConfigError, reason

PART = ".part"
"""How the names of files end that are being written; a process that is killed leaves its own behind."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that is moved to `path` when the block ends, and removed if the block fails.

    The name is this thread's own, so two writers of the same file never mix their bytes: the last one's stays.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{PART}")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all; folders are made.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {path.parent}: {reason(error)}") from error
