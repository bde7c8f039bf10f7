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


def compared(ours, theirs, our_floor, their_floor, masked=6):
    """The figure and goal of maps of six words that hit as often as told, first ones first."""
    masks = torch.zeros(6, 8, 8, dtype=torch.bool)
    masks[:masked, :4, :4] = True
    hit, miss = torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0, 0], [0, 1.0]])
    hits = {"LFI": ours, "best": theirs, "LFI, another image's": our_floor, "baseline, another image's": their_floor}
    maps = {name: torch.stack([hit] * count + [miss] * (6 - count)) for name, count in hits.items()}
    cases = WordMaps(maps["LFI"][None], masks, np.arange(6), np.array(["shape"] * 6), ("x",) * 6)
    results = Results("x", [0], {})
    against("best", maps, cases, results)
    name = "hit rate of LFI over best, both less the floor"
    return results.figures[name], results.goals[name]


def test_the_ratio_takes_from_each_its_own_floor():
    figure, goal = compared(5, 4, 1, 2)
    assert figure.value == pytest.approx((5 - 1) / (4 - 2))
    assert not goal.holds


def test_a_baseline_at_its_floor_has_no_finite_ratio_and_two_at_their_floors_no_lead():
    figure, goal = compared(5, 2, 1, 2)
    assert (figure.value, figure.high, goal.holds) == (np.inf, np.inf, True)
    figure, goal = compared(1, 2, 1, 2)
    assert (figure.value, figure.low, goal.holds) == (0, 0, False)


def test_words_without_a_mask_take_no_part_in_the_ratio():
    figure, _ = compared(4, 3, 1, 2, masked=5)
    assert figure.value == pytest.approx((4 - 1) / (3 - 2))
    assert np.isfinite([figure.low, figure.value]).all()
