"""Pairs give the published strengths of published data, and forget no tie and no side."""

import numpy as np
import pytest

from evaluation.study.plan import AnalysisPlan
from evaluation.study.preference import bradley_terry, contests, davidson
from evaluation.study.ratings import as_ratings, rating_row
from lfi.errors import DataError

PLAN = AnalysisPlan(draws=500)

PUDDING = np.array(
    [
        (1, 2, 19, 22, 16), (1, 3, 16, 19, 12), (2, 3, 19, 19, 10), (1, 4, 18, 23, 13), (2, 4, 23, 19, 9),
        (3, 4, 19, 20, 15), (1, 5, 13, 19, 18), (2, 5, 16, 20, 12), (3, 5, 16, 15, 17), (4, 5, 17, 14, 16),
        (1, 6, 18, 21, 12), (2, 6, 22, 20, 12), (3, 6, 13, 18, 10), (4, 6, 14, 19, 18), (5, 6, 11, 21, 12),
    ]
)  # fmt: skip
"""Davidson (1970), JASA 65, 317-328: brands of chocolate pudding; i, j, i preferred, j preferred, no preference."""

TEAMS = ("Baltimore", "Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland")
BASEBALL = {
    "Milwaukee": {"Detroit": (4, 3), "Toronto": (4, 2), "New York": (4, 3), "Boston": (6, 1), "Cleveland": (4, 2),
                  "Baltimore": (6, 0)},
    "Detroit": {"Milwaukee": (3, 3), "Toronto": (4, 2), "New York": (4, 3), "Boston": (6, 0), "Cleveland": (6, 1),
                "Baltimore": (4, 3)},
    "Toronto": {"Milwaukee": (2, 5), "Detroit": (4, 3), "New York": (2, 4), "Boston": (4, 3), "Cleveland": (4, 2),
                "Baltimore": (6, 0)},
    "New York": {"Milwaukee": (3, 3), "Detroit": (5, 1), "Toronto": (2, 5), "Boston": (4, 3), "Cleveland": (4, 2),
                 "Baltimore": (6, 1)},
    "Boston": {"Milwaukee": (5, 1), "Detroit": (2, 5), "Toronto": (3, 3), "New York": (4, 2), "Cleveland": (5, 2),
               "Baltimore": (6, 0)},
    "Cleveland": {"Milwaukee": (2, 5), "Detroit": (3, 3), "Toronto": (3, 4), "New York": (4, 3), "Boston": (4, 2),
                  "Baltimore": (2, 4)},
    "Baltimore": {"Milwaukee": (2, 5), "Detroit": (1, 5), "Toronto": (1, 6), "New York": (2, 4), "Boston": (1, 6),
                  "Cleveland": (3, 4)},
}  # fmt: skip
"""American League East, 1987 (Agresti, Categorical Data Analysis, 10.6): games won by the home and the away team."""


def test_ties_give_davidsons_estimates():
    fit = davidson(PUDDING[:, :2] - 1, PUDDING[:, 2:], side=False)
    worth = np.exp(fit.strengths) / np.exp(fit.strengths).sum()
    assert worth == pytest.approx([0.1388, 0.1730, 0.1617, 0.1654, 0.1587, 0.2024], abs=5e-5)
    assert float(fit.tie) == pytest.approx(0.7468, abs=5e-5)


@pytest.mark.parametrize(
    ("side", "advantage", "strengths"),
    [(False, 0.0, (1.58, 1.44, 1.29, 1.25, 1.11, 0.68)), (True, 0.302, (1.62, 1.475, 1.33, 1.28, 1.14, 0.705))],
)
def test_the_side_effect_is_agrestis_home_advantage(side, advantage, strengths):
    rows = [(home, away, *won) for home, row in BASEBALL.items() for away, won in row.items()]
    games = [(TEAMS.index(home), TEAMS.index(away), *won) for home, away, *won in rows]
    meetings, counts = np.array(games)[:, :2], np.column_stack([np.array(games)[:, 2:], np.zeros(len(games))])
    fit = davidson(meetings, counts, side)
    assert fit.strengths[1:] == pytest.approx(strengths, abs=6e-3)
    assert float(fit.side) == pytest.approx(advantage, abs=1e-3)
    assert float(fit.tie) < 1e-4


def test_many_fits_at_once_are_the_single_fits():
    twice = davidson(PUDDING[:, :2] - 1, np.stack([PUDDING[:, 2:], PUDDING[:, [3, 2, 4]]]))
    one, other = (davidson(PUDDING[:, :2] - 1, PUDDING[:, columns]) for columns in ([2, 3, 4], [3, 2, 4]))
    assert twice.strengths == pytest.approx(np.stack([one.strengths, other.strengths]))
    assert twice.side == pytest.approx([float(one.side), float(other.side)])


def pairs(*outcomes):
    """Rows of `(left, right, value)`, each by two raters on two items."""
    return as_ratings(
        rating_row(study="s", rater=f"r{rater}", trial=trial, kind="pair", item=f"i{item}", image=f"p{item}",
                   word="dog", left=left, right=right, value=value, response_ms=1000, created_at="2026-11-24T09:30:00Z")
        for rater in range(2)
        for item in range(2)
        for trial, (left, right, value) in enumerate(outcomes)
    )  # fmt: skip


def test_a_win_rate_counts_a_tie_as_half_and_forgets_the_side():
    (contest,) = contests(
        pairs(
            ("lfi", "baseline", "left"), ("baseline", "lfi", "right"), ("lfi", "baseline", "none"),
            ("baseline", "lfi", "left"),
        ),
        PLAN,
    )  # fmt: skip
    assert (contest.first, contest.second) == ("lfi", "baseline")
    assert (contest.wins, contest.losses, contest.ties) == (8, 4, 4)
    assert contest.win_rate.value == pytest.approx(10 / 16)
    assert contest.win_rate.low <= contest.win_rate.value <= contest.win_rate.high


def test_a_side_that_always_wins_makes_no_condition_better():
    found = bradley_terry(pairs(("lfi", "baseline", "left"), ("baseline", "lfi", "left")), PLAN, draws=20)
    assert found.reference == "baseline"
    assert found.strengths["lfi"].value == pytest.approx(0, abs=1e-6)
    assert found.side.value > 5


def test_conditions_that_never_met_are_not_compared():
    table = pairs(("lfi", "baseline", "left"), ("teacher", "shuffled", "left"))
    with pytest.raises(DataError, match="were never compared with the others"):
        bradley_terry(table, PLAN)
    assert [(one.first, one.second) for one in contests(table, PLAN)] == [("lfi", "baseline"), ("teacher", "shuffled")]


def many(outcome, raters=10, items=10):
    """Every rater compares lfi with baseline on every item; `outcome(rater, item)` is who is preferred, or none."""
    rows = []
    for rater in range(raters):
        for item in range(items):
            left, right = ("lfi", "baseline") if (rater + item) % 2 else ("baseline", "lfi")
            best = outcome(rater, item)
            value = "none" if best == "none" else "left" if best == left else "right"
            rows.append(
                rating_row(study="s", rater=f"r{rater:02}", trial=item, kind="pair", item=f"i{item:02}",
                           image=f"p{item:02}", word="dog", left=left, right=right, value=value, response_ms=1000,
                           created_at="2026-11-24T09:30:00Z")
            )  # fmt: skip
    return as_ratings(rows)


NEVER = 1 - 0.025**0.1
"""Clopper and Pearson's upper bound at 97.5 % of what none of 10 raters (or items) did."""


def test_a_condition_that_always_wins_is_bounded_below_and_not_certain():
    table = many(lambda *_: "lfi")
    (contest,) = contests(table, PLAN)
    rate = contest.win_rate
    assert (rate.value, rate.low, rate.high) == pytest.approx((1, 1 - NEVER, 1))
    found = bradley_terry(table, PLAN, draws=100)
    strength = found.strengths["lfi"]
    assert (strength.value, strength.high) == (np.inf, np.inf), "no ridge makes it finite"
    assert strength.low == pytest.approx(np.log((1 - NEVER) / NEVER))
    assert found.strengths["baseline"].value == 0
    assert (found.tie.value, found.tie.low) == (0, 0)
    assert found.tie.high == pytest.approx(2 * NEVER / (1 - NEVER))


def test_one_that_never_wins_is_its_mirror():
    found = bradley_terry(many(lambda *_: "baseline"), PLAN, draws=100).strengths["lfi"]
    assert (found.value, found.low) == (-np.inf, -np.inf)
    assert found.high == pytest.approx(-np.log((1 - NEVER) / NEVER))


def test_ties_alone_leave_room_on_both_sides():
    table = many(lambda *_: "none")
    rate = contests(table, PLAN)[0].win_rate
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.5, 0.5 - NEVER, 0.5 + NEVER))
    found = bradley_terry(table, PLAN, draws=100)
    assert found.strengths["lfi"].low < 0 < found.strengths["lfi"].high
    assert (found.side.low, found.side.high) == (-np.inf, np.inf), "nobody ever chose a side"
    assert (found.tie.value, found.tie.high) == (np.inf, np.inf)
    assert found.tie.low == pytest.approx(2 * (1 - NEVER) / NEVER)


def test_a_single_loss_does_not_narrow_the_interval_to_nothing():
    rate = contests(many(lambda rater, item: "baseline" if rater == item == 0 else "lfi"), PLAN)[0].win_rate
    assert rate.value == 0.99
    assert rate.low < 0.7


def test_few_raters_have_wider_win_rates_than_the_bootstrap_alone():
    table = many(lambda rater, item: "lfi" if (rater * 7 + item * 3) % 10 < 6 else "baseline", raters=5)
    rate = contests(table, PLAN)[0].win_rate
    one = contests(many(lambda rater, item: "lfi" if (rater * 7 + item * 3) % 10 < 6 else "baseline", raters=40), PLAN)
    assert rate.high - rate.low > 2 * (one[0].win_rate.high - one[0].win_rate.low)
