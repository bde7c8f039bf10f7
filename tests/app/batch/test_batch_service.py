"""`/v1/batches`: images and words in, progress, scores, gallery and maps out; bounded, stoppable, deleted."""

from __future__ import annotations

import csv
import io
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from uploads import as_bytes, scene, truncated_jpeg

from app.engine.decode import DAMAGED
from app.main import create_app
from app.settings import read_settings
from lfi.comparison import MODELS

PICTURES = {"wide.png": as_bytes(scene(120, 40)), "broken.jpg": truncated_jpeg(), "tall.png": as_bytes(scene(40, 120))}
Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def service(trio_folder: Path) -> Iterator[TestClient]:
    settings = read_settings(
        models_dir=trio_folder.parent, trio=trio_folder.name, batches=2, batch_images=4, max_batch_bytes=100_000
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        until(client, lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture
def send(service: TestClient) -> Iterator[Send]:
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


def until(client: TestClient, holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finished(client: TestClient, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    link = answer.json()["links"]["status"]
    until(client, lambda: client.get(link).json()["state"] in ("done", "failed", "stopped"))
    until(client, lambda: client.get(client.get(link).json()["links"]["archive"]).status_code == 200)
    return client.get(link).json()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def folders(client: TestClient) -> list[Path]:
    root = client.app.state.batches._root
    return sorted(Path(root.name).iterdir()) if root else []


def test_a_batch_is_taken_worked_off_and_read(service, send):
    answer = send(PICTURES, words=["star", "red circle"])
    assert answer.headers["location"] == answer.json()["links"]["status"]
    status = finished(service, answer)
    links = status["links"]
    expected = {
        "state": "done",
        "total": 3,
        "done": 3,
        "unread": [{"image": "broken.jpg", "problem": DAMAGED}],
        "words": ["star", "red circle"],
        "models": list(MODELS),
        "seconds_left": None,
        "problem": "",
    }
    assert {name: status[name] for name in expected} == expected

    rows = service.get(links["scores_json"]).json()["rows"]
    assert [(row["image"], row["scores"]["word"]) for row in rows] == [
        (image, word) for image in ("wide.png", "tall.png") for word in ("star", "red circle")
    ]
    table = list(csv.DictReader(io.StringIO(service.get(links["scores_csv"]).text)))
    assert float(table[0]["lfi peak"]) == pytest.approx(rows[0]["scores"]["lfi peak"], rel=1e-3)

    page = service.get(links["gallery"])
    assert page.text.count("<tr data-image=") == 4
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[^']+';", policy)
    with zipfile.ZipFile(io.BytesIO(service.get(links["archive"]).content)) as archive:
        names = archive.namelist()
        assert archive.read("index.html").decode() == page.text
        assert archive.read("scores.csv").decode() == service.get(links["scores_csv"]).text
        (wide,) = [name for name in names if "wide" in name]
        with archive.open(wide) as file, np.load(io.BytesIO(file.read())) as arrays:
            assert arrays["words"].tolist() == ["star", "red circle"]


def test_what_was_sent_is_deleted_when_the_batch_is_over_and_the_rest_on_demand(service, send):
    status = finished(service, send({"wide.png": PICTURES["wide.png"]}))
    (place,) = folders(service)
    assert not (place / "source").exists()
    assert service.delete(status["links"]["status"]).status_code == 204
    assert folders(service) == []
    answer = service.get(status["links"]["status"])
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem-type:lfi:nothing-here")


def test_a_zip_is_a_batch_too(service, send):
    everything = {**PICTURES, "notes.txt": b"", "a/b.png": PICTURES["tall.png"]}
    status = finished(service, send({"all.zip": zipped(everything)}))
    assert (status["total"], status["others"], len(status["unread"])) == (4, 1, 1)
    rows = service.get(status["links"]["scores_json"]).json()["rows"]
    assert [row["image"] for row in rows] == ["a/b.png", "tall.png", "wide.png"]


def test_names_are_labels_and_no_paths(service, send):
    picture = PICTURES["wide.png"]
    answer = service.post(
        "/v1/batches",
        files=[("images", (name, picture)) for name in ("../../a.png", "a.png", "<b>.png")],
        data={"words": "star"},
    )
    status = finished(service, answer)
    rows = service.get(status["links"]["scores_json"]).json()["rows"]
    assert [row["image"] for row in rows] == ["a.png", "a (2).png", "<b>.png"]
    assert "<b>" not in service.get(status["links"]["gallery"]).text
    service.delete(status["links"]["status"])


REFUSED = {
    "a bomb": ({"a.zip": zipped({"a.png": bytes(3_000_000)})}, {}, 422, "archive", "unpacks to 3 MB|compressed"),
    "paths": ({"a.zip": zipped({"../a.png": b"a"})}, {}, 422, "archive", "outside of itself"),
    "no images": ({"a.zip": zipped({"a.txt": b"a"})}, {}, 422, "archive", "has no images in it"),
    "a cut zip": ({"a.zip": zipped(PICTURES)[:200]}, {}, 422, "archive", "cannot be read as a zip"),
    "too many": ({f"{n}.png": b"x" for n in range(5)}, {}, 413, "too-much", "5 images; at most 4"),
    "too large": ({"a.png": bytes(1_200_000)}, {}, 413, "request-too-large", "larger than 1.1 MB"),
    "unknown word": (PICTURES, {"words": "starr"}, 422, "unknown-word", "nearest: star"),
    "unknown model": (PICTURES, {"models": "gpt"}, 422, "unknown-model", "no model 'gpt'"),
    "no words": (PICTURES, {"words": " "}, 422, "words", "is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_and_leaves_nothing_behind(case, service, send):
    files, fields, status, kind, said = REFUSED[case]
    answer = send(files, **fields)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["type"] == f"urn:problem-type:lfi:{kind}"
    assert re.search(said, body["detail"]), body["detail"]
    assert folders(service) == []


def test_places_are_few_and_become_free_again(service, send):
    first = finished(service, send({"a.png": PICTURES["wide.png"]}))
    finished(service, send({"a.png": PICTURES["wide.png"]}))
    answer = send({"a.png": PICTURES["wide.png"]})
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:problem-type:lfi:batches-full")
    assert int(answer.headers["retry-after"]) > 0
    service.delete(first["links"]["status"])
    finished(service, send({"a.png": PICTURES["wide.png"]}))


def test_a_stopped_batch_keeps_what_is_done(service, send):
    hold = service.app.state.engine.jobs  # all places taken: the worker waits as a request would
    places, hold.total_tokens = hold.total_tokens, 0
    try:
        link = send(PICTURES).json()["links"]["status"]
        second = send({"a.png": PICTURES["wide.png"]}).json()
        assert service.get(second["links"]["status"]).json()["ahead"] == 1
        assert service.post(f"{second['links']['status']}/stop").json()["state"] == "stopped"
        assert service.get(f"{link}/batch.zip").json()["detail"].endswith("0 of 3 images are done")
        assert service.post(f"{link}/stop").json()["state"] == "stopped"
    finally:
        hold.total_tokens = places
    until(service, lambda: service.get(f"{link}/batch.zip").status_code == 200)
    status = service.get(link).json()
    assert (status["state"], status["done"]) == ("stopped", 1)  # the image in work was finished
    assert service.get(f"{link}/gallery").text.count("<tr data-image=") == 1


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
