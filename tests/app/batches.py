"""What batches are tested with: pictures, and how to wait for, hold up and look into those of a service."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi.testclient import TestClient
from PIL import Image
from uploads import as_bytes, scene, truncated_jpeg

from app.batch.store import Batch

PICTURES = {"wide.png": as_bytes(scene(120, 40)), "broken.jpg": truncated_jpeg(), "tall.png": as_bytes(scene(40, 120))}


def until(client: TestClient, holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finished(client: TestClient, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    link = answer.json()["links"]["status"]
    until(client, lambda: client.get(link).json()["finished"])
    return client.get(link).json()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side // 2, 3), np.uint8))


def folders(client: TestClient) -> list[Path]:
    root = client.app.state.batches._root
    return sorted(place for place in Path(root.name).iterdir() if place.is_dir()) if root else []


@contextmanager
def held_up(client: TestClient) -> Iterator[None]:
    """No places for the worker, which waits as a request would."""
    hold = client.app.state.engine.jobs
    places, hold.total_tokens = hold.total_tokens, 0
    try:
        yield
    finally:
        hold.total_tokens = places


def kept_batch(client: TestClient, status: dict[str, Any]) -> Batch:
    return client.app.state.batches._batches[status["id"]]
