"""`/v1/batches`: images and words in, progress, scores, gallery and maps out; bounded, stoppable, deleted."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from uploads import as_bytes, cut_jpeg, scene, truncated_jpeg

from app.batch.figure import batch_figure
from app.batch.folder import BatchFolder
from app.batch.gallery import gallery_page
from app.batch.sources import ZipImages
from app.batch.store import Batch, _remove
from app.engine import File, Picture
from app.engine.decode import DAMAGED
from app.keys import new_key
from app.main import create_app
from app.settings import read_settings
from lfi.comparison import MODELS
from lfi.errors import ConfigError

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


def test_an_image_that_fails_unexpectedly_is_named_logged_and_leaves_the_others_alone(
    service, send, monkeypatch, caplog
):
    engine = service.app.state.engine
    whole = engine.open

    def broken(file: File, *more: Any, **options: Any) -> Picture:
        if file.data == PICTURES["wide.png"]:
            raise ZeroDivisionError("a fault of ours")
        return whole(file, *more, **options)

    monkeypatch.setattr(engine, "open", broken)
    status = finished(service, send({name: PICTURES[name] for name in ("wide.png", "tall.png")}))
    assert (status["state"], status["done"], status["problem"]) == ("done", 2, "")
    assert status["unread"] == [{"image": "wide.png", "problem": "it failed unexpectedly; see the log"}]
    rows = service.get(status["links"]["scores_json"]).json()["rows"]
    assert [each["image"] for each in rows] == ["tall.png"]
    (said,) = [each for each in caplog.records if each.exc_info]
    assert (said.name, said.exc_info[0]) == ("lfi", ZeroDivisionError)


def test_an_icon_that_ends_in_its_table_is_one_picture_s_problem(service, send):
    status = finished(service, send({"cut.ico": b"\0\0\1\0", "tall.png": PICTURES["tall.png"]}))
    assert (status["state"], status["unread"]) == ("done", [{"image": "cut.ico", "problem": DAMAGED}])


@pytest.mark.parametrize(
    ("suffix", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG"), ("zip", b"PK")]
)
def test_rows_of_a_batch_are_a_figure(service, send, suffix, start):
    status = finished(service, send(PICTURES, words=["star", "red circle"]))
    link = status["links"]["figure"].replace(".pdf", f".{suffix}")
    chosen = {"row": ["tall.png:star", "wide.png"], "models": ["lfi", "teacher"], "width": 8.5, "points": 6}
    answer = service.get(link, params=chosen | {"format": "svg"})
    assert (answer.status_code, answer.content[: len(start)]) == (200, start)
    assert answer.headers["content-disposition"] == f'attachment; filename="figure.{suffix}"'
    if suffix == "zip":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == ["figure.svg", "caption.tex", "provenance.json"]
            about = json.loads(archive.read("provenance.json"))
        assert [each["image"] for each in about["rows"]] == ["tall.png", "wide.png", "wide.png"]
        assert list(about["columns"]) == ["lfi", "teacher"]


def test_a_figure_that_cannot_be_is_a_problem(service, send):
    link = finished(service, send(PICTURES))["links"]["figure"]
    refused = {
        "config": [{"row": "broken.jpg"}, {"models": "gpt"}],
        "request": [{"width": 9}, {"points": 5}, {"first": 0}, {"rows": "wide.png"}],
    }
    for kind, cases in refused.items():
        for asked in cases:
            answer = service.get(link, params=asked)
            assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem-type:lfi:{kind}"), answer.text
    assert service.get(link.replace(".pdf", ".gif")).status_code == 422
    assert service.get("/v1/batches/another/figure.pdf").status_code == 404


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


def test_files_left_aside_and_pictures_read_in_part_are_named(service, send):
    files = {"cut": cut_jpeg(), "notes.txt": b"", "whole.png": PICTURES["wide.png"]}
    status = finished(service, send({"all.zip": zipped(files)}))
    assert (status["total"], status["others"], status["other_names"], status["unread"]) == (2, 1, ["notes.txt"], [])
    (noted,) = status["noted"]
    assert noted["image"] == "cut"
    assert noted["note"].startswith("the JPEG lacks its last bytes")
    table = list(csv.DictReader(io.StringIO(service.get(status["links"]["scores_csv"]).text)))
    assert {row["image"]: row["note"] for row in table} == {"cut": noted["note"], "whole.png": ""}


@contextmanager
def held_up(client: TestClient) -> Iterator[None]:
    """No places for the worker, which waits as a request would."""
    hold = client.app.state.engine.jobs
    places, hold.total_tokens = hold.total_tokens, 0
    try:
        yield
    finally:
        hold.total_tokens = places


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


def test_a_stopped_batch_keeps_what_is_done(service, send):
    with held_up(service):
        link = send(PICTURES).json()["links"]["status"]
        second = send({"a.png": PICTURES["wide.png"]}).json()
        assert service.get(second["links"]["status"]).json()["ahead"] == 1
        stopped = service.post(f"{second['links']['status']}/stop").json()
        assert (stopped["state"], stopped["finished"], stopped["done"]) == ("stopped", True, 0)  # it was not begun
        assert service.get(stopped["links"]["archive"]).status_code == 200
        assert [(place / "source").exists() for place in folders(service)].count(True) == 1
        assert service.get(f"{link}/batch.zip").json()["detail"].endswith("0 of 3 images are done")
        stopped = service.post(f"{link}/stop").json()
        assert (stopped["state"], stopped["finished"]) == ("stopped", False)
    until(service, lambda: service.get(link).json()["finished"])
    assert service.get(f"{link}/batch.zip").status_code == 200
    status = service.get(link).json()
    assert (status["state"], status["done"]) == ("stopped", 1)  # the image in work was finished
    assert service.get(f"{link}/gallery").text.count("<tr data-image=") == 1


def kept_batch(client: TestClient, status: dict[str, Any]) -> Batch:
    return client.app.state.batches._batches[status["id"]]


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


def test_the_worker_outlives_a_failure(service, send, monkeypatch, caplog):
    batches, expire, failed = service.app.state.batches, service.app.state.batches._expire, []

    async def fail_once() -> None:
        if not failed:
            failed.append(True)
            raise KeyError("unexpected")
        await expire()

    monkeypatch.setattr("app.batch.store._PAUSE", 0.01)
    monkeypatch.setattr(batches, "_expire", fail_once)
    service.portal.call(batches._arrived.set)
    until(service, lambda: "KeyError: 'unexpected'" in caplog.text)
    assert finished(service, send({"a.png": PICTURES["wide.png"]}))["state"] == "done"


def test_a_gallery_is_drawn_once_an_image_and_takes_no_place_of_those_who_ask_about_one(service, send, monkeypatch):
    status = finished(service, send(PICTURES))
    batch, drawn = kept_batch(service, status), []
    batch.ended = None  # as if it were running

    def draw(folder: BatchFolder, names: list[str]) -> str:
        drawn.append(len(names))
        return gallery_page(folder, names)

    monkeypatch.setattr("app.batch.store.gallery_page", draw)
    with held_up(service):
        pages = {service.get(status["links"]["gallery"]).text for _ in range(3)}
        assert (len(pages), drawn) == (1, [3])
        batch.folder.records.pop("tall.png")
        assert service.get(status["links"]["gallery"]).text not in pages
        assert drawn == [3, 2]
    batch.ended = time.monotonic()


@pytest.mark.parametrize(
    ("link", "made_by"), [("gallery", "app.batch.store.gallery_page"), ("figure", "app.batch.routes.batch_figure")]
)
def test_a_batch_that_is_deleted_while_it_is_drawn_is_not_there(link, made_by, service, send, monkeypatch):
    status = finished(service, send(PICTURES))
    batch = kept_batch(service, status)
    batch.packed = 0  # so that its gallery is drawn
    make = {"gallery": gallery_page, "figure": batch_figure}[link]

    def deleted_meanwhile(*given: Any) -> Any:
        service.app.state.batches._forget(batch)
        _remove(batch)
        return make(*given)

    monkeypatch.setattr(made_by, deleted_meanwhile)
    answer = service.get(status["links"][link])
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem-type:lfi:nothing-here")


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


def test_a_zip_that_is_refused_for_its_images_is_closed(service, send, monkeypatch):
    closed, close = [], ZipImages.close

    def closing(images: ZipImages) -> None:
        closed.append(images)
        close(images)

    monkeypatch.setattr(ZipImages, "close", closing)
    assert send({"a.zip": zipped({f"{n}.png": b"x" for n in range(5)})}).status_code == 413
    assert len(closed) == 1


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
