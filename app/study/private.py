"""Files that hold identities, tokens or answers: their owner's alone."""

from __future__ import annotations

import os


def private(path: str, flags: int) -> int:
    """For `open(path, "x", opener=private)`: the new file has mode 0600 from its first byte."""
    return os.open(path, flags, 0o600)
