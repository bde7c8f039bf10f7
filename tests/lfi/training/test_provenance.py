"""A run goes on only as what it was begun as."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfi.errors import ConfigError
from lfi.training.checkpoints import CHECKPOINT
from lfi.training.config import DataConfig, LoopConfig, StudentSource, TeacherSource, TrainConfig
from lfi.training.provenance import check_begun, difference, write_provenance

CONFIG = TrainConfig()


def test_the_first_difference_is_named_and_what_was_not_kept_counts_as_the_same():
    before = {"task": "student", "student": {"queries": 8, "overrides": {"depth": 4}}}
    assert difference(before, before) is None
    assert (
        difference(before, {"task": "student", "student": {"queries": 8, "taps": (1, 2)}, "loop": {"ema": 0.9}}) is None
    )
    assert difference(before, {"task": "teacher"}) == ("task", "student", "teacher")
    assert difference(before, {"student": {"queries": 4}}) == ("student.queries", 8, 4)
    assert difference(before, {"student": {"overrides": {}}}) == ("student.overrides", {"depth": 4}, {})
    assert difference(before, {"student": {"queries": 4}}, free={"student.queries"}) is None


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"student": StudentSource(queries=5)}, "student.queries"),
        ({"objective": replace(CONFIG.objective, feature_kd=0.5)}, "objective.feature_kd"),
        ({"data": DataConfig(count=17)}, "data.count"),
        ({"teacher": TeacherSource(layers=(1,))}, "teacher.layers"),
    ],
)
def test_a_run_that_was_begun_otherwise_is_refused_and_its_folder_left_alone(tmp_path, change, name):
    write_provenance(tmp_path, CONFIG, teacher="one@1")
    (tmp_path / CHECKPOINT).touch()
    kept = (tmp_path / "config.json").read_text()
    with pytest.raises(ConfigError, match=rf"was begun with {name} .* was asked for"):
        write_provenance(tmp_path, replace(CONFIG, **change), resume=True, teacher="one@1")
    with pytest.raises(ConfigError, match=r"was begun with teacher 'one@1', and 'other@2' was asked for"):
        write_provenance(tmp_path, CONFIG, resume=True, teacher="other@2")
    assert (tmp_path / "config.json").read_text() == kept
    write_provenance(tmp_path, replace(CONFIG, **change), teacher="one@1")  # a new run in an old folder
    assert (tmp_path / "config.json").read_text() != kept


def test_places_and_the_loop_may_change(tmp_path):
    check_begun(tmp_path, CONFIG)  # of a folder without records nothing can be said
    write_provenance(tmp_path, CONFIG, teacher="one@1")
    teacher = replace(CONFIG.teacher, model="there", cache="elsewhere")
    moved = replace(CONFIG, loop=LoopConfig(epochs=99), teacher=teacher)
    check_begun(tmp_path, moved, teacher="one@1")
    with pytest.raises(ConfigError, match=r"was begun with loop\.optimizer 'adamw', and 'muon' was asked for"):
        check_begun(tmp_path, replace(CONFIG, loop=LoopConfig(optimizer="muon")), teacher="one@1")
    write_provenance(tmp_path, CONFIG, backbone="runs/lfi")
    check_begun(tmp_path, CONFIG, backbone="elsewhere/lfi")
