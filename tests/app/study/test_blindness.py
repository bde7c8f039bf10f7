"""Nothing that reaches a browser tells conditions apart but the drawing itself."""

from __future__ import annotations

import io
import json
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from types import FrameType

import httpx
import numpy as np
import pytest
from browsers import RaterBrowser
from PIL import Image
from scipy.stats import binomtest
from sqlalchemy import event, select

import app as package
from app.database.models import Assignment, Cell
from app.study.raters import invite
from app.study.stimuli import Rendered, write_all
from evaluation.study.ratings import CONDITIONS

NAMES = re.compile(
    r"teacher|\blfi\b|baseline|shuffled|drawn|catch|condition|\bbare_|(?<![\w-])[ip]\d\d\d(?![\w-])", re.IGNORECASE
)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind of database is enough here."""
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture(params=["gradio", "plain"])
def shell(request: pytest.FixtureRequest) -> str:
    """All of this holds in both."""
    return request.param


@pytest.fixture
def walked(app, studies, create):
    """A rater's whole session: per condition the responses with its pictures, and every JSON answer."""
    name = create(overlap=1, images=12, trials=12, pair_overlap=1, pair_trials=2, catch=True)
    rater = RaterBrowser(app, invite(studies, name, 1, "test")[0].token).start()
    with studies.database.reading() as session:
        query = select(Assignment.public, Cell.kind, Cell.first).join(Cell, Cell.id == Assignment.cell_id)
        shown = {public: condition for public, kind, condition in session.execute(query) if kind != "pair"}
    pictures, states = defaultdict(list), []
    while rater.state["trial"]:
        trial = rater.state["trial"]
        states.append(rater.state)
        if trial["kind"] == "rating":
            pictures[shown[trial["id"]]].append(rater.client.get("/" + trial["pictures"]["left"]))
        rater.state = rater.post("answer", rater.given("left" if trial["kind"] == "pair" else "1")).json()
    return pictures, states, rater


def without_ids(text: str, states: list) -> str:
    """The text with a star for every trial's id: those are drawn by lot, and a word in one of them says nothing."""
    for state in states:
        text = text.replace(state["trial"]["id"], "*")
    return text


def headers_of(answer: httpx.Response) -> list[tuple[str, str]]:
    """The headers; of the id that every request gets by lot, its form alone."""
    return [
        (name, re.sub(r"[0-9a-f]", "*", value) if name == "x-request-id" else value)
        for name, value in answer.headers.items()
    ]


def test_no_name_of_a_condition_or_item_reaches_the_browser(walked):
    pictures, states, rater = walked
    assert [state["trial"]["kind"] for state in states].count("pair") == 2
    assert len(states) == 12 + 1 + 2
    for state in states:
        assert NAMES.findall(without_ids(json.dumps(state), states)) == []
    page = rater.client.get("/study")
    assert page.status_code == 200
    assert re.findall(r"teacher|baseline|shuffled|catch trial", page.text) == []
    for answers in pictures.values():
        for answer in answers:
            assert NAMES.findall(without_ids(f"{headers_of(answer)} {answer.url.path}", states)) == []


def test_every_picture_has_the_same_size_and_headers_whatever_it_shows(walked, studies):
    pictures, _, _ = walked
    assert {condition: len(answers) for condition, answers in pictures.items()} == {
        "teacher": 3, "lfi": 3, "baseline": 3, "shuffled": 3, "drawn": 1,
    }  # fmt: skip
    seen = {
        (answer.status_code, len(answer.content), tuple(sorted(headers_of(answer))))
        for answers in pictures.values()
        for answer in answers
    }
    assert len(seen) == 1
    assert not {"etag", "last-modified"} & set(pictures["lfi"][0].headers)
    files = list(studies.stimuli("pilot").iterdir())
    assert len({(file.stat().st_size, file.stat().st_mtime, len(file.name)) for file in files}) == 1
    for answers in pictures.values():
        picture = Image.open(io.BytesIO(answers[0].content))
        assert not {"exif", "icc_profile", "xmp"} & set(picture.info)


def test_the_names_of_files_sort_no_condition(tmp_path):
    """200 files of each condition: that chance alone moves a mean place so far is less likely than 1 in 10^20."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP")
    rendered = [
        Rendered(f"p{number:03}", f"i{number:03}", condition, buffer.getvalue())
        for number in range(200)
        for condition in CONDITIONS
    ]
    names = write_all(rendered, tmp_path)
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in names)
    places = defaultdict(list)
    for place, (_, each) in enumerate(sorted(zip(names, rendered, strict=True), key=lambda pair: pair[0])):
        places[each.condition].append(place / len(names))
    assert all(0.3 < np.mean(place) < 0.7 for place in places.values())


def test_every_trial_is_described_by_the_same_fields(walked):
    _, states, _ = walked
    # `rater` comes with the start of a session, `stored` with an answer
    own = [[name for name in state if name not in ("rater", "stored")] for state in states]
    shapes = {
        (tuple(names), tuple(state["trial"]), tuple(state["trial"]["pictures"]))
        for names, state in zip(own, states, strict=True)
    }
    assert len(shapes) == 1
    addresses = {without_ids(state["trial"]["pictures"]["left"], states) for state in states}
    assert addresses == {"study/pictures/*/left"}


@contextmanager
def lines_run() -> Iterator[list[tuple[str, int]]]:
    """The lines of the service that run meanwhile, in threads that are started meanwhile (a request starts its own)."""
    seen: list[tuple[str, int]] = []
    ours = str(Path(package.__file__).parent)

    def trace(frame: FrameType, event: str, _: object) -> Callable | None:
        if not frame.f_code.co_filename.startswith(ours):
            return None
        seen.append((frame.f_code.co_filename.removeprefix(ours), frame.f_lineno))
        return trace

    threading.settrace(trace)
    try:
        yield seen
    finally:
        threading.settrace(None)  # type: ignore[arg-type]


def test_a_picture_is_found_by_the_same_steps_for_every_condition(walked, studies):
    """What could take longer for one condition than for another: statements, lines of code, and the bytes read."""
    pictures, _, rater = walked
    studies.close()  # a service that was started anew remembers nobody
    said: list[str] = []
    event.listen(studies.database.engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    rater.client.get(pictures["lfi"][1].url)  # reads the list of files, once
    steps = {}
    for condition, answers in pictures.items():
        said.clear()
        with lines_run() as lines:
            assert rater.client.get(answers[0].url).content == answers[0].content
        steps[condition] = (tuple(said), tuple(lines))
    assert len(set(steps.values())) == 1
    statements, lines = steps["lfi"]
    assert len(statements) > 1
    assert {name for name, _ in lines} >= {"/study/session.py", "/study/service.py"}


def test_pictures_that_a_page_just_announced_are_found_without_the_database(app, studies, create):
    """So raters load them while others wait for a connection; somebody else's stay out of reach."""
    name = create(overlap=2, images=8, trials=8)
    first, other = (RaterBrowser(app, invited.token).start() for invited in invite(studies, name, 2, "test"))
    said: list[str] = []
    event.listen(studies.database.engine, "before_cursor_execute", lambda *call: said.append(call[2]))
    addresses = [*first.state["trial"]["pictures"].values(), *first.state["ahead"]]
    for address in filter(None, addresses):
        assert first.client.get("/" + address).status_code == 200
    assert said == []
    for address in filter(None, addresses):
        assert other.client.get("/" + address).status_code == 404
    assert len(said) > 0


def test_no_condition_is_answered_slower_than_another(walked, studies):
    """Decided once, after 60 rounds in an order drawn anew, so that what else the machine does falls on all alike.

    Which of two is slower in a round is a toss of a coin; a coin falls so unevenly in 1 of 10^6 such tests.
    """
    pictures, _, rater = walked
    studies.close()  # all are looked up, none is remembered from its page
    draw = random.Random(0)
    addresses = {condition: answers[0].url for condition, answers in pictures.items()}
    seconds = defaultdict(list)
    for _ in range(60):
        for condition in draw.sample(list(addresses), len(addresses)):
            start = time.perf_counter()
            rater.client.get(addresses[condition])
            seconds[condition].append(time.perf_counter() - start)
    slower = {
        (one, other): int(np.greater(seconds[one], seconds[other]).sum()) for one, other in combinations(seconds, 2)
    }
    assert {pair: count for pair, count in slower.items() if binomtest(count, 60).pvalue < 1e-6} == {}
