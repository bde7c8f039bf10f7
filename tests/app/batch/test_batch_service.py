"""`/v1/batches`: images and words in, progress, scores, gallery and maps out; bounded, stoppable, deleted."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import PICTURES, finished, folders, held_up, kept_batch, until, zipped
from uploads import cut_jpeg

from app.batch.figure import batch_figure
from app.batch.folder import BatchFolder
from app.batch.gallery import gallery_page
from app.batch.held import HeldFolder, sweep
from app.batch.page import batch_page
from app.batch.sources import ZipImages
from app.batch.store import _remove
from app.engine import File, Picture
from app.engine.decode import DAMAGED
from app.settings import read_settings
from lfi.comparison import MODELS


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
    "no image sent": ({"a.txt": b"a", "b": b"b"}, {}, 422, "archive", "what was sent has no images in it"),
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


def test_files_that_are_sent_are_images_by_the_same_rule_as_in_a_folder(service, send):
    picture = PICTURES["wide.png"]
    status = finished(service, send({"setup.py": picture, "scan 2": picture, "README": b"none", "a.png": picture}))
    assert (status["total"], status["others"], status["other_names"]) == (2, 2, ["setup.py", "README"])
    rows = service.get(status["links"]["scores_json"]).json()["rows"]
    assert [row["image"] for row in rows] == ["scan 2", "a.png"]


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


@pytest.mark.parametrize("link", ["gallery", "archive"])
def test_a_batch_that_is_deleted_just_before_its_file_is_sent_is_not_there(link, service, send):
    status = finished(service, send({"a.png": PICTURES["wide.png"]}))
    assert service.get(status["links"][link]).status_code == 200
    _remove(kept_batch(service, status))  # a DELETE that comes between looking the batch up and opening the file
    answer = service.get(status["links"][link])
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem-type:lfi:nothing-here")


def test_a_zip_that_is_refused_for_its_images_is_closed(service, send, monkeypatch):
    closed, close = [], ZipImages.close

    def closing(images: ZipImages) -> None:
        closed.append(images)
        close(images)

    monkeypatch.setattr(ZipImages, "close", closing)
    assert send({"a.zip": zipped({f"{n}.png": b"x" for n in range(5)})}).status_code == 413
    assert len(closed) == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1.9, "1 second"),
        (119.6, "119 seconds"),
        (120, "2 minutes"),
        (3600, "60 minutes"),
        (5400, "90 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (86_399, "23 hours"),
    ],
)
def test_the_page_promises_results_for_no_longer_than_they_are_kept(seconds, said):
    assert f"and the results {said} later." in batch_page(read_settings(batch_seconds=seconds))


def test_what_a_killed_service_left_is_deleted_when_the_next_one_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = (
        "import os, pathlib; from app.batch.held import HeldFolder; held = HeldFolder(); "
        "pathlib.Path(held.name, 'picture').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"TMPDIR": str(tmp_path)}, check=False)
    assert len(list(tmp_path.glob("lfi-batches-*/picture"))) == 1
    alive, foreign = HeldFolder(), tmp_path / "lfi-batches-notes"
    foreign.mkdir()
    assert (sweep(), sweep()) == (1, 0)
    assert sorted(tmp_path.iterdir()) == sorted([Path(alive.name), foreign])
    alive.cleanup()
    assert list(tmp_path.iterdir()) == [foreign]
