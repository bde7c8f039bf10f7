"""Words on one picture are not independent: whatever resamples, counts or tests items takes pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import ndtr, ndtri
from study_tables import crossed, rating

from evaluation.study.agreement import level_matrix, ordinal_alpha
from evaluation.study.analysis import analyse, counts
from evaluation.study.contrasts import wilcoxon_contrasts
from evaluation.study.items import score_items
from evaluation.study.pictures import items_of, pictures_of
from evaluation.study.plan import AnalysisPlan
from evaluation.study.preference import bradley_terry, contests
from evaluation.study.raters import Population
from evaluation.study.ratings import as_ratings
from evaluation.study.ratio import arms, consistency_ratio, consistent_shares
from evaluation.study.report import write_report
from evaluation.study.simulation import simulate_table
from evaluation.study.widening import ratio_interval

PLAN = AnalysisPlan(draws=100, secondary=("Wilcoxon",))
TRUTH = 2.7
RATERS, PICTURES, WORDS = 40, 12, 5


def words_on_pictures(rng):
    """A study of 5 words on 12 pictures, four fifths of what makes items differ being the picture's (probit)."""
    items = PICTURES * WORDS
    shown = np.repeat(np.arange(PICTURES), WORDS)

    def varying(sd):
        return sd * (np.sqrt(0.8) * rng.normal(size=PICTURES)[shown] + np.sqrt(0.2) * rng.normal(size=items))

    ease, mildness = varying(0.7), rng.normal(0, 0.7, RATERS)
    spread = np.sqrt(1 + 0.7**2 + 0.3**2 + 0.7**2 + 1)
    parts = []
    for condition, share in (("lfi", 0.54), ("baseline", 0.2)):
        own = mildness + rng.normal(0, 0.3, RATERS)
        felt = spread * ndtri(share) + own[:, None] + ease + varying(1.0)
        hits = rng.random((RATERS, items)) < ndtr(felt)
        rater, item = np.nonzero(rng.random((RATERS, items)) < 0.5)
        about = {"study": "s", "kind": "rating", "condition": condition, "rater": rater, "item": item}
        parts.append(pd.DataFrame({**about, "image": shown[item], "consistent": hits[rater, item]}))
    return pd.concat(parts, ignore_index=True).astype({"item": str, "image": str})


def test_pictures_as_the_unit_hold_the_truth_where_items_do_not():
    """95 % intervals of 100 seeded studies; of more, 97 and 79 %."""
    rng, plan = np.random.default_rng(0), AnalysisPlan(draws=100)
    held = np.zeros((100, 2), bool)
    for study in held:
        table = words_on_pictures(rng)
        for place, rows in enumerate((table, table.assign(image=""))):
            found = consistency_ratio(arms(rows), plan).estimate
            study[place] = found.low <= TRUTH <= found.high
    by_picture, by_item = held.mean(0)
    assert by_picture >= 0.93
    assert by_item < 0.85


@pytest.fixture(scope="module")
def one_word():
    population = Population({"teacher": 0.7, "lfi": 0.75, "baseline": 0.15, "shuffled": 0.05})
    return simulate_table(population, 12, 10, trials=20, pairs=5)


def test_one_word_per_picture_changes_no_number(one_word):
    """Whatever the pictures are called, and where the table names none: as items were resampled before."""
    backwards = one_word.assign(image=one_word["image"].str[::-1])
    records = [analyse(table, PLAN).record() for table in (one_word, backwards, one_word.assign(image=""))]
    assert records[0] == records[1] == records[2]
    assert pairs_of(one_word) == pairs_of(backwards) == pairs_of(one_word.assign(image=""))
    rows = one_word[(one_word["kind"] == "rating") & ~one_word["practice"] & ~one_word["catch"]]
    raters, items = (pd.factorize(rows[name], sort=True)[0] for name in ("rater", "item"))
    spread = np.zeros((4, raters.max() + 1, items.max() + 1))
    for place, name in ((0, "lfi"), (2, "baseline")):
        chosen = (rows["condition"] == name).to_numpy()
        np.add.at(spread[place + 1], (raters[chosen], items[chosen]), 1)
        np.add.at(spread[place], (raters[chosen], items[chosen]), rows["consistent"][chosen].to_numpy(float))
    by_item = ratio_interval(spread[:2], spread[2:], 0.95, PLAN.draws, np.random.default_rng(PLAN.seed))
    found = consistency_ratio(arms(rows), PLAN)
    assert not found.sparse
    assert (found.estimate.low, found.estimate.high) == tuple(map(float, by_item))


def pairs_of(table):
    """Win rate and strength, and their bounds."""
    pairs = table[table["kind"] == "pair"]
    estimates = (contests(pairs, PLAN)[0].win_rate, bradley_terry(pairs, PLAN, draws=40).strengths["lfi"])
    return [number for each in estimates for number in (each.value, each.low, each.high)]


def copied(table, times=4):
    """Every picture with this many words that are rated exactly alike."""
    words = [
        table.assign(item=table["item"] + f"-{n}", trial=table["trial"] + n * 1000, word=f"w{n}") for n in range(times)
    ]
    return pd.concat(words, ignore_index=True)


def test_words_that_are_rated_alike_add_nothing_to_any_interval(one_word):
    """With four copies of every answer, every interval and test is that of one."""
    once, often = (analyse(table, PLAN) for table in (one_word, copied(one_word)))
    assert counts(often.flow.analysed)["items"] == 4 * counts(often.flow.analysed)["pictures"] == 40
    for pick in (
        lambda found: found.primary.estimate,
        lambda found: found.primary.even,
        lambda found: found.shares["lfi"],
        lambda found: found.others["shuffled"].estimate,
    ):
        assert [pick(often).value, pick(often).low, pick(often).high] == pytest.approx(
            [pick(once).value, pick(once).low, pick(once).high],
        )
    assert pairs_of(copied(one_word)) == pytest.approx(pairs_of(one_word), rel=1e-3)  # strengths have a prior
    assert [(each.unit, each.pairs) for each in often.contrasts] == [(each.unit, each.pairs) for each in once.contrasts]
    assert [each.p for each in often.contrasts] == pytest.approx([each.p for each in once.contrasts])


def test_exact_bounds_count_pictures():
    table = copied(crossed(lambda condition, *_: condition == "lfi"))
    shares = consistent_shares(arms(table), PLAN)
    assert (shares["baseline"].low, shares["baseline"].high) == pytest.approx((0, 1 - 0.025**0.1))
    found = consistency_ratio(arms(table), PLAN)
    assert "consistent ratings of baseline come from 0 raters and 0 pictures" in found.sparse


def test_alphas_interval_resamples_pictures(one_word):
    ratings = one_word[(one_word["kind"] == "rating") & (one_word["condition"] == "lfi") & ~one_word["practice"]]
    once, often, apart = (
        ordinal_alpha(level_matrix(table), draws=60)
        for table in (ratings, copied(ratings), copied(ratings).assign(image=""))
    )
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.1)  # alpha corrects for few ratings
    assert apart.high - apart.low < 0.7 * (often.high - often.low)
    assert once == ordinal_alpha(level_matrix(ratings).droplevel("picture", axis=1), draws=60), "one word per picture"
    alike = copied(crossed(lambda condition, rater, item: item % 2 == 0))
    levels = level_matrix(alike[alike["condition"] == "lfi"])
    assert ordinal_alpha(levels, draws=50).low == pytest.approx(0.025 ** (1 / 10))


def test_a_test_over_items_averages_within_the_picture_first():
    """Two words on every picture, and on one of them a third word that baseline was never asked about."""
    rng, levels = np.random.default_rng(2), {}
    rows = []
    for picture in range(8):
        for word in range(2):
            for condition in ("lfi", "baseline"):
                level = int(rng.integers(1, 6))
                levels.setdefault((picture, condition), []).append((level - 1) / 4)
                rows.append(rating("r", f"i{picture}{word}", condition, level, image=f"p{picture}", trial=len(rows)))
    rows.append(rating("r", "i0x", "lfi", 5, image="p0", trial=len(rows)))
    found = wilcoxon_contrasts(as_ratings(rows), PLAN)[1]
    apart = [np.mean(levels[picture, "lfi"]) - np.mean(levels[picture, "baseline"]) for picture in range(8)]
    assert (found.unit, found.pairs) == ("picture", 8)
    assert found.difference == pytest.approx(np.median(apart))
    assert found.p == pytest.approx(stats.wilcoxon([each for each in apart if abs(each) > 1e-12]).pvalue)


def test_items_of_several_studies_that_are_called_alike_stay_apart(one_word, tmp_path):
    other = one_word.assign(study="simulated-other", rater="other " + one_word["rater"])
    both = pd.concat([one_word, other], ignore_index=True)
    assert counts(both)["items"] == counts(both)["pictures"] == 20
    assert len(set(zip(items_of(both), pictures_of(both), strict=True))) == 20
    apart = one_word.assign(study="t", rater="x", item="x" + one_word["item"], image="x" + one_word["image"])
    apart = pd.concat([one_word, apart.assign(rater=other["rater"])], ignore_index=True)
    for make in (
        lambda table: consistency_ratio(arms(table), PLAN),
        lambda table: contests(table[table["kind"] == "pair"], PLAN),
        lambda table: wilcoxon_contrasts(table[table["kind"] == "rating"], PLAN),
    ):
        assert make(both) == make(apart.assign(study=apart["study"].replace("t", "simulated-other")))
    scores = score_items(both[both["kind"] == "rating"], "lfi", "baseline")
    assert len(scores) == len({each.item for each in scores}) == 20
    assert {each.item.partition(" ")[0] for each in scores} == {"simulated-0", "simulated-other"}


def test_the_report_says_how_many_pictures_there_are_where_they_are_fewer(one_word, tmp_path):
    for folder, table in (("one", one_word), ("four", copied(one_word)), ("none", one_word.assign(image=""))):
        write_report(analyse(table, AnalysisPlan(draws=100, secondary=())), tmp_path / folder)
    one, four, none = ((tmp_path / name / "report.html").read_text() for name in ("one", "four", "none"))
    assert "by 12 raters of 10 items. " in one
    assert "by 12 raters of 40 items on 10 pictures. " in four
    assert "The table does not say which picture 10 items showed" in none
    assert "does not say which picture" not in one + four
