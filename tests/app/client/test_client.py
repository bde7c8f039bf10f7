"""`lfi.client`, both kinds, against the running service: the same maps as in this process, and the service's own words
where it refuses."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
import torch
from documentation import ROOT, blocks
from pictures import pictures
from PIL import Image
from running import running
from uploads import as_bytes, scene, truncated_jpeg
from waiting import waiting

from app.batch.store import Batch, _finish
from app.main import create_app
from app.settings import read_settings
from lfi.client import (
    Answer,
    AsyncClient,
    AsyncRemoteBatch,
    Client,
    ProblemError,
    RemoteBatch,
    Retries,
    UnreachableError,
    calls,
)
from lfi.comparison import MODELS
from lfi.errors import ImageError
from lfi.trio import Trio

WORDS = ["star", "red circle"]


@pytest.fixture(scope="module")
def address(trio_folder: Path) -> Iterator[str]:
    settings = read_settings(models_dir=trio_folder.parent, trio=trio_folder.name, batches=2, root_path="/lfi")
    with running(create_app(settings)) as url:
        yield f"{url}/lfi"


@pytest.fixture(scope="module")
def shipped() -> Iterator[str]:
    """A service with the models that ship."""
    with running(create_app(read_settings())) as url:
        yield url


@pytest.fixture(params=[Client, waiting], ids=["Client", "AsyncClient"])
def opened(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Client]]:
    return request.param


@pytest.fixture
def client(address: str, opened) -> Iterator[Client]:
    with opened(address, retries=Retries(attempts=2, first=0.01, longest=5)) as client:
        yield client


def test_maps_arrive_as_they_were_computed(client, trio_folder):
    answer = client.maps(scene(), WORDS)
    truth = Trio.load(trio_folder).compare(scene(), WORDS)
    assert (answer.words, list(answer.maps)) == (truth.words, list(MODELS))
    for model, maps in truth.maps.items():
        got = answer.maps[model]
        assert (got.queries, got.layers, got.kind, got.model) == (maps.queries, maps.layers, maps.kind, maps.model)
        assert torch.allclose(got.weights, maps.weights, atol=1e-6)
    assert torch.allclose(answer.queries.weights, truth.queries.weights, atol=1e-6)
    assert answer.default_layer == truth.default_layer
    assert answer.nearness == pytest.approx({each.word: each.nearness for each in truth.addressed}, abs=1e-5)
    assert (answer.about["image"]["width"], answer.about["trio"]) == (96, "tiny")


def test_an_image_is_a_path_its_bytes_or_a_picture(client, tmp_path):
    path = tmp_path / "ä photo.png"
    path.write_bytes(as_bytes(scene()))
    answers = [client.maps(each, ["star"], models=["lfi"]) for each in (path, str(path), path.read_bytes(), scene())]
    first = answers[0].maps["lfi"].weights
    assert all(torch.equal(each.maps["lfi"].weights, first) for each in answers)
    with pytest.raises(ImageError, match=r"cannot read .*nowhere.png: no such file"):
        client.maps(tmp_path / "nowhere.png", ["star"])


def test_a_picture_is_seen_by_the_service_as_by_the_models(client, trio_folder):
    """Of any mode, and turned as its EXIF says: what Python shows without a service is the same."""
    trio = Trio.load(trio_folder)
    for name, picture in pictures().items():
        found, own = client.maps(picture, ["star"], models=["lfi"]), trio.compare(picture, ["star"], models=["lfi"])
        assert torch.allclose(found.maps["lfi"].weights, own.maps["lfi"].weights, atol=1e-6), name
    with pytest.raises(ImageError, match="the picture cannot be sent: the image has 32-bit pixels"):
        client.maps(scene().convert("F"), ["star"])


def test_models_layers_heads_and_explanations_can_be_chosen(client):
    answer = client.maps(scene(), ["star"], models=["lfi", "baseline:rollout"], layers=[0, 2], heads=True)
    assert list(answer.maps) == ["lfi", "baseline:rollout"]
    assert answer.maps["lfi"].weights.shape[:3] == (1, 2, len(answer.maps["lfi"].queries[0]))
    assert answer.maps["lfi"].queries[0][0] == "star · head 1"


def test_models_are_described(client, trio_folder):
    found = client.models()
    trio = Trio.load(trio_folder)
    assert found.default == "tiny"
    assert found.trios["tiny"].vocabulary == trio.vocabulary
    assert found.trios["tiny"].models["lfi"].layers == trio.layers["lfi"]
    assert "baseline:rollout" in found.trios["tiny"].explanations


def test_overlays_are_pictures_by_name(client):
    files = client.overlays(scene(), WORDS, models=["lfi"])
    assert sorted(files) == ["lfi-01-star.webp", "lfi-02-red-circle.webp", "scale.webp"]
    assert Image.open(io.BytesIO(files["lfi-01-star.webp"])).size == (96, 64)


def test_what_the_service_refuses_is_an_error_in_its_words(client):
    with pytest.raises(ProblemError, match="does not know 'starr'") as caught:
        client.maps(scene(), ["starr"])
    error = caught.value
    assert (error.status, error.type) == (422, "urn:problem-type:lfi:unknown-word")
    assert error.body["unknown"]["starr"][0] == "star"
    assert error.request_id
    with pytest.raises(ProblemError, match="415 Not an image"):
        client.maps(b"words", ["star"])


def test_a_folder_is_a_batch(client, tmp_path):
    for name, data in (("a.png", as_bytes(scene())), ("b/c.jpg", truncated_jpeg()), ("notes.txt", b"")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    seen = []
    batch = client.batch(tmp_path / "in", WORDS, models=["teacher", "lfi"])
    status = batch.wait(0.05, seen.append)
    assert (status.state, status.total, status.done, list(status.unread)) == ("done", 2, 2, ["b/c.jpg"])
    assert seen[-1] == status
    rows = batch.scores()
    assert [(row["image"], row["word"]) for row in rows] == [("a.png", "star"), ("a.png", "red circle")]
    assert 0 <= rows[0]["lfi teacher shared mass"] <= 1
    assert batch.gallery().count("<tr data-image=") == 2
    batch.save(tmp_path / "out")
    assert sorted(path.suffix for path in (tmp_path / "out").rglob("*.*")) == [".csv", ".html", ".npz"]
    batch.delete()
    with pytest.raises(ProblemError, match="404"):
        batch.status()


def test_of_a_folder_only_the_images_are_sent_and_what_is_left_out_is_said(client, tmp_path, capsys, monkeypatch):
    names = ("a.png", "b.jp2", "b/scan", ".env", ".git/c.png", "notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(as_bytes(scene()))
    os.utime(tmp_path / "a.png", (0, 0))  # 1970
    with calls.batch(tmp_path, ["star"], (), "") as call, zipfile.ZipFile(call.files[0][1][1]) as archive:
        assert archive.namelist() == ["a.png", "b.jp2", "b/scan"]
    told = capsys.readouterr().err
    assert ", not sent: 2 hidden files and folders" in told
    assert ", not sent: 1 files that are not images" in told
    batch = client.batch(tmp_path, ["star"])
    assert batch.wait(0.05).done == 3
    batch.delete()

    def closed(archive: zipfile.ZipFile, file: Path, name: str) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    (tmp_path / "b" / "empty").mkdir()
    monkeypatch.setattr(zipfile.ZipFile, "write", closed)
    with pytest.raises(ImageError, match=r"cannot read .*a.png: permission denied"):
        client.batch(tmp_path, ["star"])
    with pytest.raises(ImageError, match="has no images in it"):
        client.batch(tmp_path / "b" / "empty", ["star"])


def test_a_stopped_batch_is_waited_for_until_its_results_are_there(client, tmp_path, monkeypatch):
    def slowly(batch: Batch) -> None:
        time.sleep(0.5)
        _finish(batch)

    monkeypatch.setattr("app.batch.store._finish", slowly)
    batch = client.batch([as_bytes(scene())] * 50, ["star"])
    while batch.status().state != "running":
        time.sleep(0.01)
    batch.stop()
    assert batch.wait(0.05).state == "stopped"
    assert (batch.save(tmp_path) / "index.html").is_file()
    batch.delete()


def test_images_are_a_batch_and_a_full_service_is_asked_again(client, address, opened):
    batches = [client.batch([as_bytes(scene())] * 150, ["star"]) for _ in range(2)]  # not over before the third comes
    pauses = []

    def wait(seconds: float) -> None:  # somebody deletes theirs meanwhile
        pauses.append(seconds)
        batches.pop(0).delete()

    async def wait_in_a_loop(seconds: float) -> None:
        await anyio.to_thread.run_sync(wait, seconds)

    with opened(address, retries=Retries(sleep=wait, async_sleep=wait_in_a_loop)) as patient:
        batches.append(patient.batch([scene()], ["star"]))
        [seconds] = pauses  # what the service's Retry-After said
        assert seconds >= 1
        for batch in batches:
            batch.stop()
            batch.delete()


def test_nobody_there_is_said_after_some_tries(opened):
    pauses = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    retries = Retries(attempts=3, sleep=pauses.append, async_sleep=pause)
    with (
        opened("http://127.0.0.1:1", retries=retries) as client,
        pytest.raises(
            UnreachableError, match=r"no answer from http://127.0.0.1:1: (.*refused|all connection.* failed)"
        ),
    ):
        client.models()
    assert len(pauses) == 2


@pytest.mark.parametrize("block", [b for b in blocks(ROOT / "docs" / "api.md") if b.language == "python"], ids=str)
def test_the_documentation_runs_as_it_stands(block, shipped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "static").symlink_to(ROOT / "static")
    code = block.content.replace("http://127.0.0.1:7860", shipped)
    exec(compile(code, str(block), "exec"), {"__name__": "documentation"})
    assert re.search("cup|animal|cat", capsys.readouterr().out)


def test_the_client_imports_no_torch_not_even_for_a_folder(tmp_path):
    (tmp_path / "a.png").write_bytes(as_bytes(scene()))
    (tmp_path / "b.txt").write_bytes(b"")
    code = "import sys; from lfi.client import calls; calls.batch(sys.argv[1], [], [], '')"
    asked = [sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)", str(tmp_path)]
    assert subprocess.run(asked, cwd=Path(__file__).parents[3]).returncode == 0


@pytest.mark.parametrize(("one", "other"), [(Client, AsyncClient), (RemoteBatch, AsyncRemoteBatch)])
def test_both_clients_have_the_same_methods_with_the_same_arguments(one, other):
    def methods(kind: type) -> dict[str, list[inspect.Parameter]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        own = {name: inspect.signature(each) for name, each in found if name[0] != "_" and name != "ask"}
        return {name: list(signature.parameters.values()) for name, signature in own.items()}

    assert methods(one) == methods(other)


def test_many_questions_are_under_way_at_once(address):
    """The service answers waiting questions in one batch, so none may wait for the answer to another."""
    under_way, most = 0, 0

    class Counting(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                return await super().handle_async_request(request)
            finally:
                under_way -= 1

    async def ask() -> list[Answer]:
        async with AsyncClient(address, transport=Counting()) as client:
            return await asyncio.gather(*(client.maps(scene(), [word]) for word in WORDS))

    assert [answer.words for answer in asyncio.run(ask())] == [("star",), ("red circle",)]
    assert most == 2
