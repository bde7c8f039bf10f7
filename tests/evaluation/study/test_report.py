"""The report says what the interval says, shows changes, and needs nothing but itself."""

import json
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from study_tables import crossed

from evaluation.study.analysis import analyse
from evaluation.study.conduct import Conduct, LeftOut, Look, Sight
from evaluation.study.estimate import percent
from evaluation.study.flow import Attrition
from evaluation.study.items import ends, score_items
from evaluation.study.mixed import mixed_model
from evaluation.study.passages import alpha_sentence
from evaluation.study.plan import AnalysisPlan, register
from evaluation.study.raters import Population
from evaluation.study.report import write_report
from evaluation.study.simulation import simulate_table
from lfi.errors import ConfigError, DataError

PLAN = AnalysisPlan(draws=300, secondary=("Wilcoxon", "pairs", "agreement", "response times"))


@pytest.fixture(scope="module")
def simulated():
    population = Population({"teacher": 0.7, "lfi": 0.75, "baseline": 0.15, "shuffled": 0.05})
    table = simulate_table(population, 40, 20, trials=40)
    return analyse(table, PLAN, register(PLAN, "2026-11-24T09:00:00Z"), truth=5.0)


@pytest.mark.parametrize(
    ("lfi", "baseline", "said"),
    [
        (9, 2, "at least 2.7 times as often"),
        (9, 4, "“At least 2.7 times” is contradicted"),
        (8, 3, "“At least 2.7 times” is not shown"),
        (5, 5, "No difference is shown"),
        (3, 9, "is rated consistent less often"),
    ],
)
def test_the_claim_is_made_only_where_the_lower_bound_makes_it(lfi, baseline, said):
    """Shares of tenths; raters and items alike, so that intervals are narrow."""
    table = crossed(lambda c, rater, item: (rater + item) % 10 < (lfi if c == "lfi" else baseline), 20, 20)
    found = analyse(table, AnalysisPlan(draws=300, secondary=()))
    assert said in found.verdict
    assert found.claim_holds == (found.primary.estimate.low >= 2.7)
    assert ("at least 2.7 times as often" in found.verdict) == found.claim_holds


def test_the_folder_holds_page_numbers_plan_and_figures(simulated, tmp_path):
    names = {path.name for path in write_report(simulated, tmp_path / "report")}
    figures = {"ratio.svg", "shares.svg", "levels.svg", "pairs.svg", "agreement.svg", "times.svg"}
    assert names == {"report.html", "analysis.json", "plan.json"} | figures
    record = json.loads((tmp_path / "report" / "analysis.json").read_text())
    assert record["primary"]["estimate"]["value"] == pytest.approx(simulated.primary.estimate.value)
    assert record["as_registered"] is True
    sizes = {"raters": 40, "items": 20, "pictures": 20}
    assert record["n"] == {**sizes, "ratings": record["n"]["ratings"], "pairs": record["n"]["pairs"]}
    assert AnalysisPlan.read(tmp_path / "report" / "plan.json") == PLAN


def test_every_figure_of_simulated_raters_says_so(simulated, tmp_path):
    for path in write_report(simulated, tmp_path):
        if path.suffix == ".svg":
            text = "".join(ElementTree.parse(path).getroot().itertext())
            assert "simulated raters, not people" in text, path.name
    assert "The true ratio is 5" in (tmp_path / "report.html").read_text()


def test_figures_of_people_do_not_say_simulated(tmp_path):
    table = crossed(lambda condition, rater, item: (rater + item) % 3 < (2 if condition == "lfi" else 1))
    write_report(analyse(table, PLAN), tmp_path)
    assert "simulated" not in (tmp_path / "ratio.svg").read_text()
    assert "not people" not in (tmp_path / "report.html").read_text()


def test_the_page_loads_nothing_and_repeats_no_id(simulated, tmp_path):
    write_report(simulated, tmp_path)
    ids, outside = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            for name, value in attributes:
                if name == "id":
                    ids.append(value)
                if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                    outside.append((tag, value))

    text = (tmp_path / "report.html").read_text()
    Reader().feed(text)
    assert outside == []
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= set(ids)
    assert "<script" not in text


def test_a_changed_plan_is_shown(tmp_path):
    table = crossed(lambda condition, rater, item: (rater + item) % 3 < (2 if condition == "lfi" else 1))
    found = analyse(table, PLAN, register(AnalysisPlan(claim=3.5, draws=300, secondary=PLAN.secondary), ""))
    write_report(found, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert not found.as_registered
    assert found.changes == [("claim", 3.5, 2.7)]
    assert "The plan used is not the one registered" in text
    assert "<td>claim</td><td>3.5</td><td>2.7</td>" in text


def test_a_study_that_goes_on_says_so_on_the_page_and_in_every_figure(simulated, tmp_path):
    table = simulate_table(Population(), 12, 10, trials=20)
    looks = (Look(datetime(2026, 3, 1, 9, 5, tzinfo=UTC), 80, 0),)
    found = analyse(table, PLAN, register(PLAN, ""), conduct=Conduct("open", looks))
    for path in write_report(found, tmp_path):
        if path.suffix == ".svg":
            assert "INTERIM" in "".join(ElementTree.parse(path).getroot().itertext()), path.name
    text = (tmp_path / "report.html").read_text()
    assert text.count("INTERIM: the study goes on") == 1 + len(found_figures(text))
    assert "<title>INTERIM: " in text
    assert found.verdict.startswith("INTERIM. ")
    assert "2026-03-01 09:05 UTC: a look that was not planned, at 80 answers." in text
    record = json.loads((tmp_path / "analysis.json").read_text())
    assert (record["interim"], record["confidence"]) == (True, pytest.approx(1 - 0.05 / 6))
    assert not found.claim_holds
    write_report(simulated, tmp_path)
    assert "INTERIM" not in "".join(path.read_text() for path in tmp_path.iterdir())


def found_figures(page):
    return re.findall(r'<figure role="img"', page)


def test_a_claim_at_a_look_that_nobody_planned_is_withheld_and_at_a_planned_one_made():
    table = crossed(lambda c, rater, item: (rater + item) % 10 < (9 if c == "lfi" else 1), 20, 20)
    unplanned = analyse(table, AnalysisPlan(draws=300, secondary=()), conduct=Conduct("open"))
    assert unplanned.primary.estimate.low > 2.7
    assert "is withheld: the study goes on, and the plan has no look here." in unplanned.verdict
    assert not unplanned.claim_holds
    planned = analyse(table, AnalysisPlan(draws=300, secondary=(), looks=(0.5,)), conduct=Conduct("open", planned=1))
    assert planned.claim_holds
    assert planned.primary.estimate.low < analyse(table, AnalysisPlan(draws=300, secondary=())).primary.estimate.low


def test_closing_looking_and_reopening_stand_in_the_report(tmp_path):
    table = crossed(lambda condition, rater, item: (rater + item) % 3 < (2 if condition == "lfi" else 1))
    at = datetime(2026, 3, 2, 10, tzinfo=UTC)
    conduct = Conduct("closed", (Look(at, 50, 0), Look(at, 90, 0)), reopened=(at,), exported=(at,))
    found = analyse(table, PLAN, register(PLAN, ""), conduct=conduct)
    write_report(found, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "2 looks while answers came in, not planned." in text
    assert "Closed and opened again 1 time." in text
    assert "2026-03-02 10:00 UTC: opened again after it had closed." in text
    assert "Answers were exported 1 time before it closed" in text
    assert "ratios have intervals at 99.17%" in text
    assert found.confidence == pytest.approx(1 - 0.05 / 6)


def test_a_study_opened_again_after_it_was_seen_shows_its_interval_and_makes_no_claim(tmp_path):
    table = crossed(lambda c, rater, item: (rater + item) % 10 < (9 if c == "lfi" else 1), 20, 20)
    plan, at = AnalysisPlan(draws=300, secondary=()), datetime(2026, 3, 2, 10, tzinfo=UTC)
    conduct = Conduct("closed", (Look(at, 50, 0),), reopened=(at,), seen=(Sight(at, 80), Sight(at, 80, exported=True)))
    assert analyse(table, plan, conduct=conduct).claim_holds, "opened again, but nobody had seen anything"
    for status in ("open", "closed"):
        found = analyse(table, plan, register(plan, ""), conduct=replace(conduct, status=status, spent=True))
        assert found.primary.estimate.low > 2.7
        assert not found.claim_holds
        assert "is withheld: the study was opened again after its final answers had been seen" in found.verdict
        assert "at least 2.7 times as often" not in found.verdict
    assert found.confidence == pytest.approx(0.975), "of the looks before"
    write_report(found, tmp_path)
    record = json.loads((tmp_path / "analysis.json").read_text())
    assert (record["claim_holds"], record["conduct"]["spent"]) == (False, True)
    assert record["withheld"].startswith("the study was opened again")
    text = (tmp_path / "report.html").read_text()
    assert "Closed and opened again 1 time, after its answers had been seen: it makes no claim any more." in text
    assert "2026-03-02 10:00 UTC: analysed when closed, at 80 answers." in text
    assert "2026-03-02 10:00 UTC: exported when closed, at 80 answers." in text
    assert "What had been seen when it was opened again spent its error" in text
    assert "err no more often" not in text.replace(found.verdict, "").partition("How it was run")[2]


def test_raters_left_out_after_a_look_stand_in_the_report(tmp_path):
    table = crossed(lambda condition, rater, item: (rater + item) % 3 < (2 if condition == "lfi" else 1))
    at, later = datetime(2026, 3, 2, 10, tzinfo=UTC), datetime(2026, 3, 2, 11, tzinfo=UTC)
    left_out = (LeftOut(later, False, "<b>asked</b>"), LeftOut(later, True, "12 answers"))
    conduct = Conduct("closed", seen=(Sight(at, 90),), left_out=left_out)
    write_report(analyse(table, PLAN, register(PLAN, ""), conduct=conduct), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert '<p class="warn">Raters left out by hand after answers had been seen: 2.' in text
    assert "2026-03-02 10:00 UTC: analysed when closed, at 90 answers." in text
    assert (
        "2026-03-02 11:00 UTC: a rater was excluded by hand, after answers had been seen: &lt;b&gt;asked&lt;/b&gt;."
        in text
    )
    assert "a rater&#x27;s data were deleted, after answers had been seen: 12 answers." in text
    assert "Nobody analysed it here" not in text
    assert "followed it without change" not in text


def test_an_empty_arm_stops_its_own_figure_alone(tmp_path):
    table = simulate_table(Population(), 12, 10, trials=20)
    found = analyse(table[table["condition"] != "baseline"], PLAN, register(PLAN, ""))
    names = {path.name for path in write_report(found, tmp_path)}
    assert names >= {"shares.svg", "levels.svg", "pairs.svg", "agreement.svg", "times.svg"}
    assert "ratio.svg" not in names
    assert found.primary is None
    assert set(found.shares) == set(found.agreement) == {"teacher", "lfi", "shuffled"}
    assert set(found.others) == {"teacher", "shuffled"}
    assert found.missing == {
        "primary ratio": "no ratings of baseline are left to analyse; there are some of teacher, lfi, shuffled"
    }
    assert found.verdict == (
        "There is no ratio of P(consistent): no ratings of baseline are left to analyse; there are some of teacher, "
        "lfi, shuffled."
    )


def test_figures_in_the_page_take_its_ink_and_have_no_ground(simulated, tmp_path):
    write_report(simulated, tmp_path)
    text = (tmp_path / "report.html").read_text()
    inside = "".join(re.findall(r"<figure role.*?</figure>", text, re.DOTALL))
    assert "currentColor" in inside
    for colour in ("#000000", "#ffffff", "#b00020"):
        assert f"fill: {colour}" not in inside
        assert f"stroke: {colour}" not in inside
    assert "fill: #ffffff" in (tmp_path / "ratio.svg").read_text(), "alone it is dark ink on white"
    assert "prefers-color-scheme: dark" in text
    assert "--lfi-paper: #14161a" in text, "the app's own colours"


def test_best_and_worst_items_stand_with_their_pictures_in_every_condition(tmp_path):
    """lfi is right on the last items and baseline on the first."""
    table = crossed(lambda c, rater, item: (item >= 5) if c == "lfi" else (item < 5 and rater % 2 == 0))
    pictures = {("i09", "lfi"): "data:image/webp;base64,AAAA", ("i00", "baseline"): "data:image/webp;base64,BBBB"}
    scores = score_items(table, "lfi", "baseline")
    best, worst = ends(scores)
    assert {each.item for each in best} == {"i05", "i06", "i07"}
    assert {each.item for each in worst} == {"i02", "i03", "i04"}
    assert best[0].ratings == {"lfi": (10, 10), "baseline": (0, 10)}
    assert best[0].gain == pytest.approx(10 / 11)
    pictures = {("i05", "lfi"): "data:image/webp;base64,AAAA", ("i04", "baseline"): "data:image/webp;base64,BBBB"}
    write_report(analyse(table, PLAN), tmp_path, pictures)
    text = (tmp_path / "report.html").read_text()
    for address, said in (("AAAA", "LFI student: 10 of 10 consistent"), ("BBBB", "Baseline: 5 of 10 consistent")):
        shown = f'src="data:image/webp;base64,{address}"><figcaption>{said}</figcaption>'
        assert text.count(shown) == 1


def test_one_is_singular_and_the_headline_comes_first(tmp_path):
    table = simulate_table(Population(), 1, 1, trials=1, pairs=1, catches=0, practice=0)
    write_report(analyse(table, PLAN), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "1 rating and 1 pair by 1 rater of 1 item." in text
    assert "1 raters" not in text


def test_the_page_says_which_hash_is_of_what(simulated, tmp_path):
    write_report(simulated, tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert f"Registered: the analysis plan as it was when the study opened</dt><dd><code>{PLAN.sha256}<" in text
    assert (
        f"Used: the analysis plan that this report follows, a part of the study&#x27;s</dt><dd><code>{PLAN.sha256}<"
        in text
    )


def test_a_low_alpha_is_explained_by_what_made_it_low():
    """Random raters, raters who nearly always say consistent, and raters whose mean is reliable."""

    def sentence(consistent, raters=10):
        return alpha_sentence(analyse(crossed(consistent, raters, 20), PLAN))

    rng = np.random.default_rng(0)
    noise = rng.random((40, 20, 2))
    assert "Raters see these maps differently" in sentence(lambda c, r, i: noise[r, i, int(c == "lfi")] < 0.5)
    assert "little is left to agree about" in sentence(lambda c, r, i: noise[r, i, int(c == "lfi")] < 0.95)
    reliable = sentence(lambda c, r, i: noise[r, i, int(c == "lfi")] < (0.7 if i % 2 else 0.3), 40)
    assert "the mean of 40.0 ratings of an item is reliable (ICC 0." in reliable
    assert sentence(lambda c, r, i: i % 2 == 0) == "", "perfect agreement needs no excuse"


def test_what_is_written_by_others_cannot_become_markup(tmp_path):
    table = crossed(lambda condition, rater, item: (rater + item) % 3 < (2 if condition == "lfi" else 1))
    table["study"] = "<script>alert(1)</script>"
    table.loc[table["rater"] == "r01", "excluded"] = "<b>asked</b>"
    write_report(analyse(table, PLAN), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "<script>" not in text
    assert "excluded by the owner: &lt;b&gt;asked&lt;/b&gt;" in text


def test_the_flow_begins_with_what_became_of_those_invited(tmp_path):
    table = crossed(lambda condition, rater, item: (rater + item) % 3 < (2 if condition == "lfi" else 1))
    became = Attrition(30, 25, 3, 2, 4, 0, 0, 6, 0, 15, 0)
    plan = AnalysisPlan(draws=100, secondary=())
    for name, attrition in (("known", became), ("bare", None)):
        write_report(analyse(table, plan, attrition=attrition), tmp_path / name)
    known, bare = ((tmp_path / name / "report.html").read_text() for name in ("known", "bare"))
    rows = re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td></tr>", known.partition("<h2>Exclusions</h2>")[2])[:7]
    assert rows == [
        ("invited", "30"), ("consented", "25"), ("did not answer the invitation", "3"), ("declined", "2"),
        ("were screened out: did not understand the instructions", "4"), ("dropped out", "6"), ("finished", "15"),
    ]  # fmt: skip
    assert "what became of those invited" not in bare
    assert json.loads((tmp_path / "known" / "analysis.json").read_text())["attrition"]["finished"] == 15


def test_an_infinite_ratio_is_drawn_and_recorded(tmp_path):
    found = analyse(crossed(lambda condition, rater, item: condition == "lfi" and (rater + item) % 2 == 0), PLAN)
    write_report(found, tmp_path)
    record = json.loads((tmp_path / "analysis.json").read_text())
    assert record["primary"]["estimate"]["high"] == "Infinity"
    assert record["truth"] is None
    assert math.isinf(found.primary.estimate.value)


def test_a_ratio_that_does_not_exist_is_no_number_on_the_page(tmp_path):
    write_report(analyse(crossed(lambda *_: False), PLAN), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "there is no ratio" in text
    assert re.findall(r"\bnan\b", re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)) == []


def test_an_analysis_that_the_data_do_not_allow_is_named_and_stops_nothing():
    found = analyse(crossed(lambda condition, rater, item: item < (6 if condition == "lfi" else 3)), PLAN)
    assert found.missing == {"pairs": "no pairs are left to analyse"}


def test_a_study_of_pairs_alone_has_a_report_without_a_ratio(tmp_path):
    table = simulate_table(Population(), 8, 6, pairs=6)
    found = analyse(table[table["kind"] == "pair"], PLAN)
    names = {path.name for path in write_report(found, tmp_path)}
    assert {"report.html", "pairs.svg", "times.svg"} <= names
    assert "ratio.svg" not in names
    assert not found.claim_holds
    assert "pairs alone" in (tmp_path / "report.html").read_text()


def test_pairs_are_analysed_where_no_rating_is_left():
    table = simulate_table(Population(), 8, 6, pairs=6)
    table.loc[table["kind"] == "rating", "response_ms"] = 10
    found = analyse(table, PLAN)
    assert found.contests
    assert found.primary is None
    assert found.missing["primary ratio"] == "no ratings of lfi are left to analyse; all ratings were left out"
    assert "all ratings were left out" in found.verdict


@pytest.mark.parametrize(
    ("confidence", "shown"),
    [(0.95, "95%"), (0.975, "97.5%"), (0.999, "99.9%"), (0.99999, "99.999%"), (0.99694, "99.69%")],
)
def test_a_confidence_is_never_rounded_to_another(confidence, shown):
    assert percent(confidence) == shown


def test_a_table_without_ratings_left_is_refused():
    with pytest.raises(DataError, match="no ratings are left"):
        analyse(crossed(lambda *_: True), AnalysisPlan(min_response_ms=10_000))


def test_the_mixed_model_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bambi", None)
    with pytest.raises(ConfigError, match=r"needs bambi.*\[mixed\]"):
        mixed_model(crossed(lambda *_: True), PLAN)


@pytest.mark.slow
def test_the_mixed_model_finds_the_contrast():
    pytest.importorskip("bambi")
    table = simulate_table(Population(lapses=0.0, drop_out=0.0), 20, 12, trials=24, pairs=0, catches=0, practice=0)
    found = mixed_model(table, PLAN, draws=300)
    effects = dict(zip(Population().conditions, Population(lapses=0.0).effects, strict=True))
    assert found.odds_ratios["lfi"].low < math.exp(effects["lfi"] - effects["baseline"]) < found.odds_ratios["lfi"].high


def test_ratings_of_five_and_of_three_levels_have_no_common_agreement():
    five = crossed(lambda condition, rater, item: item % 2 == 0, 6, 6)
    three = five.assign(study="t", scale=3, value=five["value"].replace("5", "3"), rater="t" + five["rater"])
    found = analyse(pd.concat([five, three], ignore_index=True), PLAN)
    assert "ratings of 3 and 5 levels cannot agree with each other" in found.missing["agreement"]
    assert "primary ratio" not in found.missing, "what is consistent is defined for both"
