"""Maps against gaze: whoever looks where people look scores, and floors and ceiling are what they are called."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.gaze import GRID, evaluate_gaze, find_images, smoothed, teacher_looks, trio_looks, unit_mass
from evaluation.results import Results
from lfi.data.gaze import Gaze
from lfi.errors import DataError
from lfi.teachers import load_teacher
from lfi.trio import Trio

SHAPE = (60, 80)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> tuple[Path, list[Gaze]]:
    """Six pictures; in each, people look at a place of its own."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    gaze = []
    for number in range(6):
        Image.fromarray(rng.integers(0, 255, (*SHAPE, 3), np.uint8)).save(folder / f"{number}.png")
        spot = rng.uniform((10, 10), (70, 50))
        people = [np.column_stack([rng.normal(spot, 3, (8, 2)), np.full(8, 200)]) for _ in range(4)]
        gaze.append(Gaze(f"{number}.png", tuple(each.astype(np.float32) for each in people)))
    return folder, gaze


def seer(gaze: list[Gaze]):
    """Looks exactly where people do: it is asked in the order of the pictures."""
    turn = iter(gaze)

    def look(image, words):
        counts = torch.from_numpy(next(turn).counts(SHAPE, 128))
        return {"seer": unit_mass(smoothed(counts[None]))[0], "even": torch.full((4, 4), 1 / 16)}

    return look


def test_what_looks_where_people_look_reaches_the_ceiling_and_floors_do_not(pictures):
    folder, gaze = pictures
    results = Results("x", [0], {})
    evaluate_gaze(find_images(gaze, folder, ["star"]), seer(gaze), results)
    value = {name: figure.value for name, figure in results.figures.items()}
    for metric, sign in (("NSS", 1), ("AUC of fixations", 1), ("KL to fixations", -1)):
        ceiling = sign * value[f"half of the observers: {metric}"]
        assert sign * value[f"seer: {metric}"] >= ceiling
        for floor in ("seer, another image's", "where people look in other images"):
            assert sign * value[f"{floor}: {metric}"] < ceiling
    assert value["even: AUC of fixations"] == pytest.approx(0.5)
    assert np.isnan(value["even: NSS"])
    assert results.n["images"] == 6
    assert results.n["observers"] == 4
    figure = results.figures["seer: NSS"]
    assert figure.low < figure.value < figure.high


def test_where_people_look_in_other_images_never_saw_the_image_itself(pictures):
    folder, gaze = pictures
    left, right = np.full((5, 3), (5, 30, 200), np.float32), np.full((5, 3), (75, 30, 200), np.float32)
    odd = [Gaze(each.image, (left, left)) for each in gaze[:5]] + [Gaze(gaze[5].image, (right, right))]
    results = Results("x", [0], {})
    evaluate_gaze(find_images(odd[4:], folder, ["star"]), seer(odd[4:]), results)
    assert results.figures["where people look in other images: AUC of fixations"].value < 0.5


def test_smoothing_keeps_the_fixations():
    counts = torch.zeros(1, 128, 128)
    counts[0, 64, 64] = 3
    found = smoothed(counts)
    assert found.shape == (1, GRID, GRID)
    assert found.sum() == pytest.approx(3, abs=1e-3)
    assert found[0].argmax() == 16 * GRID + 16


def test_a_trio_and_an_open_clip_model_look(pictures, trio_folder):
    folder, gaze = pictures
    seen = find_images(gaze[:2], folder, {"0.png": ["star"], "1.png": ["red circle", "moon"]})
    results = Results("x", [0], {})
    evaluate_gaze(seen, trio_looks(Trio.load(trio_folder), ["lfi", "baseline:rollout"]), results)
    assert {"lfi: NSS", "baseline:rollout: NSS", "half of the observers: NSS"} <= set(results.figures)
    evaluate_gaze(seen, teacher_looks(load_teacher(trio_folder / "teacher"), "ours"), results)
    assert np.isfinite(results.figures["ours: NSS"].value)


def test_a_model_shows_the_mean_of_its_words(pictures, trio_folder):
    folder, _ = pictures
    trio, image = Trio.load(trio_folder), Image.open(folder / "0.png").convert("RGB")
    look = trio_looks(trio, ["teacher"])
    both = look(image, ["star", "moon"])["teacher"]
    assert torch.allclose(both, (look(image, ["star"])["teacher"] + look(image, ["moon"])["teacher"]) / 2, atol=1e-6)


def test_images_without_words_are_left_out_and_missing_ones_refused(pictures):
    folder, gaze = pictures
    assert [each.gaze.image for each in find_images(gaze, folder, {"3.png": ["star"]})] == ["3.png"]
    with pytest.raises(DataError, match=r"0\.png has fixations, but is not in"):
        find_images(gaze, folder / "none", ["star"])
    with pytest.raises(DataError, match="gaze is known for only 1 of the images"):
        evaluate_gaze(find_images(gaze[:1], folder, ["star"]), seer(gaze), Results("x", [0], {}))


def test_one_observer_alone_has_no_ceiling(pictures):
    folder, gaze = pictures
    alone = [Gaze(each.image, each.observers[:1]) for each in gaze]
    with pytest.raises(DataError, match="was seen by 1; at least two were expected"):
        evaluate_gaze(find_images(alone, folder, ["star"]), seer(gaze), Results("x", [0], {}))


def test_the_record_is_json(pictures, tmp_path):
    folder, gaze = pictures
    results = Results("x", [0], {})
    evaluate_gaze(find_images(gaze, folder, ["star"]), seer(gaze), results)
    results.write(tmp_path / "gaze.json")
    assert json.loads((tmp_path / "gaze.json").read_text())["figures"]["even: NSS"]["value"] is None
