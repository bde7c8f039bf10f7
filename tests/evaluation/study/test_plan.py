"""What was decided before the data is kept, and every change to it is shown."""

import json
import math

import pytest

from evaluation.study.plan import AnalysisPlan, Registration, register
from lfi.errors import ConfigError, DataError


def test_the_hash_is_of_the_content_alone():
    assert AnalysisPlan().sha256 == AnalysisPlan.from_mapping(json.loads(AnalysisPlan().json)).sha256
    assert AnalysisPlan().sha256 != AnalysisPlan(claim=2.6).sha256
    assert len(AnalysisPlan().sha256) == 64


def test_a_change_is_shown_by_name():
    registration = register(AnalysisPlan(), "2026-11-24T09:00:00Z")
    assert registration.intact
    assert registration.changes(AnalysisPlan()) == []
    assert registration.changes(AnalysisPlan(claim=2.0, min_answers=5)) == [
        ("claim", 2.7, 2.0),
        ("min_answers", 0, 5),
    ]


def test_a_tampered_plan_is_not_intact():
    registration = register(AnalysisPlan(), "")
    assert not Registration(AnalysisPlan(claim=2.0).json, registration.sha256).intact


def test_a_studys_whole_plan_can_be_registered():
    before = {"name": "s", "rating": {"overlap": 5}, "analysis": json.loads(AnalysisPlan().json)}
    after = {**before, "rating": {"overlap": 3}}
    registration = Registration(json.dumps(before), "", "", json.dumps(after))
    assert registration.changes(AnalysisPlan(draws=500)) == [
        ("analysis.draws", 10000, 500),
        ("rating.overlap", 5, 3),
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"claims": 3}, "unknown key analysis.claims"),
        ({"claim": "high"}, "claim"),
        ({"claim": 0}, "claim is 0"),
        ({"numerator": "ours"}, "numerator is 'ours'; one of teacher, lfi"),
        ({"denominator": "lfi"}, "numerator and denominator are both lfi"),
        ({"confidence": 95.0}, "confidence is 95"),
        ({"draws": 10}, "draws are 10; at least 100"),
        ({"secondary": ["magic"]}, "unknown analysis magic"),
        ({"min_answers": -1}, "min_answers is -1"),
        ({"claim": math.inf}, "claim is inf"),
        ({"claim": math.nan}, "claim is nan"),
        ({"notes": "half \ud83d"}, "notes hold half a character"),
    ],
)
def test_an_impossible_plan_is_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        AnalysisPlan.from_mapping(values)


def test_an_export_says_what_was_registered_and_what_is_in_force(tmp_path):
    path, content = tmp_path / "plan.json", {"name": "s", "analysis": json.loads(AnalysisPlan().json)}
    amended = {**content, "analysis": {**content["analysis"], "draws": 500}}
    versions = [{"hash": "draft", "plan": {}}, {"hash": "a", "plan": content}, {"hash": "b", "plan": amended}]
    path.write_text(json.dumps({"opened_hash": "a", "versions": versions}))
    registration = Registration.read(path)
    assert (registration.sha256, registration.intact) == ("a", False), "the file was tampered with"
    assert json.loads(registration.plan_json) == content
    assert registration.in_force == AnalysisPlan(draws=500)
    assert registration.changes(registration.in_force) == [("analysis.draws", 10000, 500)]
    path.write_text(json.dumps({"opened_hash": None, "versions": versions}))
    with pytest.raises(DataError, match="of a study that never opened"):
        Registration.read(path)
    path.write_text(json.dumps({"versions": [{"plan": {}}]}))
    with pytest.raises(DataError, match=r"is not the plan\.json of an export: versions, each with its hash"):
        Registration.read(path)
    path.write_text(AnalysisPlan(claim=2.0).json)
    assert Registration.read(path) == register(AnalysisPlan(claim=2.0), "")


def test_a_plan_that_was_amended_and_amended_back_is_in_force_as_it_is_now(tmp_path):
    path, first, second = tmp_path / "plan.json", {"analysis": {"draws": 200}}, {"analysis": {"draws": 300}}
    versions = [{"hash": hash, "plan": plan} for hash, plan in (("a", first), ("b", second), ("a", first))]
    path.write_text(json.dumps({"opened_hash": "a", "versions": versions}))
    assert Registration.read(path).in_force == AnalysisPlan(draws=200)


@pytest.mark.parametrize(
    "text",
    [
        '{"opened_hash": "a", "versions": [{"hash": "a", "plan": [1]}]}',
        '{"opened_hash": ["a"], "versions": [{"hash": "a", "plan": {}}]}',
        '{"opened_hash": "a", "versions": 3}',
        "[" * 100_000,
        '{"a":' * 900 + "1" + "}" * 900,
        '{"notes": "\\ud83d"}',
        '{"analysis": []}',
    ],
    ids=["list as plan", "list as hash", "number", "deep", "deep to hash", "half an emoji", "list as analysis"],
)
def test_a_registration_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises((DataError, ConfigError)):
        assert Registration.read(tmp_path / "plan.json").in_force


def test_a_plan_is_read_from_json(tmp_path):
    (tmp_path / "plan.json").write_text(AnalysisPlan(claim=2.0).json)
    assert AnalysisPlan.read(tmp_path / "plan.json") == AnalysisPlan(claim=2.0)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="does not hold a JSON object"):
        AnalysisPlan.read(tmp_path / "list.json")
    with pytest.raises(DataError, match="cannot be read as an analysis plan: no such file"):
        AnalysisPlan.read(tmp_path / "none.json")
