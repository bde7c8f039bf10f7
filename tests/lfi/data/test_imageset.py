"""What is known of an image stays with it, whichever images are taken."""

import dataclasses

import numpy as np
import pytest

from lfi.data import imageset
from lfi.data.imageset import ImageSet, concatenate
from lfi.errors import DataError


def make(labels, prefix="i", **others) -> ImageSet:
    labels = np.asarray(labels)
    count = len(labels)
    given = {
        "images": np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8),
        "ids": tuple(f"{prefix}{row}" for row in range(count)),
        "classes": ("cat", "dog"),
        "labels": labels,
        "captions": tuple(f"caption {row}" for row in range(count)),
        "words": tuple((f"word {row}", "cat") for row in range(count)),
    }
    return ImageSet(**{**given, **others})


def test_taking_rows_takes_all_that_is_known_of_them():
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    taken = make([0, 1, 0], boxes=boxes, domains=("photo", "sketch", "photo"), skipped=("x",)).take([2, 0])
    assert taken.images[:, 0, 0, 0].tolist() == [2, 0]
    assert taken.labels.tolist() == [0, 0]
    assert taken.boxes.tolist() == boxes[[2, 0]].tolist()
    assert (taken.ids, taken.captions, taken.words, taken.domains, taken.skipped) == (
        ("i2", "i0"),
        ("caption 2", "caption 0"),
        (("word 2", "cat"), ("word 0", "cat")),
        ("photo", "photo"),
        ("x",),
    )


def test_more_than_fits_into_memory_is_refused(monkeypatch):
    images = make([0, 1, 0])
    monkeypatch.setattr(imageset, "memory_size", lambda: 2 * 4 * 4 * 3)
    assert len(images.take([2, 0])) == 2
    with pytest.raises(DataError, match=r"3 images of 4 px take .* stream them from shards \(data\.stream\)"):
        images.take([0, 1, 2])


def test_nothing_taken_is_an_empty_set():
    assert len(make([0, 1]).take([])) == 0


def test_the_vocabulary_has_the_classes_first_and_each_word_once():
    assert make([0, 1]).vocabulary == ("cat", "dog", "word 0", "word 1")


def test_a_fraction_takes_the_same_share_of_every_class():
    part = make([0] * 40 + [1] * 10).fraction(0.1)
    assert np.bincount(part.labels).tolist() == [4, 1]


def test_a_fraction_takes_one_of_a_class_at_least():
    assert np.bincount(make([0] * 40 + [1] * 2).fraction(0.1).labels).tolist() == [4, 1]


def test_a_fraction_depends_on_the_seed_alone():
    images = make([0] * 50 + [1] * 50)
    assert images.fraction(0.2, seed=3).ids == images.fraction(0.2, seed=3).ids
    assert images.fraction(0.2, seed=3).ids != images.fraction(0.2, seed=4).ids


def test_a_fraction_of_several_labels_is_of_all_images():
    labels = np.eye(2, dtype=np.float32)[[0] * 9 + [1]]
    images = make(labels)
    assert images.multilabel
    assert len(images.fraction(0.5)) == 5


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(DataError, match=r"more than 0 and at most 1"):
        make([0, 1]).fraction(share)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.float32)}, "uint8"),
        ({"images": np.zeros((2, 4, 4), np.uint8)}, r"\(2, 4, 4\)"),
        ({"ids": ("a",)}, "1 ids for 2 images"),
        ({"ids": ("a", "a")}, "not unique"),
        ({"captions": ()}, "0 captions"),
        ({"words": ((),)}, "1 words"),
        ({"labels": np.zeros(3, np.int64)}, "3 labels"),
        ({"domains": ("photo",)}, "1 domains"),
        ({"pictures": ("a",)}, "1 pictures"),
        ({"classes": ("cat", "cat")}, "2 classes are called 'cat'; every class needs a name of its own"),
        ({"boxes": np.zeros((2, 2), np.float32)}, r"\(2, 4\) was expected"),
    ],
)
def test_a_set_checks_itself(change, message):
    with pytest.raises(DataError, match=message):
        dataclasses.replace(make([0, 1]), **change)


def test_joined_sets_follow_one_another_and_images_without_boxes_have_none():
    boxes = np.ones((2, 4), np.float32)
    joined = concatenate([make([0, 1], boxes=boxes, skipped=("x",)), make([1], "j", skipped=("y",))])
    assert joined.ids == ("i0", "i1", "j0")
    assert joined.labels.tolist() == [0, 1, 1]
    assert joined.skipped == ("x", "y")
    np.testing.assert_array_equal(joined.boxes, [[1] * 4, [1] * 4, [np.nan] * 4])


def test_a_picture_that_comes_again_is_still_known_in_a_part_or_a_larger_set():
    images = make([0, 1, 0], pictures=("a", "b", "a"))
    assert images.take([1, 2]).pictures == ("b", "a")
    assert concatenate([images, make([1], "j")]).pictures == ("a", "b", "a", "j0")


def test_sets_of_different_classes_or_sizes_are_not_joined():
    with pytest.raises(DataError, match="different classes"):
        concatenate([make([0]), make([0], "j", classes=("cat",))])
    with pytest.raises(DataError, match="4 and 8 px"):
        concatenate([make([0]), make([0], "j", images=np.zeros((1, 8, 8, 3), np.uint8))])
    with pytest.raises(DataError, match="not unique"):
        concatenate([make([0]), make([0])])
