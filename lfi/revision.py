"""Which version of the code this is."""

from __future__ import annotations

import subprocess
from pathlib import Path

_HERE = Path(__file__).parent


def revision(folder: Path = _HERE, digits: int = 40) -> str:
    """The git revision of the code, wherever it is started from; ends in `-dirty` where tracked files were changed.

    Args:
        folder: one of the checkout.
        digits: at least as many of the hash.

    Returns:
        `unknown` where git does not track the folder: in an installed package, even inside somebody else's checkout.
    """
    if not _git(folder, "ls-files", "."):
        return "unknown"
    return _git(folder, "describe", "--always", f"--abbrev={digits}", "--exclude=*", "--dirty") or "unknown"


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
