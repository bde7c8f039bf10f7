"""COCO's JSON: what is in an image, and what is said of it."""

import json

import pytest

from lfi.data.coco import coco
from lfi.data.coco_format import SHARED_NAMES
from lfi.errors import DataError


def region(image, category, area, **others):
    return {"image_id": image, "category_id": category, "area": area, **others}


@pytest.fixture
def instances(tmp_path, picture):
    """Four images; categories out of order and with gaps in their ids."""
    for number in (7, 3, 5, 9):
        picture(tmp_path / f"images/{number}.png", number, (40, 20))
    return {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in (7, 3, 5, 9)],
        "categories": [{"id": 90, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 18, "name": "apple"}],
        "annotations": [
            region(7, 1, 30.0),
            region(7, 90, 20.0),
            region(7, 90, 20.0),
            region(3, 18, 5.0, iscrowd=0),
            region(3, 1, 500.0, iscrowd=1),
            {"image_id": 5, "category_id": 90, "bbox": [0, 0, 4, 5]},
            region(5, 18, 21.0),
            region(5, 1, 1.0),
        ],
    }


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, captions=None, **others):
        (tmp_path / "instances.json").write_text(content if isinstance(content, str) else json.dumps(content))
        if captions is not None:
            (tmp_path / "captions.json").write_text(json.dumps({"annotations": captions}))
            others["captions"] = tmp_path / "captions.json"
        return coco(tmp_path / "images", tmp_path / "instances.json", size=16, **others)

    return write_and_read


def test_classes_count_in_the_order_of_their_ids_and_crowds_do_not_count(instances, read):
    images = read(instances)
    assert images.classes == ("person", "apple", "dog")
    assert images.multilabel
    assert images.labels.tolist() == [[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]]
    assert images.ids == ("7.png", "3.png", "5.png", "9.png")
    assert images.images[:, 0, 0, 0].tolist() == [7, 3, 5, 9]


def test_an_area_that_has_a_sign_is_an_area(instances, read):
    instances["annotations"] = [region(7, 90, -25.0), region(7, 1, 30.0), region(7, 90, -25.0)]
    images = read(instances)
    assert images.labels[0].tolist() == [1, 0, 1]
    assert images.words[0] == ("dog", "person")


def test_ids_of_categories_may_be_numbers_and_texts(instances, read):
    instances["categories"].append({"id": "x", "name": "cup"})
    assert read(instances).classes == ("person", "apple", "dog", "cup")


def test_categories_of_one_name_are_one_class_and_that_is_said(instances, read):
    instances["categories"].append({"id": 0, "name": "apple"})  # as Roboflow does, with a project's name
    images = read(instances)
    assert images.classes == images.vocabulary == ("apple", "person", "dog")
    assert images.labels.tolist() == [[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert images.words[2] == ("apple", "dog", "person")
    assert {note.what: note.listed() for note in images.notes}[SHARED_NAMES] == ["apple (2)"]


def test_words_are_the_classes_present_with_the_largest_area_first(instances, read):
    assert read(instances).words == (("dog", "person"), ("apple",), ("apple", "dog", "person"), ())


def test_the_first_caption_is_taken_and_a_missing_one_is_made_of_the_classes(instances, read):
    captions = [
        {"id": 12, "image_id": 7, "caption": "later"},
        {"id": 4, "image_id": 7, "caption": " A dog with\n its person. "},
        {"id": 1, "image_id": 555, "caption": "of another subset"},
    ]
    assert read(instances, captions).captions == (
        "A dog with its person.",
        "a photo of an apple",
        "a photo of an apple, a dog and a person",
        "",
    )


def test_ids_of_captions_may_be_numbers_and_texts(instances, read):
    captions = [{"id": "x", "image_id": 7, "caption": "second"}, {"id": 1, "image_id": 7, "caption": "first"}]
    assert read(instances, captions).captions[0] == "first"


def test_images_that_are_missing_are_named(instances, read, tmp_path):
    (tmp_path / "images/3.png").unlink()
    with pytest.raises(DataError, match=r"1 of the 4 images of instances\.json are not in .*images: 3\.png"):
        read(instances, limit=1)


def test_an_image_that_is_damaged_is_skipped_with_its_labels(instances, read, tmp_path):
    (tmp_path / "images/3.png").write_bytes(b"")
    images = read(instances, limit=0.25)
    assert images.labels.tolist() == [[1, 0, 1], [1, 1, 1], [0, 0, 0]]
    assert len(images.captions) == len(images.words) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [region(7, 2, 1.0)]}, "annotation of category 2, which"),
        ({"annotations": [region(8, 1, 1.0)]}, "annotates image 8, which"),
        ({"annotations": [{"image_id": 7}]}, "an entry lacks 'category_id'"),
        ({"categories": None}, "no list 'categories'"),
        ({"images": [{"id": 1}]}, "an entry lacks 'file_name'"),
        ({"annotations": [region(7, 1, 1.0, iscrowd="0")]}, "has iscrowd '0'; 0 or 1 was expected"),
    ],
)
def test_a_table_that_is_wrong_says_where(instances, read, change, message):
    with pytest.raises(DataError, match=message):
        read(instances | change)


def test_a_file_that_is_no_json_or_not_there_is_named(instances, read, tmp_path):
    with pytest.raises(DataError, match=r"instances\.json cannot be read as JSON"):
        read("{")
    with pytest.raises(DataError, match=r"instances\.json cannot be read as JSON"):
        read("[" * 100_000)
    with pytest.raises(DataError, match=r"other\.json is missing"):
        read(instances, captions=None) and coco(tmp_path, tmp_path / "other.json", size=16)
