"""Real layouts as cases: an image, a class that is in it, and where."""

import json

import numpy as np
import pytest
from PIL import Image

from evaluation.cases import NOTHING, UNKNOWN, coco_cases, known_to, split, tiny_imagenet_cases
from lfi.data.coco_format import CROWDS, SHARED_NAMES
from lfi.errors import DataError
from lfi.teachers import load_teacher


@pytest.fixture
def instances(tmp_path):
    """Two pictures of 8 x 4: stars left and right and a moon in one, a crowd of stars in the other."""
    for name in ("a", "b"):
        Image.new("RGB", (8, 4), "white").save(tmp_path / f"{name}.png")

    def region(number, image, category, box, crowd=0):
        left, top, width, height = box
        outline = [left, top, left + width, top, left + width, top + height, left, top + height]
        region = [outline] if not crowd else {"counts": [0, 32], "size": [4, 8]}
        about = {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
        return {**about, "area": width * height, "segmentation": region}

    content = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "width": 8, "height": 4} for number, name in ((5, "a"), (9, "b"))
        ],
        "categories": [{"id": 3, "name": "star"}, {"id": 7, "name": "moon"}, {"id": 8, "name": "dog"}],
        "annotations": [
            region(1, 5, 3, [0, 0, 2, 4]),
            region(2, 5, 3, [6, 0, 2, 4]),
            region(3, 5, 7, [2, 2, 2, 2]),
            region(4, 9, 3, [0, 0, 8, 4], crowd=1),
            region(5, 9, 8, [0, 0, 4, 4]),
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path / "instances.json"


def test_a_class_is_asked_for_once_with_the_masks_of_all_its_objects(instances, trio_folder):
    knows = known_to(load_teacher(trio_folder / "teacher"))
    cases = coco_cases(instances.parent, instances, knows, 8)
    assert cases.phrases == ("star", "moon"), "no dog, which the teacher does not know, and no crowd"
    assert cases.rows.tolist() == [0, 0]
    assert [image.shape for image in cases.images] == [(4, 8, 3)], "as it would be uploaded"
    assert cases.masks[0].all(0).tolist() == [True, True, False, False, False, False, True, True]
    assert np.argwhere(cases.masks[1]).min(0).tolist() == [4, 2], "squashed with the image"
    assert cases.masks[1].sum() == 8
    assert {note.what: note.names for note in cases.notes} == {
        UNKNOWN: (("dog", 1),),
        CROWDS: (("b.png", 1),),
        NOTHING: (("b.png", 1),),
    }


def test_categories_of_one_name_are_one_class_with_one_mask(instances):
    content = json.loads(instances.read_text())
    content["categories"][1]["name"] = "star"
    instances.write_text(json.dumps(content))
    cases = coco_cases(instances.parent, instances, lambda name: True, 8)
    assert cases.phrases == ("star", "dog")
    assert cases.masks[0].sum() == 4 * 8 + 2 * 4, "both stars and what was a moon"
    assert (SHARED_NAMES, (("star", 2),)) in [(note.what, note.names) for note in cases.notes]


def test_boxes_of_tiny_imagenet_are_masks(tmp_path):
    folder = tmp_path / "val" / "images"
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (64, 64), "white").save(folder / f"val_{number}.JPEG")
    (tmp_path / "wnids.txt").write_text("n1\nn2\n")
    (tmp_path / "words.txt").write_text("n1\tstar, sun\nn2\tdog\n")
    lines = ["val_0.JPEG\tn1\t0\t16\t31\t47", "val_1.JPEG\tn2\t0\t0\t63\t63"]
    (tmp_path / "val" / "val_annotations.txt").write_text("\n".join(lines))
    cases = tiny_imagenet_cases(tmp_path, lambda name: name == "star", 32)
    assert cases.phrases == ("star",)
    assert np.argwhere(cases.masks[0]).min(0).tolist() == [8, 0]
    assert np.argwhere(cases.masks[0]).max(0).tolist() == [23, 15]
    assert [(note.what, note.names) for note in cases.notes] == [(UNKNOWN, (("dog", 1),))]
    with pytest.raises(DataError, match="no image of a class that the teacher knows"):
        tiny_imagenet_cases(tmp_path, lambda name: False, 32)


def test_a_teacher_without_a_class_is_told_so(instances):
    with pytest.raises(DataError, match="no object of a class that the teacher knows"):
        coco_cases(instances.parent, instances, lambda name: False, 8)
    with pytest.raises(DataError, match="cannot be read as COCO's instances"):
        coco_cases(instances.parent, instances.parent / "none.json", lambda name: True, 8)


def test_what_is_chosen_on_is_never_measured_on(instances):
    one = coco_cases(instances.parent, instances, lambda name: True, 8)
    images = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    rows = np.repeat(np.arange(8), 2)
    cases = type(one)(images, rows, np.full(16, "class"), tuple(map(str, range(16))), np.zeros((16, 8, 8), bool))
    test, choice = split(cases, 5, seed=0)
    assert (len(test.images), len(choice.images)) == (5, 1)
    assert not set(test.images[:, 0, 0, 0]) & set(choice.images[:, 0, 0, 0])
    for part in (test, choice):
        assert [int(phrase) // 2 for phrase in part.phrases] == part.images[part.rows, 0, 0, 0].tolist()
    with pytest.raises(DataError, match="at least four were expected"):
        split(one, 5, seed=0)
