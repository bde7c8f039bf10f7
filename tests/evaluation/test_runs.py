"""Runs in processes of their own, and the recipes of what is kept."""

from __future__ import annotations

from pathlib import Path
from subprocess import CalledProcessError, check_call

import pytest
import torch

from evaluation.runs import check_recipe, in_processes
from lfi.errors import ConfigError


@pytest.mark.slow
def test_an_error_in_one_run_begins_no_more_of_them(tmp_path: Path):
    slow = [(["sh", "-c", f"sleep 0.5; touch {tmp_path}/{number}"],) for number in range(6)]
    with pytest.raises(CalledProcessError):
        list(in_processes(check_call, [(["false"],), *slow], 1, "test", "run"))
    assert not (tmp_path / "5").exists()


@pytest.mark.slow
def test_processes_share_the_threads_that_the_environment_grants(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert list(in_processes(torch.get_num_threads, [()], 1, "test", "run")) == [1], "however many cores there are"


def test_what_another_recipe_made_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "run.json"
    check_recipe(path, {"scale": {"epochs": [4, 4]}}, {"scale": {"epochs": (4, 4), "clip": 1.0}})
    with pytest.raises(
        ConfigError, match=r"run\.json was made with scale\.epochs \[4, 4\], which is \[5, 4\] now; move"
    ):
        check_recipe(path, {"scale": {"epochs": [4, 4]}}, {"scale": {"epochs": (5, 4)}})
    with pytest.raises(ConfigError, match=r"run\.json does not say how it was made"):
        check_recipe(path, {}, {})
