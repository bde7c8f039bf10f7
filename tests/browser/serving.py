"""A service of its own for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.servers import Service


@contextmanager
def served(models: Path, folder: Path, **settings: str) -> Iterator[str]:
    """Address of a service of the trio in `models`, with these settings (`LFI_...`), as long as the context lives."""
    service = Service({"LFI_MODELS_DIR": str(models.parent), "LFI_TRIO": models.name, **settings}, folder / "log")
    service.start()
    try:
        yield service.url
    finally:
        service.kill()
