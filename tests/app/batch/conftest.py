"""A service that takes few and small batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from batches import until
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import read_settings


@pytest.fixture(scope="module")
def service(trio_folder: Path) -> Iterator[TestClient]:
    settings = read_settings(
        models_dir=trio_folder.parent, trio=trio_folder.name, batches=2, batch_images=4, max_batch_bytes=100_000
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        until(client, lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture
def send(service: TestClient) -> Iterator[Callable[..., httpx.Response]]:
    """`send(files, words=...)`: a new batch; what a test leaves behind is deleted."""
    made: list[str] = []

    def send(files: dict[str, bytes], **fields: object) -> httpx.Response:
        answer = service.post(
            "/v1/batches", files=[("images", each) for each in files.items()], data={"words": "star", **fields}
        )
        if answer.status_code == 202:
            made.append(answer.json()["links"]["status"])
        return answer

    yield send
    for link in made:
        service.delete(link)
