"""Scenes as COCO files: the official reader and ours find what was drawn."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from lfi.data.coco import coco
from lfi.data.coco_writer import write_coco
from lfi.data.scenes import CLASSES, Scenes
from lfi.errors import ConfigError, DataError

SCENES = Scenes(6, 3, 48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("coco") / "set"
    assert write_coco(SCENES, made) == made / "instances.json"
    return made


def test_the_official_reader_finds_every_mask_to_the_pixel(folder):
    found = COCO(str(folder / "instances.json"))
    assert len(found.getImgIds()) == 6
    assert [category["name"] for category in found.loadCats(found.getCatIds())] == list(CLASSES)
    for number, scene in enumerate(SCENES, start=1):
        image = found.loadImgs(number)[0]
        assert np.array_equal(np.asarray(Image.open(folder / "images" / image["file_name"])), scene.image)
        annotations = found.loadAnns(found.getAnnIds(number))
        assert len(annotations) == len(scene.objects)
        for annotation, mask, thing in zip(annotations, scene.masks, scene.objects, strict=True):
            assert np.array_equal(found.annToMask(annotation).astype(bool), mask)
            assert annotation["area"] == mask.sum()
            assert annotation["category_id"] == thing.label + 1
            left, top, width, height = map(int, annotation["bbox"])
            inside = np.zeros_like(mask)
            inside[top : top + height, left : left + width] = True
            assert not (mask & ~inside).any()
            assert mask[top].any()
            assert mask[:, left].any()


def test_our_reader_gets_the_same_labels_and_captions(folder):
    read = coco(folder / "images", folder / "instances.json", size=48, captions=folder / "captions.json")
    assert np.array_equal(read.labels, np.stack([scene.labels for scene in SCENES]))
    assert read.captions == tuple(scene.caption for scene in SCENES)


@pytest.mark.parametrize("by", ["colour", "shape"])
def test_categories_can_be_colours_or_shapes(tmp_path, by):
    content = json.loads(write_coco(SCENES, tmp_path, by).read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    found = [names[annotation["category_id"]] for annotation in content["annotations"]]
    assert found == [getattr(thing, by) for scene in SCENES for thing in scene.objects]
    with pytest.raises(ConfigError, match="cannot be told apart by 'size'"):
        write_coco(SCENES, tmp_path / "other", "size")


def test_numbers_are_unique(folder):
    content = json.loads((folder / "instances.json").read_text())
    numbers = [annotation["id"] for annotation in content["annotations"]]
    assert len(set(numbers)) == len(numbers) > 6


def test_a_set_is_never_overwritten(folder, tmp_path):
    before = (folder / "instances.json").read_bytes()
    with pytest.raises(DataError, match="already holds a set"):
        write_coco(Scenes(1, 0, 32), folder)
    assert (folder / "instances.json").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_coco(Scenes(1, 0, 32), tmp_path / "file")
