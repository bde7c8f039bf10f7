"""Simulated raters against a service in its own process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.study_load import Load, run_load


@pytest.mark.slow
def test_a_service_that_is_killed_midway_loses_no_answer(tmp_path: Path):
    load = Load(raters=8, items=4, trials=6, think=0.1, spread=1, lease=0.2)
    found = run_load(load, f"sqlite:///{tmp_path / 'study.db'}", tmp_path)
    assert found.kills == 1
    assert (found.lost, found.duplicates, found.off_target) == (0, 0, 0)
    assert found.acknowledged >= load.answers
