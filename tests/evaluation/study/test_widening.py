"""Intervals hold with few raters: by simulation, and against the jackknife written out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from study_tables import crossed

from evaluation.study import grid
from evaluation.study.analysis import analyse
from evaluation.study.estimate import Estimate
from evaluation.study.montecarlo import holds
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratio import arms, consistency_ratio
from evaluation.study.widening import CLAIM_FROM, effective, ratio_interval, stretch, stretched

PLAN = AnalysisPlan(draws=300, secondary=())


@pytest.mark.parametrize("leaving", list(grid.LEAVING))
def test_five_raters_hold_the_truth_and_make_few_false_claims(leaving):
    """Leanings of 1.2: of 1,000 studies, 93 % and 2.5 % are beyond chance if the true figures are 97 % and 1.2 %."""
    widened, plain = grid.intervals(grid.Cell(5, 1.2, "middle", leaving), 1000, 200, seed=1)
    assert holds(widened, grid.TRUTH).mean() >= 0.93
    assert (widened[:, 0] > grid.TRUTH).mean() <= 0.025
    assert holds(plain, grid.TRUTH).mean() < 0.90
    assert (plain[:, 0] > grid.TRUTH).mean() > 0.05


def test_the_truth_of_the_grid_is_the_claim():
    """P(consistent) over very many raters and items, in the cell whose raters lean most."""
    cell = grid.Cell(40, 1.2, "middle", "nobody leaves")
    (above, below), counts = grid.simulate(cell, 400, np.random.default_rng(0))
    assert above.mean() == pytest.approx(0.54, abs=0.01)
    assert below.mean() == pytest.approx(0.2, abs=0.01)
    assert counts.all()


def test_those_who_leave_are_the_severe():
    cell = grid.Cell(40, 0.5, "middle", "severe raters leave early")
    (above, _), (counts, _) = grid.simulate(cell, 200, np.random.default_rng(0))
    shares = above.sum(-1) / np.maximum(counts.sum(-1), 1)
    stayed = counts.mean(-1) == 1
    assert 0.5 < stayed.mean() < 0.7
    assert shares[stayed].mean() > shares[~stayed].mean() + 0.1


def test_the_record_holds_every_cell_and_its_goals_are_of_the_worst():
    record = json.loads(Path("results/study-grid.json").read_text())
    assert min(cell.raters for cell in grid.cells()) == CLAIM_FROM, "claims are made only where something was measured"
    for raters in grid.RATERS:
        names = [cell.name for cell in grid.cells() if cell.raters == raters]
        covered = min(record["figures"][f"coverage, two-way: {name}"]["value"] for name in names)
        false = max(record["figures"][f"false claims, two-way: {name}"]["value"] for name in names)
        assert covered >= 93
        of_coverage = record["goals"][f"{raters} raters: coverage of at least 93 % everywhere"]
        of_claims = record["goals"][f"{raters} raters: false claims of at most 2.5 % everywhere"]
        assert (of_coverage["value"], of_coverage["holds"]) == (covered, True)
        assert (of_claims["value"], of_claims["holds"]) == (false, false <= 2.5)


def test_the_jackknife_is_that_of_the_textbook():
    """Student's t of the log ratio, leaving out one rater, and one item, at a time; a tenth wider."""
    rng = np.random.default_rng(3)
    counts = np.ones((6, 9))
    above, below = (rng.random((6, 9)) < 0.8).astype(float), (rng.random((6, 9)) < 0.5).astype(float)
    whole = np.log(above.mean() / below.mean())
    without_rater = [np.log(np.delete(above, r, 0).mean() / np.delete(below, r, 0).mean()) for r in range(6)]
    without_item = [np.log(np.delete(above, i, 1).mean() / np.delete(below, i, 1).mean()) for i in range(9)]
    of_raters = 5 / 4 * sum((one - whole) ** 2 for one in without_rater)
    of_items = 8 / 7 * sum((one - whole) ** 2 for one in without_item)
    freedom = (of_raters + of_items) ** 2 / (of_raters**2 / 4 + of_items**2 / 7)
    reach = 1.1 * stats.t.ppf(0.975, freedom) * np.sqrt(of_raters + of_items)
    low, high = ratio_interval((above, counts), (below, counts), 0.95, 100, np.random.default_rng(0))
    assert low <= np.exp(whole - reach) * (1 + 1e-9)
    assert high >= np.exp(whole + reach) * (1 - 1e-9)
    wider = ratio_interval((above, counts), (below, counts), 0.9999, 1, np.random.default_rng(0))  # one draw: no spread
    reach = 1.1 * stats.t.ppf(0.99995, freedom) * np.sqrt(of_raters + of_items)
    assert [float(bound) for bound in wider] == pytest.approx([np.exp(whole - reach), np.exp(whole + reach)])


def test_many_studies_at_once_are_the_single_ones():
    rng = np.random.default_rng(0)
    hits = (rng.random((2, 3, 5, 8)) < [[[[0.7]]], [[[0.4]]]]).astype(float)
    counts = np.ones((3, 5, 8))
    low, high = ratio_interval((hits[0], counts), (hits[1], counts), 0.95, 200, np.random.default_rng(1))
    for study in range(3):
        one = ratio_interval(
            (hits[0, study], counts[0]), (hits[1, study], counts[0]), 0.95, 200, np.random.default_rng(1)
        )
        assert (low[study], high[study]) == pytest.approx(tuple(map(float, one)))


def test_the_interval_holds_that_of_raters_who_weigh_the_same():
    """One rater gave nine tenths of the ratings, and is the only one who sees no difference."""
    rng = np.random.default_rng(0)
    counts = np.zeros((8, 60))
    counts[0], counts[1:, :7] = 1, 1
    above = counts * (rng.random(counts.shape) < 0.9)
    below = counts * (rng.random(counts.shape) < np.r_[0.9, np.full(7, 0.2)][:, None])
    alike = np.divide(above.sum(1), counts.sum(1)).mean() / np.divide(below.sum(1), counts.sum(1)).mean()
    low, high = ratio_interval((above, counts), (below, counts), 0.95, 300, np.random.default_rng(0))
    assert alike > 2.5
    assert low < above.sum() / below.sum() < alike < high


def test_stretching_follows_student():
    assert float(stretch(5, 0.95)) == pytest.approx(3.182446 / 1.959964 * np.sqrt(5 / 3))
    assert float(stretch(1000, 0.95)) == pytest.approx(1, abs=0.005)
    assert float(stretch(2, 0.95)) == np.inf
    assert [float(x) for x in stretched(2.0, 1.0, 4.0, 2.0, "log")] == pytest.approx([0.5, 8])
    assert [float(x) for x in stretched(0.5, 0.4, 0.6, np.inf, "logit")] == [0, 1]
    assert [float(x) for x in stretched(1.0, 0.7, 1.0, 2.0, "logit")] == [0.7, 1]


def test_raters_with_unequal_numbers_of_ratings_count_as_fewer():
    assert float(effective(np.ones((7, 3)))) == 7
    assert float(effective(np.array([[8.0], [1], [1]]))) == pytest.approx(100 / 66)


def test_two_raters_bound_nothing():
    table = crossed(lambda c, rater, item: (rater + item) % 10 < (9 if c == "lfi" else 2), raters=2, items=30)
    found = consistency_ratio(arms(table), PLAN).estimate
    assert (found.low, found.high) == (0, np.inf)


@pytest.mark.parametrize(("raters", "claimed"), [(4, False), (5, True)])
def test_fewer_raters_than_were_measured_make_no_claim(raters, claimed):
    """Whatever the interval says."""
    table = crossed(lambda c, _, item: item % 20 < (19 if c == "lfi" else 3), raters=raters, items=200)
    found = analyse(table, PLAN)
    assert found.primary.raters == raters
    sure = replace(found, primary=replace(found.primary, estimate=Estimate(6.3, 5.0, 8.0)))
    assert sure.claim_holds == claimed
    assert ("“At least 2.7 times” is withheld: 4 raters are too few, 5 are needed." in sure.verdict) != claimed


def test_a_model_that_is_always_consistent_has_no_interval_of_width_zero():
    table = crossed(lambda c, rater, item: c == "lfi" or (rater + item) % 2 == 0, raters=10, items=10)
    found = analyse(table, PLAN)
    assert found.shares["lfi"].low == pytest.approx(0.025**0.1)
    assert found.primary.sparse == "every rating of lfi is consistent"
    assert found.primary.estimate.low < 2 * 0.0125**0.1 < 2 < found.primary.estimate.high
