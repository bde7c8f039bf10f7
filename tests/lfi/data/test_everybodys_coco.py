"""COCO files as people make them: read whole, or refused by the annotation's name, before anything starts."""

import copy
import json

import numpy as np
import pytest
from faster_coco_eval.core import mask as run_lengths
from PIL import Image

from lfi.data.coco import coco
from lfi.data.coco_format import CROWDS, NO_MASK, NO_OBJECT, NO_SIZE, SHARED_IDS, THIN
from lfi.data.instances import Instances
from lfi.errors import DataError

SQUARE = [[1, 1, 5, 1, 5, 5, 1, 5]]


@pytest.fixture
def content(tmp_path):
    """Three images, two categories with a gap between their ids; the third image has no annotation."""
    for number in (1, 2, 3):
        Image.new("RGB", (12, 8), (number,) * 3).save(tmp_path / f"{number}.png")
    return {
        "images": [{"id": 10 * n, "file_name": f"{n}.png", "width": 12, "height": 8} for n in (1, 2, 3)],
        "categories": [{"id": 90, "name": "disc"}, {"id": 1, "name": "square"}],
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16, "segmentation": SQUARE},
            {"id": 2, "image_id": 20, "category_id": 90, "bbox": [1, 1, 4, 4], "area": 16, "segmentation": SQUARE},
            {"id": 3, "image_id": 20, "category_id": 1, "bbox": [6, 1, 4, 4], "area": 16, "segmentation": SQUARE},
        ],
    }


@pytest.fixture
def read(tmp_path):
    def write_and_read(content):
        (tmp_path / "c.json").write_text(json.dumps(content))
        return coco(tmp_path, tmp_path / "c.json", size=8), Instances(tmp_path, tmp_path / "c.json")

    return write_and_read


def noted(images) -> dict[str, list[str]]:
    return {note.what: note.listed() for note in images.notes}


def test_a_whole_file_is_read_and_images_without_annotations_stay(content, read):
    images, instances = read(content)
    assert images.labels.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert (len(instances), instances[1].labels.tolist()) == (2, [2, 1])
    assert noted(images) == {NO_OBJECT: ["3.png"]}


@pytest.mark.parametrize("name", ["x" * 5000 + ".png", "a\0b.png"])
def test_an_image_without_annotations_may_have_a_name_that_no_file_can_have(content, tmp_path, name):
    content["images"].append({"id": 40, "file_name": name})
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert len(Instances(tmp_path, tmp_path / "c.json")) == 2


@pytest.mark.parametrize("mask", [None, [], "absent"])
def test_an_object_without_a_mask_has_its_box(content, read, mask):
    content["annotations"][2].pop("segmentation")
    if mask != "absent":
        content["annotations"][2]["segmentation"] = mask
    images, instances = read(content)
    assert noted(images)[NO_MASK] == ["annotation 3 (image 20)"]
    assert instances[1].masked.tolist() == [True, False]
    assert instances[1].masks.any((1, 2)).tolist() == [True, False]
    assert instances[1].boxes.tolist() == [[1, 1, 5, 5], [6, 1, 10, 5]]


def test_objects_that_share_an_id_are_all_read(content, read):
    for annotation in content["annotations"]:
        annotation["id"] = 7
    images, instances = read(content)
    assert noted(images)[SHARED_IDS] == ["annotation 7 (3)"]
    assert sum(len(instances[row].labels) for row in range(2)) == 3


def test_a_size_that_is_not_stated_is_read_from_the_file(content, read):
    for entry in content["images"]:
        del entry["width"], entry["height"]
    images, instances = read(content)
    assert noted(images)[NO_SIZE] == ["1.png", "2.png", "3.png"]
    assert instances[0].masks.shape == (1, 8, 12)
    assert instances[0].masks.sum() == 16


def test_a_box_that_is_missing_is_taken_from_the_mask(content, read):
    content["annotations"][0].pop("bbox")
    assert read(content)[1][0].boxes.tolist() == [[1, 1, 5, 5]]


@pytest.mark.parametrize("packed", [False, True])
def test_a_box_that_is_missing_is_taken_from_run_lengths(content, read, packed):
    square = np.zeros((8, 12), np.uint8)
    square[2:5, 3:9] = 1
    counts = run_lengths.encode(np.asfortranarray(square))["counts"].decode()
    columns = [26, 3, 5, 3, 5, 3, 5, 3, 5, 3, 5, 3, 27]
    content["annotations"][0] |= {"segmentation": {"size": [8, 12], "counts": counts if packed else columns}}
    content["annotations"][0].pop("bbox")
    images, instances = read(content)
    assert instances[0].boxes.tolist() == [[3, 2, 9, 5]]
    assert noted(images)["objects whose box is taken from their mask"] == ["annotation 1 (image 10)"]


def test_a_crowd_is_no_object_and_thin_polygons_no_mask(content, read):
    lengths = {"size": [8, 12], "counts": [0, 96]}
    content["annotations"][0] |= {"iscrowd": 1, "segmentation": lengths}
    content["annotations"][1]["segmentation"] = [*SQUARE, [1, 1, 2, 2]]
    images, instances = read(content)
    assert noted(images)[CROWDS] == ["annotation 1 (image 10)"]
    assert noted(images)[THIN] == ["annotation 2 (image 20)"]
    assert [len(instances), images.labels[0].tolist()] == [1, [0, 0]]


REFUSED = {
    "no category": (lambda c: c["annotations"][1].pop("category_id"), r"lacks 'category_id' \(annotation 2\)"),
    "null category": (lambda c: c["annotations"][1].update(category_id=None), "category_id of annotation 2 is 'None'"),
    "unknown category": (lambda c: c["annotations"][1].update(category_id=5), r"category 5, .*\(annotation 2\)"),
    "unknown image": (lambda c: c["annotations"][1].update(image_id=5), r"image 5, .*\(annotation 2\)"),
    "three numbers": (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), r"annotation 2 \(image 20\) has the bbox"),
    "odd polygon": (lambda c: c["annotations"][1].update(segmentation=[[1, 2, 3]]), "segmentation of annotation 2"),
    "other run lengths": (
        lambda c: c["annotations"][1].update(segmentation={"size": [9, 9], "counts": [81]}),
        "annotation 2 .* pixels, its image",
    ),
    "short run lengths": (
        lambda c: c["annotations"][1].update(segmentation={"size": [8, 12], "counts": [3]}),
        "annotation 2 .* do not add up",
    ),
    "run lengths below 0": (
        lambda c: c["annotations"][1].update(segmentation={"size": [8, 12], "counts": [-4, 100]}),
        "annotation 2 .* are not all whole numbers from 0",
    ),
    "run lengths cut short": (
        lambda c: c["annotations"][1].update(bbox=None, segmentation={"size": [8, 12], "counts": "PPPP"}),
        "run lengths of annotation 2 .* cannot be read",
    ),
    "an image twice": (lambda c: c["images"].append(c["images"][0]), "2 images have the id 10"),
    "an odd size": (lambda c: c["images"][1].update(width="12"), "image 20 is '12' x 8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named(content, read, case):
    spoil, message = REFUSED[case]
    changed = copy.deepcopy(content)
    spoil(changed)
    with pytest.raises(DataError, match=message):
        read(changed)


def test_a_detector_needs_boxes_and_sizes_that_are_true(content, read, tmp_path):
    changed = copy.deepcopy(content)
    for name in ("bbox", "segmentation"):
        changed["annotations"][0].pop(name)
    with pytest.raises(DataError, match=r"annotation 1 \(image 10\) has no bbox"):
        read(changed)
    content["images"][1]["width"] = 13
    with pytest.raises(DataError, match=r"2\.png is 12 x 8; c\.json says 13 x 8"):
        read(content)


def test_captions_that_are_not_read_are_counted(content, tmp_path):
    said = [{"id": n, "image_id": 10, "caption": f"c{n}"} for n in (2, 1)]
    said += [{"id": 3, "image_id": 20, "caption": None}, {"id": 4, "image_id": 99, "caption": "x"}]
    (tmp_path / "c.json").write_text(json.dumps(content))
    (tmp_path / "said.json").write_text(json.dumps({"annotations": said}))
    images = coco(tmp_path, tmp_path / "c.json", size=8, captions=tmp_path / "said.json")
    assert images.captions == ("c1", "a photo of a square and a disc", "")
    assert {note.what: note.count for note in images.notes if "caption" in note.what} == {
        "captions after the first of an image, which are not read": 1,
        "captions that say nothing": 1,
        "captions of images that are not in the instances": 1,
    }
    assert np.isfinite(images.labels).all()
