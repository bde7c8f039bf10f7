"""What the table of the benchmark of transfer says is what its runs say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from transfer_runs import run

from evaluation.report import markdown
from evaluation.results import Results
from evaluation.transfer_table import AVERAGES, plot, summarise
from lfi.methods import (
    BEST_OWN_WORDS,
    BEST_QUERIES,
    BEST_SHUFFLED,
    CONTROLS_OF_THE_BEST,
    OWN_WORDS,
    PATCHES,
    SHUFFLED,
    UNSHUFFLED,
    WIDER,
)


def test_gains_are_paired_by_seed_and_measured_against_the_best_result_oriented_method():
    part = "TinyImageNet 10% of labels"
    scores = {
        "no distillation": (1, 2),
        "logit KD": (10, 20),
        "feature KD": (5, 6),
        "queries only": (3, 3),
        "shuffled maps": (4, 4),
        "LFI": (14, 26),
    }
    runs = [run(part, method, seed, score) for method, row in scores.items() for seed, score in enumerate(row)]
    runs = [replace(each, step=0.2, parameters=110) if each.method == "LFI" else each for each in runs]
    results = Results("c", [0, 1], {"runs": len(runs)})
    summarise(runs, results)
    assert results.figures[f"{part}: LFI less logit KD"].value == 5
    assert results.figures[f"{part}: LFI less queries only"].value == 17
    assert results.goals[f"{part}: LFI less logit KD"].holds
    # LFI's curve is at half its score after 10 of 20 steps; logit KD's last score is reached in between
    steps = results.figures[f"{part}: steps of logit KD over those of LFI to the same score"].value
    expected = np.mean([20 / (10 + 10 * (10 - 7) / 7), 20 / (10 + 10 * (20 - 13) / 13)])
    assert steps == pytest.approx(expected)
    seconds = results.figures[f"{part}: seconds of logit KD over those of LFI to the same score"].value
    assert seconds == pytest.approx(expected / 2)
    to = f"{part}, steps to the final score of logit KD"
    assert results.figures[f"{to}: logit KD"].value == 20
    assert results.figures[f"{to}: LFI"].value == pytest.approx(np.mean([10 + 30 / 7, 10 + 70 / 13]))
    assert math.isnan(results.figures[f"{to}: feature KD"].value)  # it never gets there
    wall = f"{part}, seconds to the final score of logit KD: LFI"
    assert results.figures[wall].value == pytest.approx(np.mean([10 + 30 / 7, 10 + 70 / 13]) * 0.2)
    assert results.figures["step time: LFI"].value == pytest.approx(2)
    assert results.figures["parameters: LFI"].value == pytest.approx(1.1)
    assert math.isnan(results.figures["parameters: LFI"].low)


def test_the_lead_over_shuffled_maps_the_best_score_and_the_last_fifth_have_goals():
    part = "TinyImageNet 10% of labels"
    scores = {"DIST + feature KD": 20, UNSHUFFLED: 26, SHUFFLED: 25.5, OWN_WORDS: 24, PATCHES: 21}
    curve = [(step, 18 + step / 10) for step in range(2, 21, 2)]
    ahead = [(min(step + 1, 20), score + 2) for step, score in curve]  # another version measured a step later
    runs = [
        replace(run(part, method, 0, score), curve=ahead if method == UNSHUFFLED else curve)
        for method, score in scores.items()
    ]
    results = Results("c", [0], {"runs": len(runs)})
    summarise(runs, results)
    lead = results.goals[f"{part}: {UNSHUFFLED} less {SHUFFLED}"]
    assert (lead.value, lead.goal, lead.holds) == (0.5, 1.0, False)
    lead = results.goals[f"{part}: {UNSHUFFLED} less {OWN_WORDS}"]
    assert (lead.value, lead.goal, lead.holds) == (2.0, 1.0, True)
    best = results.goals[f"{part}: the best student"]
    assert (best.value, best.goal, best.holds) == (26, 25, True)
    late = results.goals[f"{part}: gain of DIST + feature KD in the last fifth of its steps, at most"]
    assert (late.value, late.goal, late.holds) == (pytest.approx(0.4), 0.3, False)
    assert results.figures[f"{part}: {UNSHUFFLED} less {PATCHES}"].value == 5
    early = results.figures[f"{part}, after 40% of the steps: {UNSHUFFLED} less DIST + feature KD"]
    assert early.value == pytest.approx(2)
    assert results.figures[f"step time: {UNSHUFFLED}"].unit == "ratio to DIST + feature KD"


def test_a_control_is_compared_with_the_lfi_that_copies_the_same_outputs():
    part = "TinyImageNet 10% of labels"
    scores = {"DIST + feature KD": 9, "queries only": 3, "shuffled maps": 4, "LFI": 5, UNSHUFFLED: 12, SHUFFLED: 11}
    scores[WIDER] = 10
    results = Results("c", [0], {"runs": len(scores)})
    summarise([run(part, method, 0, score) for method, score in scores.items()], results)
    gains = {name.removeprefix(f"{part}: "): each.value for name, each in results.figures.items() if " less " in name}
    assert gains == {
        "LFI less DIST + feature KD": -4,
        f"{UNSHUFFLED} less DIST + feature KD": 3,
        "LFI less queries only": 2,
        "LFI less shuffled maps": 1,
        f"{UNSHUFFLED} less {SHUFFLED}": 1,
        f"LFI less {WIDER}": -5,
        f"{UNSHUFFLED} less {WIDER}": 2,
    }


def test_controls_of_tuned_methods_belong_to_the_one_with_their_weights():
    part, tuned = "TinyImageNet 10% of labels", UNSHUFFLED
    copied = {tuned: 0.3, "LFI + DIST + feature KD": 0.7, **dict.fromkeys(CONTROLS_OF_THE_BEST, 0.3)}
    differs = {BEST_QUERIES: {"naming": 0}, BEST_SHUFFLED: {"shuffle": True}, BEST_OWN_WORDS: {"own_words": True}}
    trained = {name: {"feature_kd": weight, "naming": 1, **differs.get(name, {})} for name, weight in copied.items()}
    scores = dict(zip(copied, (10, 20, 6, 7, 8, 9.5), strict=True))
    runs = [run(part, name, 0, score, trained={"objective": trained[name]}) for name, score in scores.items()]
    results = Results("c", [0], {"runs": len(runs)})
    summarise(runs, results)
    gains = {name.removeprefix(f"{part}: "): each.value for name, each in results.figures.items() if " less " in name}
    assert gains == {f"{tuned} less {name}": 10 - scores[name] for name in CONTROLS_OF_THE_BEST}
    assert {name: goal.holds for name, goal in results.goals.items() if " less the best" in name} == {
        f"{part}: {tuned} less {BEST_SHUFFLED}": True,
        f"{part}: {tuned} less {BEST_OWN_WORDS}": False,
    }


def test_an_ablation_without_plain_lfi_is_compared_with_nothing():
    part = "TinyImageNet 10% of labels"
    scores = {"DIST + feature KD": 9, UNSHUFFLED: 12, "4 queries": 11}
    results = Results("c", [0], {"runs": len(scores)})
    summarise([run(part, method, 0, score) for method, score in scores.items()], results)
    gains = {name: each.value for name, each in results.figures.items() if " less " in name}
    assert gains == {f"{part}: {UNSHUFFLED} less DIST + feature KD": 3}
    assert results.figures[f"{part}: 4 queries"].value == 11


def test_methods_without_a_seed_in_common_have_no_gain_and_miss_no_goal():
    part = "TinyImageNet 10% of labels"
    results = Results("c", [0, 1], {"runs": 3})
    runs = [run(part, "DIST + feature KD", 0, 9), run(part, UNSHUFFLED, 1, 12), run(part, SHUFFLED, 0, 11)]
    summarise([replace(each, curve=[(step, step) for step in range(1, 7)]) for each in runs], results)
    assert not [name for name in (*results.figures, *results.goals) if " less " in name]
    assert not [name for name, goal in results.goals.items() if np.isnan(goal.value)]


def test_what_a_method_learnt_at_zero_percent_makes_no_speed(tmp_path):
    part = "TinyImageNet 10% of labels"
    results = Results("c", [0], {"runs": 2})
    summarise([run(part, "DIST + feature KD", 0, 0), run(part, UNSHUFFLED, 0, 2)], results)
    assert results.goals[f"{part}: the best student"].value == 2, "without controls, too"
    assert not any(name.startswith(f"{part}: steps of") for name in (*results.goals, *results.figures))


def test_pacs_is_averaged_over_its_four_domains_within_a_seed(tmp_path):
    domains = ("art_painting", "cartoon", "photo", "sketch")
    runs = [
        run(f"PACS without {domain}", method, seed, score + 10 * index + seed)
        for index, domain in enumerate(domains)
        for seed in (0, 1)
        for method, score in (("no distillation", 15), ("logit KD", 20), ("LFI", 23))
    ]
    results = Results("c", [0, 1], {"runs": len(runs)}, title="tiny: a test")
    summarise(runs, results)
    assert results.figures[f"{AVERAGES['PACS']}: LFI"].value == pytest.approx(23 + 15 + 0.5)
    assert results.goals[f"{AVERAGES['PACS']}: LFI less logit KD"].value == pytest.approx(3)
    text = markdown(results.record())
    assert "**tiny: a test**" in text
    assert "| LFI |" in text
    plot(runs, tmp_path / "domains.svg", "tiny")
    plot([*runs, run("TinyImageNet", "LFI", 0, 23)], tmp_path / "both.svg", "tiny")
    drawn = {name: (tmp_path / f"{name}.svg").read_text() for name in ("domains", "both")}
    assert {name: "<!-- PACS without photo -->" in svg for name, svg in drawn.items()} == {
        "domains": True,
        "both": False,
    }
    assert all("<!-- PACS, mean of held-out -->" in svg for svg in drawn.values())


def test_ablations_are_compared_with_lfi_where_no_baseline_was_trained(tmp_path):
    domains = ("art_painting", "cartoon", "photo", "sketch")
    runs = [
        run(f"PACS without {domain}", method, seed, score + seed, parameters=count, step=seconds)
        for domain in domains
        for seed in (0, 1)
        for method, score, count, seconds in (("LFI", 23, 100, 0.1), ("no relation", 20, 90, 0.08))
    ]
    results = Results("c", [0, 1], {"runs": len(runs)}, title="an ablation")
    summarise(runs, results)
    assert results.figures[f"{AVERAGES['PACS']}: no relation"].value == pytest.approx(20.5)
    assert results.figures[f"{AVERAGES['PACS']}: no relation less LFI"].value == pytest.approx(-3)
    assert results.figures["parameters: no relation"].value == pytest.approx(0.9)
    assert results.figures["step time: no relation"].value == pytest.approx(0.8)
    assert results.figures["step time: no relation"].unit == "ratio to LFI"
    assert not results.goals
    plot(runs, tmp_path / "ablation.png", "an ablation")
    assert (tmp_path / "ablation.png").stat().st_size > 5000


def test_where_students_look_has_parts_and_units_of_its_own():
    first = run("TinyImageNet 10% of labels", "LFI", 0, 20.0, scores={"top-1": 20.0, "boxes": 60.0, "canvases": 50.0})
    second = replace(first, method="DIST", scores={"top-1": 19.0, "boxes": 50.0, "canvases": 45.0})
    results = Results("", [0], {})
    summarise([first, second], results)
    assert results.figures["peaks in boxes of under half of the image: LFI less DIST"].value == pytest.approx(10)
    assert results.figures["peaks in the right photograph of a canvas: LFI"].unit == "% of words"
    assert not any("peaks" in name for name in results.goals)
    fewer = replace(first, part="TinyImageNet 1% of labels", scores={"top-1": 9.0, "boxes": 30.0})
    both = Results("", [0], {})
    summarise([first, fewer], both)
    boxes = "peaks in boxes of under half of the image, TinyImageNet {} of labels: LFI"
    assert both.figures[boxes.format("10%")].value == 60
    assert both.figures[boxes.format("1%")].value == 30
    assert both.figures[boxes.format("1%")].unit == "% of words"
