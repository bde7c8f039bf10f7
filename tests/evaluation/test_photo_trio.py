"""The trio for photographs is chosen and fitted on one half of the held-out photographs and measured on the other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from colourseer import COLOURS, ColourSeer

from evaluation import photo_trio
from evaluation.photo_trio import calibrated, figures_of, sides, train_photo_trio
from evaluation.presence import Statements
from lfi.comparison import MODELS
from lfi.errors import DataError
from lfi.teachers.loading import CONFIG, NAMES, WEIGHTS
from lfi.training.photographs.bank import Part, single
from lfi.training.photographs.teacher import Sources

NAMED = SimpleNamespace(names=list(COLOURS))


@pytest.fixture
def held_out() -> Part:
    """Photographs of one colour each, which their blue tells apart, with an object in the upper left quarter."""
    labels = np.arange(60) % 2  # red and green
    images = np.array([np.full((64, 64, 3), COLOURS[list(COLOURS)[label]]) for label in labels], np.uint8)
    images[..., 2] = np.arange(60)[:, None, None]
    return single("held out", images, labels, np.tile(np.float32([0, 0, 32, 32]), (60, 1)))


def test_no_photograph_is_on_both_sides(held_out, monkeypatch):
    monkeypatch.setattr(photo_trio, "CHOICE", 40)
    first, second = sides(held_out, NAMED)
    shown = []
    for side in (first, second):
        own = set(side.photographs.images[:, 0, 0, 2].tolist())
        whole = side.canvases.images.reshape(-1, 3)
        colours = whole[np.isin(whole[:, 0], (0, 255)) & np.isin(whole[:, 1], (0, 255))]  # not an empty corner
        assert set(colours[:, 2].tolist()) <= own
        assert set(side.alone.images[:, 0, 0, 2].tolist()) <= own
        shown.append(own)
    assert shown[0] | shown[1] == set(range(60))
    assert not shown[0] & shown[1]


def test_figures_are_those_of_the_layer_chosen_on_the_side_that_is_given(held_out, monkeypatch):
    monkeypatch.setattr(photo_trio, "CHOICE", 40)
    _, second = sides(held_out, NAMED)
    blind, seeing = (figures_of(ColourSeer(), layer, second, SimpleNamespace(auc=0.5)) for layer in (0, 1))
    assert seeing["map peaks in the named photograph, held-out canvases"] == 1.0
    assert blind["map peaks in the named photograph, held-out canvases"] < 0.6
    assert seeing["presence, AUC"] == 0.5


def test_presence_is_measured_where_it_was_not_fitted(monkeypatch):
    truth = np.array([[True, False]] * 100)
    told = {"fitted": truth * 1.0, "tested": np.random.default_rng(0).random((100, 2))}
    monkeypatch.setattr(photo_trio, "Truth", lambda names: None)
    monkeypatch.setattr(photo_trio, "said_of", lambda side, _: [Statements(side, (("a", "b"),) * 100, truth)])
    monkeypatch.setattr(photo_trio, "evidence", lambda _, said: told[said.pictures][..., None])
    found = calibrated(dict.fromkeys(MODELS), "fitted", "tested", NAMED)
    assert [each.auc for each in calibrated(dict.fromkeys(MODELS), "fitted", "fitted", NAMED).values()] == [1.0] * 3
    assert all(0.35 < each.auc < 0.65 and each.words == 200 for each in found.values())


@pytest.fixture
def sources(tmp_path) -> Sources:
    """Folders of data, and runs that are finished and hold something of the user's."""
    folders = {name: tmp_path / name for name in ("tiny", "pacs", "samples", "runs")}
    for folder in (*folders.values(), *(folders["runs"] / name for name in ("bank", "features", "guides", "lfi"))):
        folder.mkdir()
    runs = folders["runs"]
    (runs / "made" / "teacher").mkdir(parents=True)
    made = [Path("made", "teacher", name) for name in (CONFIG, NAMES, WEIGHTS)]
    for file in (*made, Path("answers-0.pt"), Path("notes")):
        (runs / file).touch()
    return Sources(**folders)


@pytest.fixture
def begun_with(monkeypatch, sources) -> list[list[str]]:
    """What lies in the runs folder whenever a teacher is trained, which takes no time."""
    found: list[list[str]] = []

    def train(*_, **__):
        found.append(sorted(path.name for path in sources.runs.iterdir()))

    monkeypatch.setattr(photo_trio, "train_photo_teacher", train)
    monkeypatch.setattr(photo_trio, "train_photo_student", lambda *_, **__: None)
    monkeypatch.setattr(photo_trio, "assemble_trio", lambda *_: {})
    return found


def test_starting_over_leaves_nothing_that_was_made(sources, begun_with, tmp_path):
    train_photo_trio(sources, tmp_path / "out")
    assert begun_with == []
    train_photo_trio(sources, tmp_path / "out", resume=False)
    assert begun_with == [["notes"]]


def test_nothing_is_taken_away_where_there_are_no_data(sources, begun_with, tmp_path):
    sources.pacs.rmdir()
    with pytest.raises(DataError, match="pacs as a folder"):
        train_photo_trio(sources, tmp_path / "out", resume=False)
    assert (sources.runs / "bank").is_dir()


def test_a_teacher_that_was_half_written_is_made_again(sources, begun_with, tmp_path):
    (sources.runs / "made" / "teacher" / WEIGHTS).unlink()
    train_photo_trio(sources, tmp_path / "out")
    assert len(begun_with) == 1
