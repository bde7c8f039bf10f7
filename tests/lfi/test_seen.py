"""What a teacher sees in a picture: the likeliest words of its vocabulary, specific ones before what is above them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_trio import PRESENCE, write_tiny_trio

from lfi.presence import absence, short
from lfi.seen import _above_any
from lfi.trio import Trio


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Trio:
    return Trio.load(write_tiny_trio(tmp_path_factory.mktemp("seen") / "seen", PRESENCE))


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 255, (50, 70, 3), np.uint8))


def test_the_words_seen_are_those_that_the_teacher_holds_most_likely(trio, picture):
    seen = trio.seen(trio.encode(picture), 4)
    presence = trio.compare(picture, list(trio.vocabulary)).presence["teacher"]
    likely = dict(zip(trio.vocabulary, presence, strict=True))
    best = sorted(likely, key=likely.__getitem__, reverse=True)[:4]
    assert [word for word, _ in seen] == best
    assert [probability for _, probability in seen] == pytest.approx([likely[word] for word in best], abs=1e-5)


def test_a_teacher_that_was_not_calibrated_says_nothing(trio_folder: Path, picture):
    trio = Trio.load(trio_folder)
    assert not trio.judges
    assert trio.seen(trio.encode(picture)) == ()


def test_what_is_above_a_likely_name_is_known_to_be():
    covers = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.bool)
    animal, dog, terrier, crane = range(4)
    assert _above_any(covers, torch.tensor([True, True, False, False])).tolist() == [True, False, False, False]
    assert _above_any(covers, torch.tensor([True, True, True, False])).tolist() == [True, True, False, False]
    assert not _above_any(covers, torch.tensor([True, False, False, False]))[[animal, dog, terrier, crane]].any()


@pytest.mark.parametrize(
    ("probability", "text"), [(0.0, "p < .01"), (0.03, "p = .03"), (0.5, "p = .50"), (0.9961, "p > .99")]
)
def test_a_probability_is_said_in_two_digits_and_never_as_certain(probability, text):
    assert short(probability) == text
    assert absence("dog", probability) == f"finds no dog here ({text})"
