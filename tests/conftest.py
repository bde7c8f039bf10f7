"""What several folders of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports torch: tests run side by side, and threads that spin for each other cost ten times the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def trio_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny, untrained trio named `tiny`; its parent holds nothing else."""
    from tiny_trio import write_tiny_trio

    return write_tiny_trio(tmp_path_factory.mktemp("models") / "tiny")
