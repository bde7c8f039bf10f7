"""A running service over the tiny trio, and the files that people send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from running import wait_until_ready
from uploads import as_bytes, scene

from app.engine import Engine
from app.main import create_app
from app.settings import Settings, read_settings

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def settings(trio_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    kept = tmp_path_factory.mktemp("kept")
    return read_settings(models_dir=trio_folder.parent, trio=trio_folder.name, kept_folder=kept)


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="session")
def engine(client: TestClient) -> Engine:
    return client.app.state.engine


@pytest.fixture(scope="session")
def ask(client: TestClient) -> Ask:
    """`ask(words=..., image=..., accept=..., **fields)`: one request for maps."""

    def ask(
        words: object = "red circle",
        image: bytes | None = None,
        accept: str = "application/json",
        name: str = "photo.png",
        **fields: object,
    ) -> httpx.Response:
        data = as_bytes(scene()) if image is None else image
        return client.post(
            "/v1/maps",
            files={"image": (name, data)},
            data={"words": words, **fields},
            headers={"Accept": accept},
        )

    return ask
