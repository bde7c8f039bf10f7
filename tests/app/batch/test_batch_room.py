"""Places and room of batches: who may send another, what may lie on disk, and when it goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from batches import PICTURES, finished, folders, held_up, kept_batch, noise, until
from fastapi.testclient import TestClient
from uploads import as_bytes

from app.batch.store import Batch, _remove
from app.keys import new_key
from app.main import create_app
from app.settings import read_settings
from lfi.errors import ConfigError


def test_what_was_sent_is_deleted_when_the_batch_is_over_and_the_rest_on_demand(service, send):
    status = finished(service, send({"wide.png": PICTURES["wide.png"]}))
    (place,) = folders(service)
    assert not (place / "source").exists()
    assert service.delete(status["links"]["status"]).status_code == 204
    assert folders(service) == []
    answer = service.get(status["links"]["status"])
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem-type:lfi:nothing-here")


def test_places_are_few_and_become_free_again(service, send):
    with held_up(service):
        first = send({"a.png": PICTURES["wide.png"]})
        second = send({"a.png": PICTURES["wide.png"], "b.png": PICTURES["tall.png"]})
        answer = send({"a.png": PICTURES["wide.png"]})
        assert (answer.status_code, answer.json()["type"]) == (429, "urn:problem-type:lfi:batches-full")
        assert int(answer.headers["retry-after"]) >= 1
    finished(service, first)
    finished(service, second)
    finished(service, send({"a.png": PICTURES["wide.png"]}))  # those that are over hold no places
    finished(service, send({"a.png": PICTURES["wide.png"]}))


def test_a_place_becomes_free_about_when_retry_after_says(service, send):
    with held_up(service):
        service.app.state.batches._room.pace = 30.0
        send({"a.png": PICTURES["wide.png"], "b.png": PICTURES["wide.png"]})
        send({"a.png": PICTURES["wide.png"]})
        assert send({"a.png": PICTURES["wide.png"]}).headers["retry-after"] == "60"  # two images of the first batch


def keyed(folder: Path, **settings: object) -> TestClient:
    keys = {name: new_key(name, ["maps"]) for name in ("ada", "bob")}
    made = create_app(
        read_settings(
            models_dir=folder.parent,
            trio=folder.name,
            api_keys=",".join(key.line() for _, key in keys.values()),
            **settings,
        )
    )
    client = TestClient(made, raise_server_exceptions=False)
    client.secrets = {name: {"Authorization": f"Bearer {secret}"} for name, (secret, _) in keys.items()}
    return client


def test_a_batch_belongs_to_its_key_and_so_do_places(trio_folder):
    with keyed(trio_folder, batches=1) as client:
        until(client, lambda: client.get("/readyz").status_code == 200)
        ada, bob = client.secrets["ada"], client.secrets["bob"]

        def post(key: dict[str, str]) -> httpx.Response:
            files = {"images": ("a.png", PICTURES["wide.png"])}
            return client.post("/v1/batches", files=files, data={"words": "star"}, headers=key)

        with held_up(client):
            links = post(ada).json()["links"]
            assert post(ada).status_code == 429
            assert post(bob).status_code == 202
            for link in links.values():
                assert client.get(link, headers=bob).json()["type"] == "urn:problem-type:lfi:nothing-here"
            assert client.post(f"{links['status']}/stop", headers=bob).status_code == 404
            assert client.delete(links["status"], headers=bob).status_code == 404
            assert client.get(links["status"], headers=ada).json()["state"] in ("waiting", "running")


def test_what_lies_on_disk_is_bounded_and_freed(trio_folder):
    settings = read_settings(
        models_dir=trio_folder.parent, trio=trio_folder.name, max_batch_bytes=100_000, batches_bytes=3_200_000
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        until(client, lambda: client.get("/readyz").status_code == 200)
        batch = {"files": {"images": ("a.png", PICTURES["wide.png"])}, "data": {"words": "star"}}
        finished(client, client.post("/v1/batches", **batch))
        status = finished(client, client.post("/v1/batches", **batch))
        finished(client, client.post("/v1/batches", **batch))
        too_much = {"files": {"images": ("a.png", as_bytes(noise(300)))}, "data": {"words": "star"}}
        answer = client.post("/v1/batches", **too_much)
        assert (answer.status_code, answer.json()["type"]) == (429, "urn:problem-type:lfi:batches-full")
        assert 3500 < int(answer.headers["retry-after"]) <= 3600  # when the first results go
        assert len(folders(client)) == 3
        client.delete(status["links"]["status"])
        assert client.post("/v1/batches", **too_much).status_code == 202


def test_room_is_asked_for_before_a_body_is_read(trio_folder):
    """Whoever has no place is refused by the header: the body is not even sent."""
    settings = read_settings(models_dir=trio_folder.parent, trio=trio_folder.name, batches=1)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        until(client, lambda: client.get("/readyz").status_code == 200)
        with held_up(client):
            client.post("/v1/batches", files={"images": ("a.png", PICTURES["wide.png"])}, data={"words": "star"})
            read: list[bool] = []
            answer = client.portal.call(_refused_unread, client.app, read)
    assert (answer, read) == (429, [])


async def _refused_unread(app: Any, read: list[bool]) -> int:
    """The status of a request to which nobody has sent a body."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        read.append(True)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"9000"), (b"host", b"a")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/batches",
        "raw_path": b"/v1/batches",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("testclient", 50000),
        "server": ("a", 80),
    }
    await app(scope, receive, send)
    return sent[0]["status"]


def test_a_limit_under_one_batch_is_refused_when_the_service_starts():
    with pytest.raises(ConfigError, match=r"LFI_BATCHES_BYTES is 1000; .* at least 202,000,000 was expected"):
        read_settings(batches_bytes=1000)


def test_a_batch_that_is_deleted_while_another_expires_harms_nobody(service, send, monkeypatch):
    batches = service.app.state.batches
    old = [kept_batch(service, finished(service, send({"a.png": PICTURES["wide.png"]}))) for _ in range(2)]
    for batch in old:
        batch.ended -= 10**6

    def remove(batch: Batch) -> None:
        batches._batches.pop(old[1].id, None)  # as a DELETE does
        _remove(batch)

    monkeypatch.setattr("app.batch.store._remove", remove)
    service.portal.call(batches._expire)
    assert not set(batches._batches) & {batch.id for batch in old}
    _remove(old[1])


def test_everything_that_is_written_counts(service, send):
    batch = kept_batch(service, finished(service, send(PICTURES, words=["star", "red circle"])))
    files = [path for path in batch.place.rglob("*") if path.is_file() and path.name != "batch.json"]
    assert batch.bytes == sum(path.stat().st_size for path in files)
    results = [path for path in files if path.name in ("index.html", "scores.csv", "batch.zip")]
    assert batch.folder.to_come >= sum(path.stat().st_size for path in results)


def test_a_batch_for_whose_results_there_is_no_room_is_stopped_and_says_so(service, send, monkeypatch):
    room = service.app.state.batches._room
    monkeypatch.setattr("app.batch.room._LEAST", 0)
    with held_up(service):
        answer = send(PICTURES)
        monkeypatch.setattr(room, "most", kept_batch(service, answer.json()).bytes + 1000)
    status = finished(service, answer)
    assert (status["state"], status["done"]) == ("stopped", 1)
    assert status["problem"].startswith("there is no room for more of its results")
    assert service.get(status["links"]["gallery"]).text.count("<tr data-image=") == 1
    assert service.get(status["links"]["archive"]).status_code == 200


def test_a_batch_waits_for_the_room_of_what_is_being_sent_and_may_never_come(service, send, monkeypatch):
    room = service.app.state.batches._room
    monkeypatch.setattr("app.batch.room._LEAST", 0)
    with held_up(service):
        answer = send(PICTURES)
        batch = kept_batch(service, answer.json())
        monkeypatch.setattr(room, "most", batch.bytes + 10_000_000)
        arriving = room.hold([], "somebody else", 5_000_000 - 500)
        arriving.__enter__()
    deadline = time.monotonic() + 60
    while batch.done < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    assert (batch.state, batch.done) == ("running", 1)
    arriving.__exit__(None, None, None)
    status = finished(service, answer)
    assert (status["state"], status["done"]) == ("done", len(PICTURES))


def test_results_that_cannot_be_packed_are_no_archive(service, send, monkeypatch):
    def full(batch: Batch) -> None:
        (batch.place / "batch.zip").write_bytes(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.batch.store._finish", full)
    status = finished(service, send({"a.png": PICTURES["wide.png"]}))
    assert (status["state"], status["problem"]) == ("failed", "it failed unexpectedly; see the log")
    assert service.get(status["links"]["archive"]).status_code == 404
    assert service.get(status["links"]["gallery"]).status_code == 200
    assert not list(folders(service)[0].glob("batch.zip"))


def test_results_are_kept_for_a_while_and_no_longer(trio_folder):
    settings = read_settings(models_dir=trio_folder.parent, trio=trio_folder.name, batch_seconds=0.5)
    with TestClient(create_app(settings)) as client:
        until(client, lambda: client.get("/readyz").status_code == 200)
        answer = client.post("/v1/batches", files={"images": ("a.png", PICTURES["wide.png"])}, data={"words": "star"})
        until(client, lambda: client.get(answer.json()["links"]["status"]).status_code == 404)
        until(client, lambda: folders(client) == [])


def test_results_go_when_the_service_ends(trio_folder):
    with TestClient(create_app(read_settings(models_dir=trio_folder.parent, trio=trio_folder.name))) as client:
        until(client, lambda: client.get("/readyz").status_code == 200)
        client.post("/v1/batches", files={"images": ("a.png", PICTURES["wide.png"])}, data={"words": "star"})
        (left,) = folders(client)
    assert not left.exists()
