"""COCO's numbers: equal to the official ones, perfect for the perfect, zero for nothing."""

import contextlib
import io
import json
import math

import numpy as np
import pytest
import torch
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

from evaluation.detection import NUMBERS, average_precision, check_categories, coco_numbers, detect, numbers_of
from evaluation.detectors import reach, redrawn
from lfi.data.coco_writer import write_coco
from lfi.data.instances import read_truth
from lfi.data.scenes import Scenes
from lfi.errors import DataError

SCENES = Scenes(12, 7, 96)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("detection") / "set"
    write_coco(SCENES, made)
    return made


class Guesser(nn.Module):
    """Knows every object; moves, forgets and confuses some, with scores that do not tell."""

    def __init__(self, error=0.0, classes=80):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.scenes = {scene.image.tobytes(): scene for scene in SCENES}
        self.error, self.classes, self.rng = error, classes, np.random.default_rng(0)

    def forward(self, images):
        answers = []
        for image in images:
            pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
            scene = self.scenes[np.ascontiguousarray(pixels).tobytes()]
            count = len(scene.objects)
            wrong = self.rng.random(count) < self.error
            named = np.array([thing.label + 1 for thing in scene.objects])
            labels = np.where(wrong, self.rng.integers(1, self.classes, count), named)
            shift = int(6 * self.error)
            masks = np.roll(scene.masks, shift, axis=2)
            boxes = scene.boxes + self.error * self.rng.normal(0, 4, scene.boxes.shape)
            answers.append(
                {
                    "boxes": torch.from_numpy(boxes).float(),
                    "labels": torch.from_numpy(labels),
                    "scores": torch.from_numpy(self.rng.random(count)).float(),
                    "masks": torch.from_numpy(masks).float()[:, None],
                }
            )
        return answers


def detected(error, folder, **options):
    truth = read_truth(folder / "instances.json")
    return detect(Guesser(error).eval(), folder / "images", truth, categories_of(truth), **options)


def categories_of(truth):
    return [(number, truth.cats[number]["name"]) for number in sorted(truth.cats)]


def official(folder, detections, kind):
    if kind == "segm":
        detections = [{name: value for name, value in each.items() if name != "bbox"} for each in detections]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "instances.json"))
        evaluation = COCOeval(truth, truth.loadRes(detections), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("error", [0.0, 0.3, 0.7])
def test_the_twelve_numbers_are_the_official_ones(folder, kind, error):
    detections = detected(error, folder, batch=5)
    found = coco_numbers(folder / "instances.json", detections, kind)
    assert tuple(found) == NUMBERS
    for own, other in zip(found.values(), official(folder, [dict(each) for each in detections], kind), strict=True):
        assert (math.isnan(own) and other == -1) or own == pytest.approx(other, abs=1e-9)
    if error == 0:
        assert found["AP"] == pytest.approx(1)


def test_an_interval_over_images_holds_the_number(folder):
    truth = read_truth(folder / "instances.json")
    perfect, fair = (detected(error, folder) for error in (0, 0.3))
    assert reach(truth, perfect, "bbox", 5, 0)["AP"] == pytest.approx(0, abs=1e-9)
    wide = reach(truth, fair, "bbox", 5, 0)
    assert 0 < wide["AP"] < 100
    assert math.isnan(wide["AP, large"])
    assert math.isnan(reach(truth, fair, "bbox", 0, 0)["AP"])
    whole = sorted(truth.getImgIds())
    assert numbers_of(redrawn(truth, whole), fair, "bbox") == pytest.approx(
        numbers_of(truth, fair, "bbox"), nan_ok=True
    )


def test_a_mask_is_as_large_as_its_own_area(tmp_path):
    def band(place):
        """5 pixels wide, from corner to corner: 640 pixels in a box of 16,384."""
        mask = (np.tri(128, k=place + 2) - np.tri(128, k=place - 3)).astype(np.uint8)
        encoded = run_lengths.encode(np.asfortranarray(mask))
        return {"size": encoded["size"], "counts": encoded["counts"].decode()}

    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 128, "height": 128}],
        "categories": [{"id": 1, "name": "band"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "area": 640, "segmentation": band(0)}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    found = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 128, 128]}
    detections = [{**found, "score": 0.9, "segmentation": band(60)}, {**found, "score": 0.8, "segmentation": band(0)}]
    measured = coco_numbers(tmp_path / "instances.json", detections, "segm")
    assert (measured["AP, small"], measured["AP"]) == (pytest.approx(0.5), pytest.approx(0.5))


def test_a_validation_file_may_lack_categories_and_have_no_others(folder, tmp_path):
    content, known = (
        json.loads((folder / "instances.json").read_text()),
        categories_of(read_truth(folder / "instances.json")),
    )
    used = {each["category_id"] for each in content["annotations"]}
    content["categories"] = [each for each in content["categories"] if each["id"] in used]
    (tmp_path / "some.json").write_text(json.dumps(content))
    truth = read_truth(tmp_path / "some.json")
    check_categories(truth, known, "all.json")
    assert average_precision(Guesser().eval(), folder / "images", truth, known) == pytest.approx(
        {"box mAP": 100, "mask AP": 100}
    )
    number, name = known[min(used) - 1]
    with pytest.raises(DataError, match=rf"some.json has other categories than all.json: {number}, '{name}', is not"):
        check_categories(truth, [each for each in known if each[0] != number], "all.json")


def test_nothing_found_is_zero_and_sizes_that_are_not_there_are_undefined(folder):
    found = coco_numbers(folder / "instances.json", [], "bbox")
    assert found["AP"] == found["AR, 100 detections"] == 0
    perfect = detected(0, folder)
    whole = coco_numbers(folder / "instances.json", perfect, "bbox")
    assert [math.isnan(value) for value in found.values()] == [math.isnan(value) for value in whole.values()]
    assert math.isnan(found["AP, large"]), "no object of a scene of 96 px is that large"


def test_what_cannot_be_measured_is_refused(folder, tmp_path):
    detection = {"image_id": 99, "category_id": 1, "score": 0.5, "bbox": [0, 0, 1, 1]}
    with pytest.raises(DataError, match="has no image 99"):
        coco_numbers(folder / "instances.json", [detection], "bbox")
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        coco_numbers(tmp_path / "none.json", [], "bbox")
    truth = read_truth(folder / "instances.json")
    with pytest.raises(DataError, match="cannot read"):
        detect(Guesser().eval(), tmp_path, truth, categories_of(truth))
