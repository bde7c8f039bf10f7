"""What is measured is what is shown: evaluated maps are the served ones, whatever size pictures have."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_peers import peered_trio

from evaluation import maps
from evaluation.cases import coco_cases
from evaluation.gaze import teacher_looks, trio_looks
from evaluation.maps import Column, _peers, columns_of, explainer, text_likeness
from evaluation.pointing import Cases, word_maps
from lfi.answerers import ExplainedAnswerer, QueriesAnswerer, TeacherAnswerer
from lfi.comparison import MODELS
from lfi.images import normalise, pictures, pixels
from lfi.students.explanations import EXPLANATIONS, WORDLESS
from lfi.trio import Trio

ANSWERS = [
    *MODELS,
    "teacher:dense-similarity",
    "lfi:grad-cam",
    *(f"baseline:{explanation}" for explanation in EXPLANATIONS),
    "clip",
    "clip:gradient",
    "clip:legrad",
    "vit",
]
SIZE = 50
"""Side of the pictures; the teacher reads 32 pixels, the students 48, the peers 40."""


@pytest.fixture(scope="module")
def trio(trio_folder, tmp_path_factory) -> Trio:
    return Trio.load(peered_trio(tmp_path_factory.mktemp("models") / "peered", trio_folder))


@pytest.fixture(scope="module")
def cases() -> Cases:
    """Three pictures; one is asked for one word, the others for two."""
    images = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), np.uint8)
    phrases = ("red circle", "star", "blue", "small moon", "star")
    return Cases(images, np.array([0, 0, 1, 2, 2]), np.full(5, "class"), phrases, np.ones((5, SIZE, SIZE), bool))


def served(trio: Trio, image: np.ndarray, word: str, answer: str) -> torch.Tensor:
    """`[layer, rows, columns]`, as the page, the API and the study get it."""
    return trio.compare(Image.fromarray(image), [word], models=[answer]).maps[answer].weights[0, :, 0]


def same(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_no_model_reads_pictures_of_this_size(trio):
    assert (SIZE, SIZE) not in {answerer.image_size for answerer in trio.answerers.values()}


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_measured_map_is_the_served_one(trio, cases, answer):
    measured = word_maps(trio.answerers[answer], cases, batch=2)
    for case, (row, phrase) in enumerate(zip(cases.rows, cases.phrases, strict=True)):
        same(measured.maps[:, case], served(trio, cases.images[row], phrase, answer))


def test_models_outside_a_trio_are_measured_as_those_in_one(trio, cases):
    """As students of a run are, and those that a trio is yet to be made of."""
    alone = {
        "teacher": TeacherAnswerer(trio.teacher),
        "lfi": QueriesAnswerer("lfi", trio.lfi, trio.teacher),
        **{f"baseline:{each}": ExplainedAnswerer("x", trio.baseline, each, trio.teacher) for each in EXPLANATIONS},
    }
    for answer, answerer in alone.items():
        same(word_maps(answerer, cases).maps, word_maps(trio.answerers[answer], cases).maps)


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_a_floor_is_the_served_map_of_another_picture_whatever_the_batch(trio, cases, batch):
    measured = word_maps(trio.answerers["lfi"], cases, batch, floor=True).maps
    for case, (row, phrase) in enumerate(zip(cases.rows, cases.phrases, strict=True)):
        same(measured[:, case], served(trio, cases.images[row - 1], phrase, "lfi"))


def test_the_table_of_maps_asks_what_the_trio_serves(trio, cases):
    columns, _ = columns_of(trio, cases, text_likeness(trio.teacher))
    asked = {id(column.answerer) for column in columns if not column.floor}
    assert asked <= {id(answerer) for answerer in trio.answerers.values()}
    assert len(asked) == 2 + len(EXPLANATIONS) * 2 + 2, "the vit knows no moon: two of its explanations need no word"


def test_a_peer_that_lacks_one_word_is_asked_by_none(trio):
    def explanations(*phrases):
        return {column.name.removeprefix("vit, ") for column in _peers(trio, phrases) if column.name.startswith("vit")}

    assert explanations("tabby") == set(trio.peers["vit"].explanations)
    assert explanations("tabby", "moon") == set(WORDLESS)


def test_what_is_asked_later_is_known_before_layers_are_chosen(trio, cases, monkeypatch):
    checked = []
    monkeypatch.setattr(maps, "_peers", lambda _, phrases: checked.append(set(phrases)) or iter(()))
    columns_of(trio, cases, text_likeness(trio.teacher), ("ring", "star"))
    assert checked == [{"ring", *cases.phrases}]


def test_a_word_too_small_for_its_mask_decides_on_no_layer(trio, cases):
    masks = np.zeros((5, SIZE, SIZE), bool)
    masks[:, 10:30, 20:45] = True
    without = replace(cases, masks=np.where(np.arange(5)[:, None, None] == 1, False, masks))
    rest = replace(
        cases,
        rows=np.delete(cases.rows, 1),
        kinds=np.delete(cases.kinds, 1),
        phrases=tuple(np.delete(cases.phrases, 1).tolist()),
        masks=np.delete(masks, 1, 0),
    )
    chosen = [columns_of(trio, each, text_likeness(trio.teacher)) for each in (without, rest)]
    layers = [[(column.name, column.layer) for column in columns] for columns, _ in chosen]
    assert layers[0] == layers[1]
    assert chosen[0][1] == chosen[1][1]
    assert any(layer for name, layer in layers[0] if name.startswith(("baseline", "clip"))), "not all the first"


def test_maps_of_shifted_and_of_randomised_models_are_served_ones_too(trio, cases):
    column = Column("baseline", trio.answerers["baseline"], 1)
    shown = pictures(pixels([Image.fromarray(each) for each in cases.images], (SIZE, SIZE)))
    for row, drawn in enumerate(explainer(column, ["star"] * 3)(shown)):
        same(drawn, served(trio, cases.images[row], "star", "baseline")[1])


def test_gaze_is_compared_with_served_maps(trio, cases):
    picture = Image.fromarray(cases.images[0][:30])
    found = trio.compare(picture, ["star", "blue"], models=["teacher", "clip"])
    for looks in (trio_looks(trio, ["teacher", "clip"]), teacher_looks(trio.teacher, "teacher")):
        for name, look in looks(picture, ["star", "blue"]).items():
            same(look, found.maps[name].layer(found.default_layer[name]).weights[0].mean((0, 1)))


def test_a_picture_of_coco_is_measured_as_it_would_be_uploaded(trio, tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (60, 90, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    box = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [0, 0, 20, 20], "iscrowd": 0, "area": 400}
    content = {
        "images": [{"id": 5, "file_name": "a.png", "width": 90, "height": 60}],
        "categories": [{"id": 3, "name": "star"}],
        "annotations": [box | {"segmentation": [[0, 0, 20, 0, 20, 20, 0, 20]]}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    cases = coco_cases(tmp_path, tmp_path / "instances.json", lambda name: True, 56)
    for answer in ("teacher", "lfi", "baseline", "clip"):
        same(word_maps(trio.answerers[answer], cases).maps[:, 0], served(trio, noise, "star", answer))


def test_pictures_are_what_was_normalised_to_the_bit(cases):
    images = torch.from_numpy(cases.images)
    assert np.array_equal(np.stack([np.asarray(each) for each in pictures(normalise(images))]), cases.images)
