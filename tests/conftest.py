"""What several folders of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trio_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny, untrained trio named `tiny`; its parent holds nothing else."""
    from tiny_trio import write_tiny_trio

    return write_tiny_trio(tmp_path_factory.mktemp("models") / "tiny")
