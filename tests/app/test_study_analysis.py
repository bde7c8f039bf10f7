"""`lfi study plan|analyse|simulate|demo`, typed as a user types them."""

import json
import re

import pytest
from commandline import lfi

from evaluation.study.plan import AnalysisPlan


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "simulated.csv"
    assert lfi("study", "simulate", "--out", path, "--raters", 16, "--items", 12, "--trials", 24, "--pairs", 2) == 0
    return path


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(AnalysisPlan(draws=200, secondary=("Wilcoxon", "pairs")).json)
    return path


def test_a_table_is_analysed_without_any_study(table, plan, tmp_path, capsys):
    assert lfi("study", "analyse", table, "--out", tmp_path / "report", "--plan", plan) == 0
    printed = capsys.readouterr().out
    assert "Simulated raters, not people." in printed
    assert "No plan was registered before the data" in printed
    assert "LFI student is rated consistent more often" in printed
    assert (tmp_path / "report" / "report.html").is_file()
    record = json.loads((tmp_path / "report" / "analysis.json").read_text())
    assert record["plan_sha256"] == AnalysisPlan.read(plan).sha256


def test_a_plan_that_was_changed_or_tampered_with_is_said(table, plan, tmp_path, capsys):
    first = tmp_path / "first.json"
    first.write_text(AnalysisPlan(draws=200, secondary=("Wilcoxon", "pairs"), claim=3.5).json)
    out = tmp_path / "report"
    assert lfi("study", "analyse", table, "--out", out, "--plan", plan, "--registered", first) == 0
    assert "Changed since the plan was registered: claim was 3.5, is 2.7." in capsys.readouterr().out
    hashed = ("--registered", plan, "--registered-sha256", AnalysisPlan(claim=9.0).sha256)
    assert lfi("study", "analyse", table, "--out", out, *hashed) == 0
    assert "no longer has the hash" in (out / "report.html").read_text()
    assert "The registered plan does not have the hash" in capsys.readouterr().out


def test_a_published_hash_without_a_plan_to_compare_it_with_is_refused(table, tmp_path, capsys):
    assert lfi("study", "analyse", table, "--out", tmp_path / "report", "--registered-sha256", "0" * 64) == 2
    assert capsys.readouterr().err.startswith("lfi: --registered-sha256 has no plan to be compared with")
    assert not (tmp_path / "report").exists()


def test_a_study_is_planned(tmp_path, capsys):
    out, figures = tmp_path / "plots" / "power.svg", tmp_path / "power.json"
    sizes = ("--raters", "10,60", "--items", "10,40", "--studies", 20)
    assert lfi("study", "plan", "--ratio", 4, *sizes, "--out", out, "--json", figures) == 0
    printed = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+) +(\d+) +\d+ +[\d,]+  (\d\.\d\d) \[", printed, re.MULTILINE)
    power = {(int(raters), int(items)): float(value) for raters, items, value in rows}
    assert set(power) == {(10, 10), (60, 10), (10, 40), (60, 40)}
    assert power[60, 40] > power[10, 10]
    assert "raters" in out.read_text()
    assert "P(lower bound ≥ 2.7)" in out.read_text()
    assert len(json.loads(figures.read_text())["sizes"]) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "--ratio", 6), "6.0 times a baseline of 0.18 is a share of 1.08"),
        (("plan", "--raters", "some"), "raters are 'some'"),
        (("plan", "--out", "power.foo"), "the plot is power.foo"),
        (("plan", "--claim", "nan"), "the claim is nan; a ratio above 0"),
        (("plan", "--bias", 1000), "bias of the simulated raters is 1000.0; at most 10"),
        (("plan", "--power", 80), "the wanted power is 80.0"),
        (("analyse", "nothing.csv"), "no table of ratings at nothing.csv"),
        (("simulate", "--out", "table.xlsx"), "ends in .xlsx"),
        (("simulate", "--scale", 7), "scale is 7; 5 or 3"),
        (
            ("simulate", "--url", "http://127.0.0.1:9", "--study", "people"),
            "study is 'people'; one whose name contains",
        ),
        (("demo", "--name", "real"), "name is 'real'; it must contain 'simulated'"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lfi("study", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"lfi: {said}") or said in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_demonstration_ends_in_a_report_whose_interval_holds_the_truth(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LFI_STUDY_FOLDER", str(tmp_path / "study"))
    out = tmp_path / "report"
    assert lfi("study", "demo", "--items", 8, "--overlap", 6, "--out", out) == 0
    assert "True ratio 3: the interval contains it." in capsys.readouterr().out
    record = json.loads((out / "analysis.json").read_text())
    estimate = record["primary"]["estimate"]
    assert record["simulated"] is True
    assert record["as_registered"] is True
    assert estimate["low"] <= 3 <= (float("inf") if estimate["high"] == "Infinity" else estimate["high"])
    left = {step["reason"]: step["answers_left"] for step in record["flow"]}
    assert left["catch trial (set aside)"] == (4 * 6 + 6 // 2) * 8  # every cell at its target
    assert all("simulated raters, not people" in path.read_text() for path in out.glob("*.svg"))
