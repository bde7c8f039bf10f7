"""Nothing that reaches a browser tells conditions apart but the drawing itself."""

from __future__ import annotations

import io
import json
import re
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from browsers import RaterBrowser
from PIL import Image
from sqlalchemy import select

from app.database.models import Assignment, Cell, Stimulus
from app.study.raters import invite

NAMES = re.compile(
    r"teacher|\blfi\b(?!-)|baseline|shuffled|drawn|catch|condition|\bbare_|(?<![\w-])[ip]\d\d\d(?![\w-])",
    re.IGNORECASE,
)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind of database is enough here."""
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def walked(app, studies, create):
    """A rater's whole session: per condition the responses with its pictures, and every JSON answer."""
    name = create(overlap=1, images=8, trials=32, pair_overlap=1, pair_trials=2, catch=True)
    rater = RaterBrowser(app, invite(studies, name, 1, "test")[0].token).start()
    with studies.database.reading() as session:
        query = select(Assignment.public, Cell.kind, Cell.first).join(Cell, Cell.id == Assignment.cell_id)
        shown = {public: condition for public, kind, condition in session.execute(query) if kind != "pair"}
    pictures, states = defaultdict(list), []
    while rater.state["trial"]:
        trial = rater.state["trial"]
        states.append(rater.state)
        if trial["kind"] == "rating":
            start = time.perf_counter()
            answer = rater.client.get("/" + trial["pictures"]["left"])
            pictures[shown[trial["id"]]].append((answer, time.perf_counter() - start))
        rater.state = rater.post("answer", rater.given("left" if trial["kind"] == "pair" else "1")).json()
    return pictures, states, rater


def test_no_name_of_a_condition_or_item_reaches_the_browser(walked):
    pictures, states, rater = walked
    assert len(states) == 32 + 1 + 2 * (len(states) > 33)
    for state in states:
        assert NAMES.findall(json.dumps(state)) == []
    page = rater.client.get("/study")
    assert re.findall(r"teacher|baseline|shuffled|catch trial", page.text) == []
    for answers in pictures.values():
        for answer, _ in answers:
            assert NAMES.findall(str(answer.headers) + str(answer.url.path)) == []


def test_every_picture_has_the_same_size_and_headers_whatever_it_shows(walked, studies):
    pictures, _, _ = walked
    assert set(pictures) == {"teacher", "lfi", "baseline", "shuffled", "drawn"}
    seen = {
        (answer.status_code, len(answer.content), tuple(sorted(answer.headers.items())))
        for answers in pictures.values()
        for answer, _ in answers
    }
    assert len(seen) == 1
    assert not {"etag", "last-modified"} & set(next(iter(pictures["lfi"]))[0].headers)
    files = list(studies.stimuli("pilot").iterdir())
    assert len({(file.stat().st_size, file.stat().st_mtime, len(file.name)) for file in files}) == 1
    for answers in pictures.values():
        picture = Image.open(io.BytesIO(answers[0][0].content))
        assert not {"exif", "icc_profile", "xmp"} & set(picture.info)


def test_the_names_of_files_sort_no_condition(walked, studies):
    with studies.database.reading() as session:
        rows = session.execute(select(Stimulus.file, Stimulus.condition).order_by(Stimulus.file)).all()
    places = defaultdict(list)
    for place, (_, condition) in enumerate(rows):
        places[condition].append(place / len(rows))
    assert all(re.fullmatch(r"[0-9a-f]{32}", file) for file, _ in rows)
    # Eight places each out of forty-odd: a mean beyond these bounds comes once in ten thousand studies.
    assert all(0.08 < np.mean(place) < 0.92 for condition, place in places.items() if len(place) >= 8)


def test_every_trial_is_described_by_the_same_fields(walked):
    _, states, _ = walked
    shapes = {(tuple(state), tuple(state["trial"]), tuple(state["trial"]["pictures"])) for state in states}
    assert len(shapes) == 1
    addresses = {re.sub(r"[A-Za-z0-9_-]{24}", "*", state["trial"]["pictures"]["left"]) for state in states}
    assert addresses == {"study/pictures/*/left"}


def test_answering_takes_as_long_for_one_condition_as_for_another(walked):
    pictures, _, _ = walked
    # The quickest of eight is what the work itself takes, whatever else the machine does.
    quickest = {condition: min(took for _, took in answers) for condition, answers in pictures.items()}
    quickest.pop("drawn")  # once only
    assert max(quickest.values()) < 2 * min(quickest.values())
