"""The service under load: too many requests, too little time, clients that go, and a stop in the middle of it all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from running import wait_until_ready
from uploads import as_bytes, scene

from app.engine.microbatches import MicroBatches
from app.main import create_app
from app.settings import read_settings


class Slow:
    """The models of a service, which can be held up."""

    def __init__(self, client: TestClient, trio: str):
        self.batches: MicroBatches = client.app.state.engine._queue(trio)
        self.admission = client.app.state.engine.admission
        self.open, self.busy = threading.Event(), threading.Event()
        self._run = self.batches.run
        self.batches.run = self  # type: ignore[assignment]

    def __call__(self, asked: object) -> object:
        self.busy.set()
        assert self.open.wait(10)
        return self._run(asked)  # type: ignore[arg-type]


@pytest.fixture
def seconds() -> float:
    """How long a request may take: more than any here does, on a busy machine, too."""
    return 30.0


@pytest.fixture
def small(trio_folder: Path, seconds: float) -> Iterator[TestClient]:
    """A service with two places."""
    settings = read_settings(
        models_dir=trio_folder.parent, trio=trio_folder.name, places=2, jobs=2, micro_batch=1, request_seconds=seconds
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


def ask(client: TestClient, word: str = "star") -> object:
    return client.post("/v1/maps", files={"image": ("photo.png", as_bytes(scene()))}, data={"words": word})


def test_a_full_service_says_when_to_come_back_and_loses_nothing(small, trio_folder):
    slow = Slow(small, trio_folder.name)
    with ThreadPoolExecutor(2) as people:
        first = people.submit(ask, small)
        assert slow.busy.wait(10)
        second = people.submit(ask, small, "blue")
        while slow.admission.inside < 2:
            time.sleep(0.01)
        refused = ask(small)
        slow.open.set()
        answers = [first.result(10), second.result(10)]
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["type"] == "urn:problem-type:lfi:busy"
    assert [(answer.status_code, answer.json()["words"]) for answer in answers] == [(200, ["star"]), (200, ["blue"])]
    assert ask(small).status_code == 200


@pytest.mark.parametrize("seconds", [1.0])
def test_a_request_that_waits_longer_than_its_time_is_given_up(small, trio_folder):
    slow = Slow(small, trio_folder.name)
    with ThreadPoolExecutor(2) as people:
        first = people.submit(ask, small)
        assert slow.busy.wait(10)
        late = people.submit(ask, small, "blue").result(10)
        slow.open.set()
        first.result(10)
    assert (late.status_code, late.headers["retry-after"]) == (503, "2")
    assert late.json()["detail"] == "the answer took more than 1 s; try again in a moment"
    assert slow.admission.inside == 0
