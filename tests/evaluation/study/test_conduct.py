"""Looking early costs what it must, and no more looks err than one."""

from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats
from study_tables import crossed

from evaluation.study.analysis import analyse
from evaluation.study.conduct import Conduct, Look, confidence, next_look, part, spending
from evaluation.study.plan import AnalysisPlan, register
from lfi.errors import ConfigError

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = AnalysisPlan()


def looked(*planned):
    return tuple(Look(AT, 10 * number, which) for number, which in enumerate(planned, 1))


def test_spending_is_lan_and_demets():
    """Boundary of the first of two looks at .05: z = 2.963 (Lan and DeMets 1983; Jennison and Turnbull 2000)."""
    assert stats.norm.isf(spending(0.5, 0.05) / 2) == pytest.approx(2.963, abs=5e-4)
    assert spending(1, 0.05) == pytest.approx(0.05)
    assert spending(0, 0.05) == 0


def test_who_never_looks_pays_nothing():
    assert confidence(PLAN, Conduct("closed")) == confidence(PLAN, Conduct()) == pytest.approx(0.95)


def test_planned_looks_share_the_error():
    plan = AnalysisPlan(looks=(0.3, 0.6))
    parts = [1 - confidence(plan, Conduct("open", planned=number)) for number in (1, 2)]
    parts.append(1 - confidence(plan, Conduct("closed", looked(1, 2))))
    assert sum(parts) == pytest.approx(0.05)
    assert parts[0] < 0.0001 < parts[1] < parts[2]
    assert parts[2] > 0.04, "the end keeps nearly all of it"


@pytest.mark.parametrize("later", [(), (0.1,), (0.3, 0.6)], ids=["taken back", "moved", "kept and more"])
def test_a_planned_look_costs_its_part_whatever_the_plan_becomes(later):
    planned = AnalysisPlan(looks=(0.8,))
    taken = Look(AT, 80, 1, part(planned, 1))
    assert taken.spent > 0.02
    final = confidence(AnalysisPlan(looks=later), Conduct("closed", (taken,)))
    assert taken.spent + 1 - final <= 0.05 + 1e-12
    unplanned = Conduct("closed", (taken, Look(AT, 90, 0)))
    assert 1 - confidence(AnalysisPlan(looks=later), unplanned) == pytest.approx((1 - final) / 2)


def test_an_error_that_was_made_smaller_than_what_was_spent_leaves_no_claim():
    conduct = Conduct("closed", (Look(AT, 80, 1, part(AnalysisPlan(looks=(0.8,)), 1)),))
    stricter = AnalysisPlan(confidence=0.99, draws=200, secondary=())
    assert confidence(stricter, conduct) == 0.99
    found = analyse(crossed(lambda condition, *_: condition == "lfi"), stricter, conduct=conduct)
    assert "spent all of the error" in found.withheld
    assert not found.claim_holds


def test_looks_that_nobody_planned_add_up_to_the_error():
    parts = [1 - confidence(PLAN, Conduct("closed", looked(*[0] * count))) for count in range(1, 400)]
    assert parts[0] == pytest.approx(0.025)
    assert 0.049 < sum(parts) < 0.05


def test_stopping_where_it_looks_best_errs_no_more_often_than_once():
    """True mean 0; ten looks at a growing sample, stopping at the first interval above 0."""
    rng = np.random.default_rng(0)
    sizes = np.arange(50, 501, 50)
    z = rng.normal(size=(20_000, 500)).cumsum(1)[:, sizes - 1] / np.sqrt(sizes)
    naive, paid = np.zeros(len(z), bool), np.zeros(len(z), bool)
    for look in range(1, 11):
        level = confidence(PLAN, Conduct("closed", looked(*[0] * look)))
        naive |= z[:, look - 1] > stats.norm.ppf(0.975)
        paid |= z[:, look - 1] > stats.norm.ppf((1 + level) / 2)
    assert naive.mean() > 0.08
    assert paid.mean() <= 0.025


def test_a_look_is_due_once_its_share_of_the_answers_is_in():
    plan = AnalysisPlan(looks=(0.3, 0.6))
    assert [next_look(plan, taken, share) for taken, share in ((0, 0.2), (0, 0.3), (1, 0.4), (1, 0.6), (2, 0.9))] == [
        0, 1, 0, 2, 0,
    ]  # fmt: skip
    assert next_look(plan, 0, 0.7) == 2, "one that was missed is not made up for"
    assert next_look(AnalysisPlan(), 0, 1.0) == 0


@pytest.mark.parametrize("looks", [(0.5, 0.5), (0.6, 0.3), (0.0,), (1.0,)])
def test_looks_that_make_no_sense_are_refused(looks):
    with pytest.raises(ConfigError, match="looks are"):
        AnalysisPlan(looks=looks)


def test_a_plan_without_looks_keeps_the_hash_that_it_had_before_there_were_any():
    assert "looks" not in PLAN.json
    assert PLAN.sha256 == "9ac9b1493410770d47ebc1efeda39056f2eebd84af8cf20cb9bab11b3db9b3e9"
    assert AnalysisPlan(looks=(0.5,)).sha256 != PLAN.sha256
    assert register(PLAN, "").changes(AnalysisPlan(looks=(0.5,))) == [("looks", None, [0.5])]
