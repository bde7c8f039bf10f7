"""Every door of the engine gives the same guarantees: API, page, agents, batches, studies and commands."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from gradio.data_classes import DataWithFiles
from PIL import Image
from running import wait_until_ready
from uploads import as_bytes, scene, two_frames
from ways_in import ALL, OWNER, SERVED, Agents, Api, BatchCommand, Batches, Door, MapsCommand, Page, until

from app.agents import server as agents
from app.api import maps as api
from app.batch import store, work
from app.batch.folder import BatchFolder
from app.batch.sources import FolderImages
from app.engine import Engine, MapsRequest, Picture, Turn, decode
from app.engine.turns import Pixels
from app.failures import GoneError
from app.main import create_app
from app.settings import read_settings
from app.study.planfile import read_plan
from app.study.sample import write_sample
from app.study.stimuli import render_all, scaled
from app.ui.handlers import Handlers
from app.web.negotiation import JSON
from lfi.errors import UnknownWordError
from lfi.trio import Trio


@pytest.fixture(scope="module")
def service(trio_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = read_settings(
        models_dir=trio_folder.parent,
        trio=trio_folder.name,
        places=2,
        jobs=2,
        micro_batch=1,
        study_folder=tmp_path_factory.mktemp("study"),
        kept_folder=tmp_path_factory.mktemp("kept"),
        admin_token=OWNER["token"],
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture
def engine(service: TestClient) -> Engine:
    return service.app.state.engine


@pytest.fixture
def door(request: pytest.FixtureRequest, service: TestClient, tmp_path: Path) -> Door:
    return request.param(service, tmp_path)


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> bytes:
    """A picture that no other test asked about."""
    seed = sum(map(ord, request.node.name))
    return as_bytes(scene(40 + seed % 61, 40 + seed % 53))


@pytest.fixture
def tries(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What asked to be let in so far; batches try again soon."""
    run, seen = engine.admission.run, []

    async def noted(work: Callable[[Turn], object], *more: object) -> object:
        seen.append(work)
        return await run(work, *more)

    monkeypatch.setattr(engine.admission, "run", noted)
    monkeypatch.setattr(store, "_PAUSE", 0.05)
    return seen


@contextmanager
def full(service: TestClient, engine: Engine) -> Iterator[None]:
    """All places of the service are taken."""
    over, places = threading.Event(), engine.settings.places
    with ThreadPoolExecutor(places) as others:
        for _ in range(places):
            others.submit(service.portal.call, engine.admission.run, lambda turn: over.wait(120))
        try:
            until(lambda: engine.admission.inside == places)
            yield
        finally:
            over.set()


@contextmanager
def models_held_up(service: TestClient, engine: Engine) -> Iterator[None]:
    """The models work on somebody else's picture."""
    queue, busy, over = engine._queue(engine.trios.default), threading.Event(), threading.Event()
    run = queue.run

    def slow(asked: Sequence[object]) -> object:
        busy.set()
        assert over.wait(120)
        return run(asked)

    queue.run = slow
    try:
        with ThreadPoolExecutor(1) as other:
            asked = (Picture.of(scene()), MapsRequest(("star",)))
            other.submit(engine.ask, *asked, Turn())
            assert busy.wait(120)
            try:
                yield
            finally:
                over.set()
    finally:
        queue.run = run


@pytest.mark.parametrize("door", SERVED, indirect=True)
def test_where_too_many_wait_it_is_refused_at_once_or_waits_itself(door, picture, service, engine, tries):
    with ThreadPoolExecutor(1) as people:
        with full(service, engine):
            before = len(tries)
            asked = people.submit(door.ask, "star", picture)
            if door.patient:
                until(lambda: len(tries) > before + 1)
                assert not asked.done()
            else:
                assert "2 requests are waiting already; try again in a moment" in asked.result(120)
        if door.patient:
            assert asked.result(120) == ""
    assert door.ask("blue", picture) == ""


@pytest.mark.parametrize("door", SERVED, indirect=True)
def test_what_is_not_begun_within_its_time_is_given_up_or_tried_again(
    door, picture, service, engine, tries, monkeypatch
):
    with ThreadPoolExecutor(1) as people:
        with models_held_up(service, engine), monkeypatch.context() as hurry:
            hurry.setattr(engine.admission, "seconds", 0.5)
            asked = people.submit(door.ask, "star", picture)
            if door.patient:
                until(lambda: len(tries) > 1)
                assert not asked.done()
            else:
                assert "the answer took more than 0.5 s; try again in a moment" in asked.result(120)
        if door.patient:
            assert asked.result(120) == ""


@pytest.mark.parametrize("door", [Api, Page, Agents], indirect=True)
def test_what_is_done_too_late_is_given_up(door, picture, engine, monkeypatch):
    queue = engine._queue(engine.trios.default)
    run = queue.run

    def slow(asked: Sequence[object]) -> object:
        time.sleep(0.6)
        return run(asked)

    monkeypatch.setattr(queue, "run", slow)
    monkeypatch.setattr(engine.admission, "seconds", 0.5)
    assert "the answer took more than 0.5 s; try again in a moment" in door.ask("star", picture)


@pytest.mark.parametrize("door", ALL, indirect=True)
def test_pictures_are_decoded_within_the_budget_of_pixels(door, picture, monkeypatch):
    here, decoded = threading.local(), []
    held, upright = Pixels.held, decode.upright_rgb

    @contextmanager
    def holding(pixels: Pixels, count: int, turn: Turn) -> Iterator[None]:
        with held(pixels, count, turn):
            here.count = count
            yield
            here.count = 0

    def noted(image: Image.Image, **options: Any) -> Image.Image:
        decoded.append(getattr(here, "count", 0) >= image.width * image.height)
        return upright(image, **options)

    monkeypatch.setattr(Pixels, "held", holding)
    monkeypatch.setattr(decode, "upright_rgb", noted)
    assert door.ask("star", picture) == ""
    assert decoded
    assert all(decoded)


@pytest.mark.parametrize("door", [each for each in ALL if each is not MapsCommand], indirect=True)
def test_a_picture_that_the_models_know_is_not_run_through_them_again(door, picture, monkeypatch):
    seen, encode = [], Trio.encode_all
    monkeypatch.setattr(Trio, "encode_all", lambda trio, images: seen.extend(images) or encode(trio, images))
    assert door.ask("star", picture) == ""
    if not isinstance(door, BatchCommand):  # it holds the same picture twice
        assert door.ask("blue", picture) == ""
    assert len(seen) == 1


@pytest.mark.parametrize("door", [Api, Agents], indirect=True)
def test_where_nothing_is_drawn_it_is_not_even_decoded_again(door, picture, monkeypatch):
    decoded, upright = [], decode.upright_rgb
    monkeypatch.setattr(
        decode, "upright_rgb", lambda image, **options: decoded.append(image) or upright(image, **options)
    )
    assert [door.ask(word, picture) for word in ("star", "blue")] == ["", ""]
    assert len(decoded) == 1


@pytest.mark.parametrize("door", [Api, Agents], indirect=True)
def test_an_animation_is_refused_also_when_somebody_has_looked_at_its_first_frame_on_the_page(door, service, tmp_path):
    animation = two_frames()
    refused = door.ask("star", animation)
    assert refused.endswith("the GIF image has several frames; send one of them as a still image")
    page = Page(service, tmp_path)
    assert [page.ask(word, animation) for word in ("star", "blue")] == ["", ""]
    assert door.ask("star", animation) == refused


@pytest.mark.parametrize("door", ALL, indirect=True)
def test_words_are_read_in_one_way(door, picture, engine):
    with pytest.raises(UnknownWordError) as refused:
        engine.question(MapsRequest(("starr",)))
    assert "(nearest: star, " in str(refused.value)
    assert str(refused.value) in door.ask("starr", picture)
    assert door.ask("the star", picture) == ""


def test_a_batch_that_waits_for_a_full_service_can_be_stopped(service, engine, tmp_path, picture, tries):
    door = Batches(service, tmp_path)
    with full(service, engine):
        before = len(tries)
        link = door.send("star", picture)
        until(lambda: len(tries) > before + 1)
        service.post(f"{link}/stop")
        until(lambda: service.get(f"{link}/batch.zip").status_code == 200)
    status = service.get(link).json()
    assert (status["state"], status["done"]) == ("stopped", 0)
    service.delete(link)


def on_api(engine: Engine, turn: Turn, folder: Path) -> None:
    api.answer(engine, MapsRequest(("star",)), io.BytesIO(as_bytes(scene())), JSON, turn)


def on_page(engine: Engine, turn: Turn, folder: Path) -> None:
    sent = DataWithFiles(data={"request": '{"words": ["star"]}'}, files=[("x.png", as_bytes(scene()))])
    Handlers(engine, {}).compare(sent, turn)


def for_agents(engine: Engine, turn: Turn, folder: Path) -> None:
    agents._answer(engine, MapsRequest(("star",)), base64.b64encode(as_bytes(scene())).decode(), False, turn)


def in_batch(engine: Engine, turn: Turn, folder: Path) -> None:
    (folder / "a.png").write_bytes(as_bytes(scene()))
    request = MapsRequest(("star",))
    into = BatchFolder(folder / "out", work.question_of(engine, request))
    work.answer_image(into, FolderImages(folder), "a.png", engine, request, turn)


def in_study(engine: Engine, turn: Turn, folder: Path) -> None:
    path = write_sample(folder, "sample", items=2, overlap=1, trials=2)
    path.write_text(f'trio = "tiny"\n{path.read_text()}')
    plan = read_plan(path)
    pictures = {name: scaled(engine, (folder / name).read_bytes(), plan.side, Turn()) for name in plan.pictures}
    list(render_all(plan, pictures, engine, turn))


@pytest.mark.parametrize("door", [on_api, on_page, for_agents, in_batch, in_study])
def test_what_nobody_waits_for_any_more_is_not_begun(door, engine, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Trio, "compare_all", lambda *more: asked.append(more))
    turn = Turn()
    turn.abandon()
    with pytest.raises(GoneError):
        door(engine, turn, tmp_path)
    assert not asked
