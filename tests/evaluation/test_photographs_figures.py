"""Pointing in photographs: peaks, hits, canvases."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from colourseer import COLOURS, ColourSeer
from PIL import Image
from teacher_models import CONFIGS, sharp

from evaluation import photographs
from evaluation.photographs import (
    Shown,
    calibration_gap,
    hits,
    in_boxes,
    judge,
    on_canvases,
    peak,
    peaks,
    recognise,
    shown_by,
)
from evaluation.presence import Statements
from evaluation.results import Results, over_clusters
from lfi.data.imageset import ImageSet
from lfi.data.scenes import Scenes
from lfi.teachers import load_teacher, save_teacher


def test_a_peak_is_the_centre_of_the_largest_patch_in_pixels():
    maps = torch.zeros(1, 2, 8, 8)
    maps[0, 0, 2, 5] = 1
    maps[0, 1, 7, 0] = 1
    assert peak(maps).tolist() == [[[44.0, 20.0], [4.0, 60.0]]]


def test_a_point_on_the_open_side_of_a_box_is_outside():
    boxes = np.array([[0, 0, 32, 32]] * 3, float)
    assert hits(np.array([[31.0, 31.0], [32.0, 5.0], [0.0, 0.0]]), boxes, 64).tolist() == [True, False, True]


def test_who_points_at_the_right_photograph_hits_every_time():
    """Photographs are one colour each."""
    images = ImageSet(
        images=np.stack([np.full((64, 64, 3), colour, np.uint8) for colour in COLOURS.values()]),
        ids=tuple(COLOURS),
        classes=tuple(COLOURS),
        labels=np.arange(3),
        captions=("",) * 3,
        words=tuple((name,) for name in COLOURS),
    )
    results = Results("c", [0], {})
    on_canvases(results, {"teacher": Shown(ColourSeer(), 1), "blind": Shown(ColourSeer(), 0)}, images)
    assert results.figures["pointing on canvases: teacher"].value > 95
    assert results.figures["pointing on canvases: blind"].value < 60
    assert results.goals["teacher: pointing on canvases"].holds
    share = results.figures["pointing on canvases: share of the canvas that is right"].value
    assert 25 < share < 50


def two_red(**more):
    """Two black images of one class, "red"."""
    return ImageSet(
        images=np.zeros((2, 64, 64, 3), np.uint8),
        ids=("a", "b"),
        classes=("red",),
        labels=np.zeros(2, np.int64),
        captions=("",) * 2,
        words=(("red",),) * 2,
        **more,
    )


def test_sizes_that_no_box_has_are_left_out():
    images = two_red(boxes=np.array([[0, 0, 64, 64], [0, 0, 40, 40]]))
    results = Results("c", [0], {})
    in_boxes(results, {"teacher": Shown(ColourSeer(), 0)}, images)
    assert results.n == {
        "boxes any size": 2,
        "boxes under half of the image": 1,
        "boxes under a quarter of the image": 0,
    }
    told = {name.split(": ")[0] for name in results.figures}
    assert told == {"pointing, boxes of any size", "pointing, boxes of under half of the image"}
    one = results.figures["pointing, boxes of under half of the image: the centre"]
    assert one.value == 100
    assert np.isnan(one.low), "one box has no interval"
    assert len(results.goals) == 2
    assert not [goal for goal in results.goals.values() if np.isnan(goal.value)]


def test_canvases_without_a_word_of_their_own_are_left_out():
    images = two_red()
    results = Results("c", [0], {})
    on_canvases(results, {"teacher": Shown(ColourSeer(), 0)}, images)
    assert (results.n, results.figures) == ({"words on canvases": 0}, {})


def test_a_teacher_alone_is_asked_for_classes_and_for_maps():
    teacher = load_teacher("scenes")
    scenes = Scenes(6, 3).load().image_set("3")
    images = replace(
        scenes,
        classes=("red circle", "blue star", "green moon"),
        labels=np.array([0, 1, 2] * 2),
        words=(("red circle",), ("blue star",), ("green moon",)) * 2,
    )
    results = Results("c", [0], {})
    recognise(results, "scenes", teacher, {}, images)
    first = teacher.preprocess([Image.fromarray(each) for each in images.images])
    ranks = (teacher.classify(first, list(images.classes)).argsort(1, descending=True)).numpy()
    right = 100 * float((ranks[:, 0] == images.labels).mean())
    assert results.figures["top-1 by class names, scenes: teacher"].value == right
    shown = shown_by(teacher)
    assert set(shown) == {"teacher", "teacher:dense-similarity"}
    found = peaks(shown["teacher"], images.images, images.words)
    expected = teacher.interactions_of(first[:1], ["red circle"]).weights[0, teacher.default_layers[0], 0]
    assert np.array_equal(found[0][0], peak(expected))


def test_a_clips_own_maps_are_its_dense_similarity_which_is_measured_once(tmp_path):
    config = CONFIGS["clip"]
    save_teacher(tmp_path, sharp(config), config, mean=[0.5] * 3, std=[0.25] * 3, card={"name": "tiny"})
    assert set(shown_by(load_teacher(tmp_path))) == {"teacher"}


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_model_that_tells_no_class_from_another_recognises_nothing(value):
    class Blank:
        device = torch.device("cpu")

        def embed_texts(self, texts):
            return torch.ones(len(texts), 2)

        def preprocess(self, pictures):
            return torch.zeros(len(pictures), 2)

        def encode(self, shown):
            return SimpleNamespace(latent=torch.full((len(shown), 2), value))

    images = ImageSet(
        images=np.zeros((3, 8, 8, 3), np.uint8),
        ids=("a", "b", "c"),
        classes=tuple("abcdef"),
        labels=np.array([0, 0, 5]),
        captions=("",) * 3,
        words=((),) * 3,
    )
    results = Results("c", [0], {})
    recognise(results, "x", Blank(), {}, images)
    assert [figure.value for figure in results.figures.values()] == [0, 0]


def test_statements_of_one_image_are_drawn_together(monkeypatch):
    """All four of an image are judged rightly, or all wrongly: as many independent cases as images."""
    truth = np.tile([True, True, False, False], (50, 1))
    wrong = np.arange(50)[:, None] < 10
    likely = np.where(truth ^ wrong, 0.9, 0.1)
    statements = Statements(np.zeros((50, 8, 8, 3), np.uint8), (("w",) * 4,) * 50, truth)
    monkeypatch.setattr(photographs, "statements_of", lambda *_: statements)
    monkeypatch.setattr(photographs, "evidence", lambda *_: likely)
    judge_all = SimpleNamespace(probability=lambda found: found, threshold=0.5)
    results = Results("c", [0], {})
    judge(results, {"any": Shown(ColourSeer(), 0, judge_all)}, None, None, None)
    missed = results.figures["presence, present words that are said to be absent: any"]
    independent = over_clusters(wrong[:, 0].astype(float), np.arange(50), "%")
    assert (missed.value, missed.low, missed.high) == pytest.approx((20, 100 * independent.low, 100 * independent.high))


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error():
    likely = np.repeat([0.1, 0.9], 10)
    right = np.array([1] + [0] * 9 + [0] + [1] * 9, bool)
    assert calibration_gap(likely, right) < 1e-9
    assert abs(calibration_gap(likely, ~right) - 0.8) < 1e-9
