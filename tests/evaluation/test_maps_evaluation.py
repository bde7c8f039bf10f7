"""`lfi evaluate maps` on the trio that ships, at a small scale: what must come out whoever trained it."""

import numpy as np
import pytest
import torch

from evaluation.maps import KINDS, against, evaluate_maps, figure, parts_of, plot, scene_probability, spot
from evaluation.metrics import of_category
from evaluation.pointing import WordMaps, scene_cases
from evaluation.results import Results
from lfi.data.scenes import Scenes
from lfi.trio import Trio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found():
    trio = Trio.load("static/models/scenes")
    before = {name: value.clone() for name, value in trio.lfi.state_dict().items()}
    test, choice = (scene_cases(Scenes(count, seed).load(), KINDS) for count, seed in ((12, 5), (10, 6)))
    results = evaluate_maps(trio, test, choice, "lfi evaluate maps", 5, scene_probability)
    assert all(torch.equal(value, before[name]) for name, value in trio.lfi.state_dict().items())
    return results


def value(results, name):
    return results.figures[name].value


def test_words_of_teacher_and_student_point_and_floors_do_not(found):
    for metric in of_category("localisation"):
        floors = [value(found, f"{name}: {metric.name}") for name in ("LFI, another image's", "centre")]
        for model in ("teacher", "LFI"):
            assert value(found, f"{model}: {metric.name}") > max(floors)
    assert value(found, "teacher: pointing game") > 0.7


def test_maps_that_point_are_faithful(found):
    assert value(found, "LFI: deletion") < value(found, "LFI, another image's: deletion")
    assert value(found, "LFI: insertion") > value(found, "LFI, another image's: insertion")
    assert value(found, "LFI: stability under shifts") > 0.7


def test_maps_fall_with_the_weights(found):
    verdicts = [goal for name, goal in found.goals.items() if "falls with its weights" in name]
    assert len(verdicts) == 7, "LFI, and every explanation of the baseline"
    assert all(goal.holds == (goal.value < 0.5) for goal in verdicts)
    assert value(found, "LFI: rank correlation with its map after noise in everything") < 0.5


def test_the_figures_can_be_drawn(found, tmp_path):
    plot(found, tmp_path / "maps.png")
    assert (tmp_path / "maps.png").stat().st_size > 10_000


def test_every_weight_of_a_student_is_in_a_part():
    trio = Trio.load("static/models/scenes")
    for student in (trio.lfi, trio.baseline):
        parts = parts_of(student)
        inside = {id(weight) for _, part in parts for weight in part.parameters()}
        assert inside == {id(weight) for weight in student.parameters()}
        assert parts[0][0] == "the heads"


def test_a_spot_lies_in_the_centre():
    drawn = spot(torch.zeros(3, 5, 7))
    assert drawn.shape == (3, 5, 7)
    assert divmod(int(drawn[0].argmax()), 7) == (2, 3)
    assert drawn.sum((1, 2)).tolist() == pytest.approx([1, 1, 1])
    assert torch.allclose(drawn, drawn.flip(-1))


def test_a_figure_leaves_out_what_is_undefined():
    images = np.array([0, 0, 4, 4])
    assert figure(torch.tensor([1.0, float("nan"), 3.0, 2.0]), images, "x").value == pytest.approx(2)
    assert np.isnan(figure(torch.full((4,), float("nan")), images, "x").value)


def test_the_ratio_takes_the_floor_from_both():
    """Ours hits 3 of 4, theirs 2, the floor 1: (3 - 1) / (2 - 1)."""
    masks = torch.zeros(4, 8, 8, dtype=torch.bool)
    masks[:, :4, :4] = True
    hit, miss = torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0, 0], [0, 1.0]])
    maps = {
        "LFI": torch.stack([hit, hit, hit, miss]),
        "best": torch.stack([hit, hit, miss, miss]),
        "LFI, another image's": torch.stack([hit, miss, miss, miss]),
    }
    cases = WordMaps(maps["LFI"][None], masks, np.arange(4), np.array(["shape"] * 4), ("x",) * 4)
    results = Results("x", [0], {})
    against("best", maps, cases, results)
    assert results.figures["hit rate of LFI over best, both less the floor"].value == pytest.approx(2)
    assert not results.goals["hit rate of LFI over best, both less the floor"].holds
