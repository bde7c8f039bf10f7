"""The report says what the interval says, shows changes, and needs nothing but itself."""

import json
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from study_tables import crossed

from evaluation.study.analysis import analyse
from evaluation.study.mixed import mixed_model
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
    assert record["n"] == {"raters": 40, "items": 20, "ratings": record["n"]["ratings"], "pairs": record["n"]["pairs"]}
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


def test_what_is_written_by_others_cannot_become_markup(tmp_path):
    table = crossed(lambda condition, rater, item: (rater + item) % 3 < (2 if condition == "lfi" else 1))
    table["study"] = "<script>alert(1)</script>"
    table.loc[table["rater"] == "r01", "excluded"] = "<b>asked</b>"
    write_report(analyse(table, PLAN), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "<script>" not in text
    assert "excluded by the owner: &lt;b&gt;asked&lt;/b&gt;" in text


def test_an_infinite_ratio_is_drawn_and_recorded(tmp_path):
    found = analyse(crossed(lambda condition, rater, item: condition == "lfi" and (rater + item) % 2 == 0), PLAN)
    write_report(found, tmp_path)
    record = json.loads((tmp_path / "analysis.json").read_text())
    assert record["primary"]["estimate"]["high"] == "Infinity"
    assert record["truth"] is None
    assert math.isinf(found.primary.estimate.value)


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
