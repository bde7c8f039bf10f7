"""Simulated raters behave as their population says."""

import math

import numpy as np
import pytest

from evaluation.study.design import latin_design
from evaluation.study.raters import Population, SimulatedRater, levels
from evaluation.study.ratings import CONSISTENT_FROM
from evaluation.study.simulation import is_simulated, simulate_table
from lfi.errors import ConfigError


@pytest.mark.parametrize("scale", [5, 3])
def test_the_true_shares_are_those_asked_for(scale):
    population = Population(lapses=0.0 if scale == 3 else 0.1, sensitivity=0.4, bias=1.0)
    rng = np.random.default_rng(0)
    raters, items = population.draw_raters((3000, 8), rng), population.draw_items((3000, 8), rng)
    given = levels(population.latent(raters, items), raters.lapses[..., None, None], scale, rng)
    found = (given >= CONSISTENT_FROM[scale]).mean((0, 1, 2))
    assert dict(zip(population.conditions, found, strict=True)) == pytest.approx(dict(population.consistent), abs=0.01)
    assert set(np.unique(given)) == set(range(1, scale + 1))


def test_a_rater_is_reproducible_and_shares_items_with_others():
    population = Population(lapses=0.0, bias=0.0, leaning=0.0, sensitivity=0.0, fit=3.0)
    one, same = SimulatedRater(population, 3, 7), SimulatedRater(population, 3, 7)
    asked = [(f"i{n}", "lfi") for n in range(20)]
    assert [one.rate(*each) for each in asked] == [same.rate(*each) for each in asked]
    others = [[SimulatedRater(population, 3, n).rate(*each).value for each in asked] for n in range(60)]
    by_item = np.array(others).mean(0)
    assert by_item.std() > 0.8  # items differ, and all raters agree on which


def test_single_answers_have_the_populations_share():
    population = Population()
    given = [SimulatedRater(population, seed, seed).rate("i", "lfi").value >= 4 for seed in range(4000)]
    assert np.mean(given) == pytest.approx(0.6, abs=0.025)


def test_better_maps_win_pairs_and_the_liked_side_wins_ties():
    population = Population(side=1.0, tie=0.5, lapses=0.0)
    raters = [SimulatedRater(population, seed, seed) for seed in range(600)]
    won = [rater.choose("i", "baseline", "lfi").value for rater in raters]
    same = [rater.choose("i", "lfi", "lfi").value for rater in raters]
    assert won.count("right") > 2 * won.count("left")
    assert same.count("left") > 1.5 * same.count("right")
    assert 0 < same.count("none") < 300


def test_careless_raters_fail_catch_trials_and_answer_fast():
    shares = {"lfi": 0.5, "baseline": 0.4}
    answers = {
        lapses: [SimulatedRater(Population(shares, lapses=lapses), n, n).catch(5, 1) for n in range(400)]
        for lapses in (0.0, 0.5)
    }
    failed = {lapses: np.mean([each.value == 1 for each in given]) for lapses, given in answers.items()}
    times = {lapses: np.median([each.response_ms for each in given]) for lapses, given in answers.items()}
    assert failed[0.0] < 0.04 < 0.15 < failed[0.5]
    assert times[0.5] < times[0.0]


def test_some_drop_out_click_twice_or_are_slow():
    population = Population(drop_out=0.2, double_clicks=0.3, slow=0.25)
    raters = [SimulatedRater(population, 0, n) for n in range(500)]
    assert np.mean([rater.leaves_after(40) < 40 for rater in raters]) == pytest.approx(0.2, abs=0.06)
    assert np.mean([rater.rate("i", "lfi").clicks == 2 for rater in raters]) == pytest.approx(0.3, abs=0.07)
    assert np.mean([rater.network_s() > 0.3 for rater in raters]) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"consistent": {"lfi": 1.0}}, r"P\(consistent\) of lfi is 1.0"),
        ({"consistent": {"ours": 0.5}}, "unknown condition ours"),
        ({"lapses": 1.0}, "lapses of the simulated raters is 1.0; below 1"),
        ({"bias": -1.0}, "bias of the simulated raters is -1.0; 0 or more"),
        ({"bias": math.inf}, "bias of the simulated raters is inf; 0 or more"),
        ({"leaning": 1000.0}, "leaning of the simulated raters is 1000.0; at most 10"),
    ],
)
def test_impossible_populations_are_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        Population(**values)


def test_shares_that_no_effect_gives_are_refused():
    wide = Population(bias=10, leaning=10, ease=10, fit=10, lapses=0.0, consistent={"lfi": 1e-4, "baseline": 0.5})
    with pytest.raises(ConfigError, match="no effect makes"):
        assert wide.effects


def test_a_latin_design_fills_every_cell_evenly_and_shows_nobody_a_cell_twice():
    for raters, items, conditions, trials in ((12, 8, 4, 8), (7, 10, 4, 5), (9, 6, 4, 13), (5, 4, 3, 12)):
        design = latin_design(raters, items, conditions, trials)
        cells = design[..., 0] * conditions + design[..., 1]
        counts = np.bincount(cells.ravel(), minlength=items * conditions)
        assert counts.max() - counts.min() <= 1
        assert all(len(set(row)) == trials for row in cells.tolist())
    with pytest.raises(ConfigError, match="allow fewer"):
        latin_design(2, 3, 4, 13)


def test_a_simulated_table_is_a_table_that_says_so():
    table = simulate_table(Population(drop_out=0.0), 8, 6, pairs=4, catches=2, practice=1)
    assert is_simulated(table)
    assert len(table) == 8 * (24 + 4 + 2 + 1)
    ratings = table[(table["kind"] == "rating") & ~table["catch"] & ~table["practice"]]
    assert (ratings.groupby(["item", "condition"]).size() == 8).all()
    pairs = table[table["kind"] == "pair"]
    assert (pairs["left"] == "lfi").sum() == (pairs["right"] == "lfi").sum() == 16
    with pytest.raises(ConfigError, match="0 raters"):
        simulate_table(Population(), 0, 5)
