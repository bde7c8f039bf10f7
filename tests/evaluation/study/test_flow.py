"""Every stored answer is accounted for on its way into the analysis, and the tests on means know their pairs."""

import pytest
from scipy import stats
from study_tables import crossed, rating

from evaluation.study.contrasts import holm, wilcoxon_contrasts
from evaluation.study.flow import exclusion_flow
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import as_ratings
from evaluation.study.times import response_times


def test_every_answer_that_is_left_out_has_a_step():
    later = "2026-11-24T10:30:00+00:00"
    table = as_ratings(
        [
            rating("owner", "i0", "lfi", 5, preview=True),
            rating("good", "i0", "lfi", 5, practice=True),
            rating("good", "i1", "lfi", 4, trial=1, created_at=later),
            rating("good", "i1", "lfi", 1, trial=1),
            rating("good", "i2", "lfi", 5, trial=2, catch=True, catch_passed=False),
            rating("good", "i3", "lfi", 2, trial=3, response_ms=120),
            rating("careless", "i1", "lfi", 3, trial=1),
            rating("careless", "i2", "lfi", 1, trial=2, catch=True, catch_passed=False),
            rating("careless", "i2", "lfi", 1, trial=3, catch=True, catch_passed=False),
            rating("asked", "i1", "lfi", 3, trial=1, excluded="knows the authors"),
            rating("brief", "i1", "baseline", 3, trial=1),
            rating("good", "i4", "lfi", 5, trial=4),
        ]
    )
    flow = exclusion_flow(table, AnalysisPlan(min_answers=2))
    assert [(step.reason, step.raters, step.answers, step.raters_left, step.answers_left) for step in flow.steps] == [
        ("stored", 0, 0, 5, 12),
        ("preview run", 1, 1, 4, 11),
        ("practice trial", 0, 1, 4, 10),
        ("answered again later", 0, 1, 4, 9),
        ("catch trial (set aside)", 0, 3, 4, 6),
        ("excluded by the owner: knows the authors", 1, 1, 3, 5),
        ("by the plan's rule: failed more than 1 catch trial", 1, 1, 2, 4),
        ("by the plan's rule: answered within 300 ms", 0, 1, 2, 3),
        ("by the plan's rule: gave fewer than 2 answers", 1, 1, 1, 2),
    ]
    assert flow.analysed["value"].tolist() == ["5", "4"]
    assert len(flow.everyone) == 6


@pytest.mark.parametrize("hour", ["08", "10"], ids=["the clock stepped back", "the clock went on"])
def test_the_later_answer_counts_whatever_the_clock_and_the_order_of_rows(hour):
    later = {"revision": 1, "created_at": f"2026-11-24T{hour}:00:00+00:00"}
    rows = [rating("r", "i", "lfi", 1), rating("r", "i", "lfi", 5, **later)]
    for order in (rows, rows[::-1]):
        assert exclusion_flow(as_ratings(order), AnalysisPlan()).analysed["value"].tolist() == ["5"]
    bare = [{name: cell for name, cell in row.items() if name != "revision"} for row in rows]  # an older export
    assert exclusion_flow(as_ratings(bare), AnalysisPlan()).analysed["value"].tolist() == ["5"]


def test_raters_of_two_studies_who_have_one_id_are_two():
    table = as_ratings(
        [
            *(rating("r1", "i0", "lfi", 1, trial=n, catch=True, catch_passed=False) for n in (1, 2)),
            rating("r1", "i1", "lfi", 5, trial=3),
            rating("r1", "i1", "lfi", 5, trial=3, study="another"),
        ]
    )
    flow = exclusion_flow(table, AnalysisPlan())
    assert (flow.steps[0].raters_left, flow.steps[-1].raters_left) == (2, 1)
    assert flow.analysed["study"].tolist() == ["another"], "who fails catch trials in one study leaves that one"


def test_ties_survive_the_noise_of_floats():
    """Means of thirds and of tenths: the differences are .2 and -.2 in turn, which no float subtraction gives twice."""
    apart = [0.3 - 0.1, 0.1 - 0.3, 0.7 - 0.5, 0.5 - 0.7, 0.9 - 0.7, 1.0 - 0.8]
    assert len(set(map(abs, apart))) > 2
    tenths = {"lfi": (3, 1, 7, 5, 9, 10), "baseline": (1, 3, 5, 7, 7, 8)}
    table = crossed(lambda condition, rater, item: item < tenths[condition][rater], raters=6)
    by_rater = wilcoxon_contrasts(table, AnalysisPlan())[0]
    assert by_rater.p == pytest.approx(stats.wilcoxon([1, -1, 1, -1, 1, 1]).pvalue)
    assert by_rater.rank_biserial == pytest.approx(1 / 3)


def test_holms_correction_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_the_signed_rank_test_pairs_means_of_raters_and_of_items():
    table = crossed(lambda c, rater, item: (7 * rater + item) % 10 < (7 if c == "lfi" else 2 + rater % 3))
    by_rater, by_item = wilcoxon_contrasts(table, AnalysisPlan())
    assert (by_rater.other, by_rater.unit, by_rater.pairs) == ("baseline", "rater", 10)
    differences = [0.7 - (2 + rater % 3) / 10 for rater in range(10)]
    assert by_rater.p == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert by_rater.difference == pytest.approx(0.4)
    assert by_rater.rank_biserial == pytest.approx(1)
    assert by_rater.p_holm == pytest.approx(max(2 * min(by_rater.p, by_item.p), by_rater.p))


def test_conditions_that_do_not_differ_are_not_tested_into_a_difference():
    found = wilcoxon_contrasts(crossed(lambda condition, rater, item: item > 4), AnalysisPlan())
    assert [(each.p, each.p_holm, each.rank_biserial) for each in found] == [(1.0, 1.0, 0.0)] * 2


def test_response_times_are_quartiles_in_seconds():
    rows = [rating(f"r{n}", "i", "lfi", 5, response_ms=1000 * n) for n in range(1, 6)]
    (found,) = response_times(as_ratings(rows))
    assert (found.kind, found.condition, found.answers) == ("rating", "lfi", 5)
    assert (found.first, found.median, found.third) == (2, 3, 4)
