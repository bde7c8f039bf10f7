"""Records go to a dashboard as well, by one switch."""

from __future__ import annotations

import sys

import pytest

from lfi.errors import ConfigError
from lfi.training.config import LoopConfig
from lfi.training.logbook import Logbook
from lfi.training.tracking import Tracker


def test_records_go_to_weights_and_biases_as_they_stand_in_the_logbook(tmp_path, monkeypatch):
    """The real package, offline: it writes a folder that can be sent later."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = tmp_path / "lfi-run"
    folder.mkdir()
    tracker = Tracker("wandb", folder, {"epochs": 3}, resumed=False)
    book = Logbook(folder, tensorboard=False, tracker=tracker)
    book.add({"step": 1, "loss": 2.0})
    book.add({"step": 2, "loss": 1.0})
    assert wandb.run.name == "lfi-run"
    assert wandb.run.config["epochs"] == 3
    assert wandb.run.summary["loss"] == 2.0, "of the step before: the last one goes when it is closed"
    book.close()
    assert wandb.run is None
    first = (folder / "wandb.id").read_text()
    Tracker("wandb", folder, {}, resumed=True).close()
    assert (folder / "wandb.id").read_text() == first, "a resumed run is the same run"
    written = list(folder.glob(f"wandb/offline-run-*/run-{first}.wandb"))
    assert written
    assert all(each.stat().st_size > 0 for each in written)


def test_what_is_not_installed_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ConfigError, match=r"loop.tracker is 'trackio', which is not installed; pip install trackio"):
        Tracker("trackio", tmp_path, {}, resumed=False)


def test_another_tracker_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match=r"loop.tracker is 'mlflow'; one of '', 'wandb', 'trackio' was expected"):
        LoopConfig(tracker="mlflow")
