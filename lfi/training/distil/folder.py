"""The folder that holds all that leads to a trio: held by one call at a time, known again by the next."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lfi.errors import ConfigError, reason
from lfi.training.distil.plan import FILE, Plan
from lfi.training.trio import check_empty

MADE = ("teacher", "teacher.part", "cache", "students", "layer.json", "choice.json", "presence.json", FILE)
"""What is found in it; `--fresh` removes it."""


@contextmanager
def alone(runs: Path) -> Iterator[None]:
    """Make the folder where it is missing, and hold it. The system lets go when the process ends, however it ends."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(runs / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise ConfigError(f"another lfi distil is at work in {runs}; wait for it to end") from None
    except OSError as error:
        raise ConfigError(f"cannot write to {runs}: {reason(error)}") from error
    try:
        yield
    finally:
        lock.release()


def check_place(out: Path, runs: Path) -> None:
    """Refuse, before anything is done, a folder of the trio that could not be put in its place at the end.

    Raises:
        ConfigError: it says why.
    """
    folder = out.resolve()
    if folder == Path.cwd() or folder.is_mount():
        raise ConfigError(f"{folder} is in use, and the trio's folder is put in its place; choose another with --out")
    if runs.resolve().is_relative_to(folder):
        raise ConfigError(f"{runs} cannot be in the trio's folder {out}; choose another folder with --runs")
    check_empty(out)
    try:
        with tempfile.TemporaryDirectory(dir=nearest(folder.parent)):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {reason(error)}") from error


def nearest(folder: Path) -> Path:
    """The folder itself or, of those above it, the nearest that is there."""
    return next(each for each in (folder, *folder.resolve().parents) if each.exists())


def clear(runs: Path, made: Iterable[str] = MADE) -> None:
    """Take away what an earlier call made; whatever else lies there stays."""
    for name in made:
        path = runs / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def made_of(out: Path, plan: Plan | None) -> bool:
    """Whether `out` is the trio that this plan ended in."""
    if plan is None or not (out / "card.json").is_file():
        return False
    try:
        return json.loads((out / "card.json").read_text(encoding="utf-8")).get("distilled") == plan.key
    except (OSError, ValueError, AttributeError):
        return False
