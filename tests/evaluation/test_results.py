"""Figures carry intervals and provenance, and the README shows what was recorded."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.convergence import steps_to
from evaluation.report import markdown, rewrite
from evaluation.results import Goal, Results, over_clusters, over_seeds, ratio_over_clusters
from evaluation.scenes import SceneRun, pointing, summarise
from evaluation.summary import ROWS, summary
from lfi.errors import DataError
from lfi.trio import Trio

ROOT = Path(__file__).parents[2]


def test_an_interval_over_three_seeds_is_students_t():
    figure = over_seeds([1.0, 2.0, 3.0], "x")
    assert (figure.value, figure.low, figure.high) == pytest.approx(
        (2, 2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-4
    )
    assert np.isnan(over_seeds([1.0], "x").low)


def test_an_interval_over_clusters_is_wider_when_cases_repeat_each_other():
    values = np.random.default_rng(0).random(60)
    alone = over_clusters(values, np.arange(60), "x")
    repeated = over_clusters(values.repeat(5), np.arange(60).repeat(5), "x")
    as_if_new = over_clusters(values.repeat(5), np.arange(300), "x")
    assert repeated.value == pytest.approx(alone.value)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert as_if_new.high - as_if_new.low < 0.6 * (repeated.high - repeated.low)


def test_one_cluster_has_no_interval_and_gaps_in_their_numbers_are_no_clusters():
    one = over_clusters(np.array([0.0, 1.0]), np.array([4, 4]), "x")
    assert one.value == 0.5
    assert np.isnan([one.low, one.high]).all()
    values = np.random.default_rng(0).random(20)
    assert over_clusters(values, 7 * np.arange(20), "x") == over_clusters(values, np.arange(20), "x")
    ratio = ratio_over_clusters(np.array([2.0, 2.0]), np.array([1.0, 1.0]), np.array([4, 4]))
    assert ratio.value == 2
    assert np.isnan([ratio.low, ratio.high]).all()


def test_a_gain_over_nothing_is_infinite_and_nothing_over_nothing_is_no_lead():
    few = np.array([1.0, 0.0, 1.0, 1.0])
    assert ratio_over_clusters(few, few / 2, np.arange(4)).value == 2
    assert ratio_over_clusters(few, -few, np.arange(4)).value == np.inf
    neither = ratio_over_clusters(-few, -few, np.arange(4))
    assert (neither.value, neither.low, neither.high) == (0, 0, 0)


def test_steps_to_a_score_are_interpolated_and_infinite_if_never():
    assert steps_to([(10, 5.0), (20, 15.0)], 10.0) == pytest.approx(15)
    assert steps_to([(10, 5.0)], 4.0) == pytest.approx(8)
    assert steps_to([(10, 5.0)], 6.0) == float("inf")


def run(method, seed, score):
    return SceneRun(method, seed, score, [(10, score / 2), (20, score)], {})


def test_the_best_result_oriented_student_is_the_one_to_beat():
    results = Results("test", [0, 1], {"x": 1})
    scores = {"logit KD": 10.0, "feature KD": 12.0, "queries only": 9.0, "shuffled maps": 13.0, "LFI": 16.0}
    summarise([run(method, seed, score + seed) for method, score in scores.items() for seed in (0, 1)], results)
    gains = {name: goal.value for name, goal in results.goals.items() if name.startswith("LFI minus")}
    assert gains == {
        "LFI minus best result-oriented (feature KD)": pytest.approx(4),
        "LFI minus queries only": pytest.approx(7),
        "LFI minus shuffled maps": pytest.approx(3),
    }
    assert [goal.holds for goal in results.goals.values()][:3] == [True, True, False]


def test_each_side_of_the_ratio_of_hits_has_its_own_floor():
    def pointed(method, **rates):
        return replace(run(method, 0, 1.0), pointing=rates)

    ours = pointed("LFI", **{"word-addressed query": 0.7, "floor": 0.1})
    theirs = {"gradient": 0.5, "gradient, floor": 0.2, "rollout": 0.4, "rollout, floor": 0.6}
    results = Results("test", [0], {"x": 1})
    pointing([ours, pointed("feature KD", **theirs)], results)
    assert results.figures["the same, each less its floor (feature KD, gradient)"].value == pytest.approx(0.6 / 0.3)
    for floor in ({}, {"gradient, floor": 0.5}):
        results = Results("test", [0], {"x": 1})
        pointing([ours, pointed("feature KD", gradient=0.5, **floor)], results)
        assert not [name for name in results.figures if "less its floor" in name]


def test_a_record_keeps_nan_as_null_and_a_missed_goal_as_missed(tmp_path):
    results = Results("lfi evaluate x", [0], {"things": 3})
    results.figures["one"] = over_seeds([1.0], "%")
    results.goals["one"] = Goal(1.0, 2.0, False)
    results.write(tmp_path / "x.json")
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["figures"]["one"] == {"value": 1.0, "low": None, "high": None, "unit": "%"}
    assert {"command", "commit", "date", "hardware", "seeds", "n", "figures", "goals", "title"} == set(record)
    assert "**missed**" in markdown(record)


def test_a_table_without_a_record_is_refused(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results: nothing -->\nold\n<!-- end -->")
    with pytest.raises(DataError, match=r"no .*nothing\.json"):
        rewrite(readme, tmp_path)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_pages_show_the_recorded_results(tmp_path, page):
    copy = tmp_path / page.name
    copy.write_text(page.read_text())
    tables = rewrite(copy, ROOT / "results")
    assert len(tables) == page.read_text().count("<!-- end -->")
    assert copy.read_text() == page.read_text(), "run `make results`"


def test_the_summary_shows_each_goal_with_its_interval_and_a_missed_one_as_missed(tmp_path):
    table = summary(ROOT / "results", lambda value: f"{value:.3f}").splitlines()
    assert len(table) == 2 + len(ROWS) == 2 + 10
    record = json.loads((ROOT / "results" / "scenes.json").read_text())
    goal, figure = record["goals"][ROWS[0].goal], record["figures"][ROWS[0].figure]
    cells = [cell.strip() for cell in table[2].strip("|").split("|")]
    assert cells[1:4] == [f"{goal['goal']:.3f}", f"{goal['value']:.3f}", f"{figure['low']:.3f} to {figure['high']:.3f}"]
    verdicts = {line.strip("|").split("|")[-1].strip() for line in table[2:]}
    assert verdicts == {"met", "**missed**"}
    for row in ROWS:
        found = json.loads((ROOT / "results" / f"{row.record}.json").read_text())
        value = found["goals"][row.goal]["value"]
        assert found["figures"][row.figure]["value"] == value, f"{row.label}: the interval is of another value"


def test_a_summary_without_a_record_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no .*scenes\.json"):
        summary(tmp_path, str)
    (tmp_path / "scenes.json").write_text('{"goals": {}, "figures": {}}')
    with pytest.raises(DataError, match=r"LFI minus best result-oriented.*does not have it"):
        summary(tmp_path, str)


def test_goals_alone_leave_out_the_figures():
    record = json.loads((ROOT / "results" / "scenes.json").read_text())
    short, whole = markdown(record, goals_only=True), markdown(record)
    assert "mAP, LFI |" in whole
    assert "mAP, LFI |" not in short
    assert "| convergence | 7.00 |" in short
    assert record["command"] in short


def test_every_record_has_the_agreed_form():
    for path in sorted((ROOT / "results").glob("*.json")):
        record = json.loads(path.read_text())
        more = {"chosen"} if record["command"].startswith("lfi benchmark tune") else set()  # methods to train with
        more |= {"models"} & set(record)  # that ship
        fields = {"command", "commit", "date", "hardware", "seeds", "n", "figures", "goals", "title"}
        assert set(record) == fields | more, path
        assert all(set(figure) == {"value", "low", "high", "unit"} for figure in record["figures"].values())
        assert all(set(goal) == {"value", "goal", "holds"} for goal in record["goals"].values())
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])


def test_the_photographs_are_recorded_of_the_models_that_ship():
    record = json.loads((ROOT / "results" / "photographs.json").read_text())
    assert record["models"] == Trio.load(ROOT / "static" / "models" / "photographs").fingerprints
