"""Nothing stands twice in a plan, and no exclusion rule is without effect."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from plans import write_plan
from sqlalchemy import select

from app.database.models import Cell
from app.engine import Turn
from app.study.checks import check_draft, check_rules
from app.study.creation import amend_study, create_study
from app.study.items import Added, add_items
from app.study.plan import StudyPlan
from app.study.planfile import read_plan
from app.study.service import find_study
from app.ui.studyitems import study_items
from lfi.errors import ConfigError


def planned(folder: Path, **design: object) -> StudyPlan:
    return read_plan(write_plan(folder, **design))


def with_analysis(plan: StudyPlan, **values: object) -> StudyPlan:
    return replace(plan, analysis=replace(plan.analysis, **values))


def test_one_catch_trial_of_which_one_may_be_failed_excludes_nobody(tmp_path):
    plan = planned(tmp_path, catch=True)
    check_rules(plan)
    expected = "max_failed_catch is 1, but there is only 1 catch trial, so nobody could ever be excluded; at most 0 was"
    with pytest.raises(ConfigError, match=expected):
        check_rules(with_analysis(plan, max_failed_catch=1))
    twice = replace(plan, catch=(plan.catch[0], replace(plan.catch[0], word="red circle")))
    check_rules(with_analysis(twice, max_failed_catch=1))
    with pytest.raises(ConfigError, match="there are only 2 catch trials"):
        check_rules(with_analysis(twice, max_failed_catch=2))


def test_a_catch_trial_that_takes_every_answer_is_refused(tmp_path):
    plan = planned(tmp_path, catch=True)
    easy = replace(plan.catch[0], expected=(1, 2, 3, 4, 5))
    with pytest.raises(ConfigError, match="the catch trial 'blue star' takes every answer for right"):
        check_rules(replace(plan, catch=(easy,)))


def test_least_answers_that_exclude_nobody_or_everybody_are_refused(tmp_path):
    plan = planned(tmp_path, trials=8, pair_overlap=1, pair_trials=4)
    for least in (0, 2, 12):
        check_rules(with_analysis(plan, min_answers=least))
    with pytest.raises(ConfigError, match="min_answers is 1, which excludes nobody"):
        check_rules(with_analysis(plan, min_answers=1))
    with pytest.raises(ConfigError, match="min_answers is 13, but a rater gives at most 12 answers"):
        check_rules(with_analysis(plan, min_answers=13))


def test_the_example_plans_rule_fires():
    plan = read_plan(Path("docs/study.toml"))
    check_rules(plan)
    assert len(plan.catch) > plan.analysis.max_failed_catch


def test_create_and_amend_refuse_a_rule_without_effect(studies, engine, tmp_path):
    path = write_plan(tmp_path, catch=True)
    text = path.read_text()
    path.write_text(text.replace("max_failed_catch = 0", "max_failed_catch = 1"))
    for act in (lambda: create_study(studies, path, engine), lambda: amend_study(studies, path)):
        with pytest.raises(ConfigError, match="nobody could ever be excluded"):
            act()


def test_the_same_picture_under_another_name_is_refused(studies, engine, tmp_path):
    path = write_plan(tmp_path, images=4)
    shutil.copy(tmp_path / "p0.png", tmp_path / "copy.png")
    Image.open(tmp_path / "p0.png").save(tmp_path / "other.webp", quality=85)  # other bytes, and not quite the same
    for name in ("copy.png", "other.webp"):
        path.write_text(path.read_text().replace('image = "p3.png"', f'image = "{name}"'))
        with pytest.raises(ConfigError, match=rf"p0\.png and {name} are the same picture; use one of the two names"):
            create_study(studies, path, engine)
        path.write_text(path.read_text().replace(name, "p3.png"))
    assert create_study(studies, path, engine).name == "pilot"


def test_the_same_word_spelt_otherwise_is_refused(tmp_path):
    path = write_plan(tmp_path, images=2)
    path.write_text(path.read_text() + '\n[[items]]\nimage = "p0.png"\nword = "Red  circle"\n')
    pictures = {f"p{number}.png": Image.open(tmp_path / f"p{number}.png") for number in range(2)}
    with pytest.raises(ConfigError, match=r"items holds 'Red  circle' on p0\.png twice \(first as 'red circle'\)"):
        check_draft(read_plan(path), pictures)


def test_a_picture_that_a_draft_knows_by_another_name_is_not_shown_as_another(studies, create, engine, tmp_path):
    """So no rater is asked about the same picture and word, or sees one picture twice in a condition.

    The inspector's page compresses what it hands out, so not a byte and hardly a pixel is the same.
    """
    name = create(open=False, images=3)
    data = study_items(["red circle", "pink heart"], Image.open(tmp_path / "plan" / "p0.png"), "ab" * 32)
    assert add_items(studies, name, data, engine, "test", Turn()) == Added(1, 1)
    with studies.database.reading() as session:
        rows = session.execute(select(Cell.item, Cell.image).distinct().order_by(Cell.item)).all()
        plan = studies.plan(session, find_study(session, name))
    assert tuple(rows[-1]) == ("i004", rows[0].image)
    assert (plan.items[3].image, plan.items[3].word) == ("p0.png", "pink heart")
