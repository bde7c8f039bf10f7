"""What a trio shows is chosen on canvases of held-out images, and its evidence calibrated on what is said of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from caption_data import COLOURS

from evaluation.choosing import (
    Choice,
    calibrated,
    canvas_cases,
    halves,
    hit_rates,
    measured,
    standard_error,
    statements,
)
from lfi.answerers import Answer
from lfi.data.imageset import ImageSet
from lfi.maps import InteractionMaps

NAMES = ("red", "green", "blue", "white")
GRID = 8


def plain_images(names: list[str], size: int = 32, extra: tuple[str, ...] = ()) -> ImageSet:
    """Images of one colour each, which is their word."""
    pixels = np.stack([np.full((size, size, 3), COLOURS[name], np.uint8) for name in names])
    return ImageSet(
        images=pixels,
        ids=tuple(map(str, range(len(names)))),
        classes=NAMES,
        labels=np.array([NAMES.index(name) for name in names]),
        captions=("",) * len(names),
        words=tuple((name, *extra) for name in names),
    )


class ByColour:
    """Layer 1 shows where a word's colour is, layer 0 where it is not; its evidence is the share of that colour."""

    name, layers, image_size, judges = "by colour", ("wrong", "right"), (GRID, GRID), False

    def preprocess(self, pictures):
        small = [np.asarray(each.resize((GRID, GRID), 0)) for each in pictures]
        return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float()

    def encode(self, pixels):
        return list(pixels)

    def answer(self, images, words, heads=False):
        answers = []
        for image, own in zip(images, words, strict=True):
            colours = torch.tensor([COLOURS[word] for word in own], dtype=torch.float32)
            there = ((image[None] - colours[..., None, None]).abs().amax(1) < 2).float()
            scores = torch.stack([1 - there, there])[None] + 1e-3
            maps = InteractionMaps.from_scores(
                scores.flatten(-2),
                grid=(GRID, GRID),
                queries=[list(own)],
                layers=self.layers,
                kind="gradient",
                model="t@0",
            )
            answers.append(Answer(maps, evidence=there.mean((1, 2))[:, None]))
        return answers


def test_a_word_of_one_image_alone_is_asked_of_the_canvas_and_found_by_who_sees_it():
    images = plain_images(["red", "green", "blue", "red", "green", "blue"])
    cases = canvas_cases(images, 40, seed=3)
    assert cases is not None
    assert 20 < len(cases.phrases) < 160
    for row, word, mask in zip(cases.rows, cases.phrases, cases.masks, strict=True):
        whole = np.asarray(cases.images[row])
        right = (whole == COLOURS[word]).all(-1)
        assert right.repeat(2, 0).repeat(2, 1)[mask].mean() > 0.7  # an inset of another colour may cover a part
        assert 0.2 < mask.mean() < 0.55
        assert right.mean() <= mask.mean() + 1e-6  # nobody else on the canvas has that colour
    wrong, right = hit_rates(cases)(ByColour())
    assert right == 1.0
    assert wrong < 0.5


def test_words_that_every_image_has_tell_nothing():
    assert canvas_cases(plain_images(["red"] * 6), 20) is None


def test_words_outside_the_classes_are_not_asked():
    cases = canvas_cases(plain_images(["red", "green", "blue", "red"], extra=("wall",)), 20)
    assert cases is not None
    assert set(cases.phrases) <= set(NAMES)


@pytest.fixture
def captioned() -> ImageSet:
    """Three pictures with two captions each, which say different words of them."""
    images = plain_images(["red", "red", "green", "green", "blue", "blue"])
    said = (("red", "warm"), ("red", "rose"), ("green", "leaf"), ("green", "grass"), ("blue", "sky"), ("blue", "sea"))
    classes = tuple(dict.fromkeys(word for row in said for word in row))
    return replace(images, classes=classes, words=said, pictures=("a", "a", "b", "b", "c", "c"))


def test_what_another_caption_says_of_a_picture_is_not_false(captioned):
    own = {"red": {"red", "warm", "rose"}, "green": {"green", "leaf", "grass"}, "blue": {"blue", "sky", "sea"}}
    asked = statements(captioned)
    for said in asked.words:
        mine = next(words for words in own.values() if said[0] in words)
        assert [word in mine for word in said] == [True, True, False, False]


def test_a_picture_that_a_canvas_shows_twice_is_not_asked_about(captioned):
    cases = canvas_cases(captioned, 60, seed=3)
    assert cases is not None
    for row, word, mask in zip(cases.rows, cases.phrases, cases.masks, strict=True):
        colour = COLOURS[next(said[0] for said in captioned.words if word in said)]
        shown = (np.asarray(cases.images[row]) == colour).all(-1)
        assert shown.mean() <= mask.mean() + 1e-6  # nowhere but in the mask


@pytest.mark.parametrize("size", [30, 32])
def test_canvases_are_composed_of_images_of_any_size(size):
    cases = canvas_cases(plain_images(["red", "green"], size), 10)
    assert cases is not None
    assert cases.images.shape[1] % 4 == 0


def test_half_of_the_statements_are_true():
    asked = statements(plain_images(["red", "green", "blue"] * 4))
    assert asked.truth.tolist() == [[True, False]] * 12
    for picture, (true, false) in zip(asked.pictures, asked.words, strict=True):
        assert tuple(picture[0, 0]) == COLOURS[true]
        assert false != true
        assert false in NAMES


def test_images_of_several_words_make_two_true_statements_and_two_false_ones():
    images = plain_images(["red", "green", "blue", "white"])
    images = replace(images, words=(("red", "green"), ("green", "blue"), ("blue", "white"), ("white", "red")))
    asked = statements(images)
    assert asked.truth.shape == (4, 4)
    for own, said in zip(images.words, asked.words, strict=True):
        assert set(said[:2]) == set(own)
        assert not set(said[2:]) & set(own)
        assert len(set(said)) == 4


def test_evidence_that_tells_words_apart_is_calibrated_and_other_evidence_is_not():
    asked = statements(plain_images(["red", "green", "blue"] * 10))
    found, without = calibrated({"teacher": ByColour(), "lfi": ByColour()}, asked)
    assert (found["teacher"].auc, found["lfi"].misses, without) == (1.0, 0.0, "")

    blind = ByColour()
    blind.answer = lambda images, words, heads=False: [
        SimpleNamespace(evidence=torch.zeros(len(own), 1)) for own in words
    ]
    found, without = calibrated({"teacher": ByColour(), "lfi": blind}, asked)
    assert list(found) == ["teacher"]
    assert without == "lfi cannot tell words that are there from words that are not (AUC 0.50)"
    assert calibrated({"teacher": blind, "lfi": ByColour()}, asked)[0] == {}


def test_a_few_statements_calibrate_nothing():
    found, without = calibrated({"teacher": ByColour()}, statements(plain_images(["red", "green", "blue"])))
    assert (found, without) == ({}, "6 statements can be made of the held-out images; 40 are needed")


def test_no_picture_is_on_both_sides_and_every_row_on_one():
    pictures = [number // 3 for number in range(60)]  # three rows each
    first, second = halves(pictures, 5)
    assert sorted([*first, *second]) == list(range(60))
    assert not {pictures[row] for row in first} & {pictures[row] for row in second}
    assert (len(first), len(second)) == (30, 30)
    assert [halves(pictures, 5)[0].tolist(), halves(pictures, 6)[0].tolist()] != [first.tolist()] * 2


def test_what_was_chosen_is_measured_at_its_layer_on_other_images():
    cases = canvas_cases(plain_images(["red", "green", "blue", "white"] * 3), 40, seed=3)
    assert cases is not None
    choice = Choice("rollout", {"teacher": 1, "lfi": 0, "baseline": 1}, {})
    found = measured(choice, dict.fromkeys(("teacher", "lfi", "baseline"), ByColour()), hit_rates(cases))
    assert (found["teacher"], found["baseline"]) == (1.0, 1.0)
    assert found["lfi"] < 0.5


def test_a_calibration_is_measured_on_statements_about_other_images():
    asked, tested = (statements(plain_images(names * 10)) for names in (["red", "green", "blue"], ["red", "white"]))
    liar = replace(tested, truth=~tested.truth)  # a model that is always wrong there
    fitted, _ = calibrated({"teacher": ByColour()}, asked)
    found, _ = calibrated({"teacher": ByColour()}, asked, tested)
    assert (found["teacher"].weights, found["teacher"].threshold) == (
        fitted["teacher"].weights,
        fitted["teacher"].threshold,
    )
    assert (fitted["teacher"].words, found["teacher"].words) == (60, 40)
    found, without = calibrated({"teacher": ByColour()}, asked, liar)
    assert (found, without) == ({}, "teacher cannot tell words that are there from words that are not (AUC 0.00)")


def test_both_halves_need_statements():
    asked = statements(plain_images(["red", "green", "blue"] * 10))
    found, without = calibrated({"teacher": ByColour()}, asked, statements(plain_images(["red", "green", "blue"])))
    assert (found, without) == ({}, "6 statements can be made of half of the held-out images; 20 are needed")


def test_the_error_of_an_area_is_that_of_the_paper():
    # Hanley and McNeil 1982: 51 abnormal and 58 normal cases, area .893, standard error .032
    assert standard_error(0.893, 54) == pytest.approx(0.032, abs=0.001)
    assert standard_error(1.0, 20) == 0
    assert standard_error(0.62, 30) == pytest.approx(0.073, abs=0.002)
