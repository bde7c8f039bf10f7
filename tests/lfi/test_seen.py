"""What a teacher sees in a picture: the likeliest words of its vocabulary, specific ones before what is above them."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_trio import PRESENCE, TEACHER, decided, write_tiny_trio

from lfi.errors import UnknownWordError
from lfi.presence import Presence, absence, short
from lfi.seen import Sightings, _above_any
from lfi.teachers import CoCaTeacher, load_teacher, save_teacher
from lfi.teachers.loading import build
from lfi.teachers.names import Names, NameTokenizer
from lfi.teachers.words import FIRST
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


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> CoCaTeacher:
    """A teacher that reads whole names: an animal is a tabby or a crane."""
    names = Names(
        {
            "leaves": [{"id": "n1", "name": "tabby"}, {"id": "n2", "name": "crane"}],
            "names": [["animal", ["creature"], [0, 1]], ["tabby", ["tabby cat"], [0]], ["crane", [], [1]]],
            "nearest": {"kitten": [1, 0]},
        }
    )
    size = len(NameTokenizer(names, 8).vocabulary) + FIRST
    config = copy.deepcopy(TEACHER)
    config["text_cfg"]["vocab_size"] = config["multimodal_cfg"]["vocab_size"] = size
    folder = tmp_path_factory.mktemp("named") / "teacher"
    model, card = decided(build(config, "tiny"), seed=0), {"name": "named", "default_layers": [0]}
    save_teacher(folder, model, config, mean=[0.5] * 3, std=[0.25] * 3, card=card, names=names)
    teacher = load_teacher(folder)
    assert isinstance(teacher, CoCaTeacher)
    return teacher


def sighted(teacher: CoCaTeacher, picture: Image.Image, bias: float) -> list[str]:
    presence = Presence((1.0, 0.0), bias, threshold=0.5, false_alarms=0.1, misses=0.1, auc=0.9, words=100)
    image = teacher.encode(teacher.preprocess([picture]))
    return [word for word, _ in Sightings(teacher, ["photo", "animal", "tabby", "crane"], presence).of(image, 9)]


def test_specific_names_come_before_what_is_above_them_where_they_are_likely(named, picture):
    likely, unlikely = sighted(named, picture, 5), sighted(named, picture, -5)
    assert likely[2] == "animal"  # the two kinds of it are likely as well
    assert set(likely[:2]) == {"tabby", "crane"}
    cosines = named.embed_texts(["animal", "tabby", "crane"]) @ named.embed_images(named.preprocess([picture]))[0]
    best = cosines.argsort(descending=True).tolist()
    assert unlikely == [["animal", "tabby", "crane"][index] for index in best]


def test_an_unknown_word_leads_to_names_that_are_near_in_meaning(named):
    with pytest.raises(UnknownWordError) as refused:
        named.check_prompts(["kitten"])
    assert refused.value.by_meaning
    assert refused.value.nearest == {"kitten": ["tabby", "animal"]}
    seen = refused.value.beside([("crane", 0.9)])
    assert str(seen) == "this model does not know 'kitten' (nearest: tabby, animal); the teacher sees here: crane"
    assert (seen.by_meaning, seen.seen) == (True, (("crane", 0.9),))
