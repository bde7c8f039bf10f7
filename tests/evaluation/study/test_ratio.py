"""The ratio's interval covers what it says, and honest bounds remain where nothing was ever consistent."""

import numpy as np
import pytest
from study_tables import crossed, rating

from evaluation.study import montecarlo
from evaluation.study.bootstrap import divide, interval, two_way_totals
from evaluation.study.estimate import Estimate
from evaluation.study.montecarlo import simulate_intervals
from evaluation.study.plan import AnalysisPlan
from evaluation.study.raters import Population
from evaluation.study.ratings import as_ratings
from evaluation.study.ratio import arms, consistency_ratio, consistent_shares
from lfi.errors import DataError

PLAN = AnalysisPlan(draws=1000)


def ratio_of(table):
    return consistency_ratio(arms(table), PLAN)


@pytest.mark.parametrize("trials", [160, 80])
def test_the_interval_covers_the_truth_where_rows_as_independent_do_not(trials):
    """30 raters, 40 items, random slopes: at 400 studies, 93-99 % and below 80 % are beyond chance."""
    population = Population(bias=0.9, leaning=0.4, ease=0.9, fit=0.7)
    two_way, rows = simulate_intervals(population, 30, 40, trials, 400, draws=400).coverage(population.ratio)
    assert 0.93 <= two_way.value <= 0.995  # 200 studies; intervals are widened for few raters
    assert rows.value < 0.80


def test_planning_knows_the_exact_bounds_of_sparse_arms(monkeypatch):
    """A baseline that is hardly ever consistent: resampling alone promises a power that the analysis does not have."""
    population = Population(lapses=0.0, consistent={"lfi": 0.3, "baseline": 0.01})

    def simulated():
        return simulate_intervals(population, 20, 20, 40, 30, draws=200)

    found = simulated()
    monkeypatch.setattr(montecarlo, "with_exact_bounds", lambda resampled, *_: (Estimate(1.0, *resampled), ""))
    alone = simulated()
    assert found.power(2.7).value < alone.power(2.7).value - 0.2


def test_the_ratio_is_that_of_the_shares():
    found = ratio_of(crossed(lambda condition, rater, item: item < (6 if condition == "lfi" else 2)))
    assert found.estimate.value == pytest.approx(3)
    assert found.even.value == pytest.approx(3)
    assert found.estimate.low <= 3 <= found.estimate.high


def test_swapping_the_conditions_turns_the_interval_around():
    table = crossed(lambda condition, rater, item: (rater + 3 * item) % 10 < (6 if condition == "lfi" else 3))
    one = consistency_ratio(arms(table), PLAN).estimate
    other = consistency_ratio(arms(table), PLAN, "baseline", "lfi").estimate
    assert (1 / other.value, 1 / other.high, 1 / other.low) == pytest.approx((one.value, one.low, one.high))


def test_raters_who_copy_each_other_add_nothing():
    """Ten copies of one rater know no more of the items than that rater."""
    widths = []
    for raters in (10, 40):
        table = crossed(lambda c, r, item: item % 10 < (7 if c == "lfi" else 3), raters=raters, items=20)
        found = consistency_ratio(arms(table), PLAN).estimate
        widths.append(np.log(found.high / found.low))
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_a_baseline_that_was_never_consistent_has_no_upper_bound_and_a_modest_lower_one():
    found = ratio_of(crossed(lambda condition, rater, item: condition == "lfi" and (rater + item) % 2 == 0))
    assert found.estimate.value == float("inf")
    assert found.estimate.high == float("inf")
    # none of 10 raters (items): at 97.5 %, P <= 1 - .0125 ** .1; LFI's own bound is below .5
    assert 0 < found.estimate.low < 0.5 / (1 - 0.0125**0.1)
    assert "baseline come from 0 raters" in found.sparse


def test_lfi_that_was_never_consistent_bounds_the_ratio_from_above():
    found = ratio_of(crossed(lambda condition, rater, item: condition == "baseline" and (rater + item) % 2 == 0))
    assert (found.estimate.value, found.estimate.low) == (0, 0)
    assert 0.3 < found.estimate.high < float("inf")


def test_nothing_consistent_at_all_gives_no_ratio():
    found = ratio_of(crossed(lambda *_: False))
    assert np.isnan(found.estimate.value)
    assert (found.estimate.low, found.estimate.high) == (0, float("inf"))


def test_few_consistent_ratings_do_not_pass_for_a_claim():
    """The bootstrap alone cannot see a baseline share that one lucky rating made small."""
    found = ratio_of(crossed(lambda c, rater, item: rater < 9 if c == "lfi" else rater == item == 0))
    assert found.estimate.value == pytest.approx(90)
    assert found.estimate.low < 2
    assert found.sparse


def test_shares_of_none_and_all_keep_an_interval():
    found = consistent_shares(arms(crossed(lambda condition, *_: condition == "lfi")), PLAN)
    assert (found["baseline"].low, found["baseline"].high) == pytest.approx((0, 1 - 0.025**0.1))
    assert (found["lfi"].low, found["lfi"].high) == pytest.approx((0.025**0.1, 1))


def test_an_item_rated_more_often_weighs_more_only_in_the_pooled_ratio():
    rows = [rating(f"r{n}", "easy", "lfi", 5) for n in range(8)] + [rating(f"r{n}", "hard", "lfi", 1) for n in range(2)]
    rows += [rating(f"r{n}", item, "baseline", value) for n in range(2) for item, value in (("easy", 5), ("hard", 1))]
    found = ratio_of(as_ratings(rows))
    assert found.estimate.value == pytest.approx(0.8 / 0.5)
    assert found.even.value == pytest.approx(1)


def test_a_missing_condition_is_named():
    table = as_ratings([rating("r", "i", "lfi", 5)])
    with pytest.raises(DataError, match="no ratings of baseline are left to analyse; there are some of lfi"):
        consistency_ratio(arms(table), PLAN)


def test_undefined_draws_count_against_both_bounds():
    draws = divide(np.array([1.0, 1, 1, 0, 2]), np.array([1.0, 1, 0, 0, 1]))
    assert interval(draws, 0.9) == (-np.inf, np.inf)
    assert interval(np.array([0.5, 1, 2, np.inf]), 0.9) == (0.5, np.inf)


def test_two_way_totals_keep_their_mean():
    values = np.arange(24.0).reshape(2, 3, 4)
    totals = two_way_totals(values, 20000, np.random.default_rng(0))
    assert totals.mean(0) == pytest.approx(values.sum((1, 2)), rel=0.02)
