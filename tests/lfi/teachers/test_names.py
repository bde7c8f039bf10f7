"""Whole names as words: spellings, what is above a class, and what is nearest in meaning."""

import numpy as np
import pytest

from lfi.data.names import IMAGENET_NAMES
from lfi.data.wordnet import imagenet_names, read_nouns
from lfi.errors import CheckpointError, DataError, UnknownWordError
from lfi.teachers.content import align, content_words
from lfi.teachers.names import Names, NameTokenizer


@pytest.fixture(scope="module")
def names() -> Names:
    return Names.read(IMAGENET_NAMES)


@pytest.fixture(scope="module")
def tokenizer(names) -> NameTokenizer:
    return NameTokenizer(names, 24)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("dog", "dog"),
        ("Dogs", "dog"),
        ("a dog", "dog"),
        ("ice-cream", "ice cream"),
        ("icecream", "ice cream"),
        ("Golden Retrievers", "golden retriever"),
        ("people", "person"),
        ("buses", "bus"),
        ("wolves", "wolf"),
        ("strawberries", "strawberry"),
        ("bike", "bicycle"),
        ("tv", "television"),
        ("  the   sofa ", "studio couch"),
    ],
)
def test_a_name_is_known_in_every_spelling(names, written, meant):
    number = names.number(written)
    assert number is not None
    assert names.names[number] == meant


def test_a_name_covers_the_classes_below_it(names):
    def covered(word: str) -> int:
        return int(names.covers[names.number(word)].sum())

    assert (covered("dog"), covered("bird"), covered("golden retriever")) == (118, 59, 1)
    assert covered("crane") == 2  # the bird and the machine
    dog, animal = names.covers[names.number("dog")], names.covers[names.number("animal")]
    assert np.all(animal[dog])
    assert len(names.leaves) == 1004


def test_names_above_a_class_are_the_nearest_first_and_said_of_its_images(names):
    assert names.above(names.number("Labrador retriever"), 3) == ["retriever", "sporting dog", "hunting dog"]
    assert names.above(names.number("plate"), 3) == []
    every = names.above(names.number("Labrador retriever"), 99)
    covered = [names.covers[names.number(name)] for name in every]
    assert all(each[names.covers[names.number("Labrador retriever")]].all() for each in covered)
    assert [int(each.sum()) for each in covered] == sorted(int(each.sum()) for each in covered)


@pytest.mark.parametrize(("unknown", "first"), [("puppy", "dog"), ("skyscraper", "building"), ("woman", "person")])
def test_an_unknown_noun_is_answered_with_the_nearest_in_meaning(tokenizer, unknown, first):
    with pytest.raises(UnknownWordError) as caught:
        tokenizer.check([unknown])
    assert caught.value.nearest[unknown][0] == first


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("bycicle", "bicycle"), ("xylofone", "marimba"), ("Golden Retreiver", "golden retriever")]
)
def test_a_misspelt_name_is_corrected_and_so_is_a_misspelt_synonym(names, misspelt, meant):
    near = names.nearest(misspelt)
    assert near[0] == meant
    assert len(set(near)) == len(near) == 3


def test_a_word_in_another_script_is_unknown_as_a_whole(tokenizer):
    with pytest.raises(UnknownWordError) as caught:
        tokenizer.check(["dog собака"])
    assert caught.value.words == ["собака"]


def test_a_name_is_one_token_and_a_caption_is_cut_into_names(tokenizer):
    assert len(tokenizer.encode("golden retriever")) == 3
    assert tokenizer.encode("Golden retrievers") == tokenizer.encode("golden retriever")
    assert tokenizer.words("A photo of a golden retriever and the cups") == [
        "a",
        "photo",
        "of",
        "a",
        "golden retriever",
        "and",
        "the",
        "cup",
    ]
    words = content_words(align(tokenizer, "a golden retriever on a table"))
    assert [(word.text, word.position) for word in words] == [("golden retriever", 2), ("table", 5)]


def test_every_name_that_comes_along_can_be_typed(names, tokenizer):
    assert [name for name in names.names if len(tokenizer.encode(name)) != 3] == []


def test_a_list_is_read_as_it_was_written(names, tmp_path):
    names.write(tmp_path / "one.gz")
    Names.read(tmp_path / "one.gz").write(tmp_path / "other.gz")
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "other.gz").read_bytes()
    (tmp_path / "one.gz").write_bytes(b"no list")
    with pytest.raises(CheckpointError, match=r"cannot read the names in .*one\.gz"):
        Names.read(tmp_path / "one.gz")


NOUNS = """\
00000001 03 n 01 entity 0 000 | that which is
00000002 05 n 02 animal 0 beast 0 001 @ 00000001 n 0000 | a living thing that moves
00000003 05 n 02 dog 0 domestic_dog 0 001 @ 00000002 n 0000 | barks
00000004 05 n 01 puppy 0 001 @ 00000003 n 0000 | a young dog
"""
INDEX = """\
animal n 1 1 @ 1 0 00000002
dog n 1 1 @ 1 0 00000003
puppy n 1 1 @ 1 0 00000004
"""


def test_wordnets_files_are_read_as_they_are_documented(tmp_path):
    (tmp_path / "data.noun").write_text("  1 a licence\n" + NOUNS)
    (tmp_path / "index.noun").write_text("  1 a licence\n" + INDEX)
    synsets, senses = read_nouns(tmp_path)
    assert synsets["00000003"].lemmas == ("dog", "domestic dog")
    assert synsets["00000003"].above == ("00000002",)
    assert synsets["00000004"].gloss == "a young dog"
    assert senses["puppy"] == ["00000004"]


def test_a_folder_without_wordnet_is_said_to_be_none(tmp_path):
    with pytest.raises(DataError, match=r"data\.noun"):
        imagenet_names(tmp_path)
