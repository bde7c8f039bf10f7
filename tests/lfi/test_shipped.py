"""What comes with LFI is found from any folder, and nothing that lies there takes its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfi.errors import ConfigError, UnknownModelError
from lfi.shipped import MODELS, RECIPES, recipe, shipped_teacher
from lfi.teachers import load_teacher
from lfi.training.config import TeacherSource
from lfi.training.config_file import load_config


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder that holds nothing of the project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_default_teacher_does_not_depend_on_the_working_directory(elsewhere: Path):
    (elsewhere / "scenes").mkdir()
    (elsewhere / "static/models/scenes/teacher").mkdir(parents=True)
    assert load_teacher(TeacherSource().model).fingerprint == load_teacher(MODELS / "scenes" / "teacher").fingerprint


def test_a_path_means_the_folder_that_it_names(elsewhere: Path):
    (elsewhere / "scenes").mkdir()
    with pytest.raises(UnknownModelError, match="scenes has no open_clip_config"):
        load_teacher("./scenes")
    for name in ("nobody", "../models/scenes", "", "."):
        assert shipped_teacher(name) is None


def test_a_recipe_is_found_by_its_name_unless_a_file_is_meant(elsewhere: Path):
    assert recipe(Path("lfi")) == recipe(Path("lfi.toml")) == RECIPES / "lfi.toml"
    assert load_config(Path("lfi")) == load_config(RECIPES / "lfi.toml")
    (elsewhere / "lfi.toml").write_text("[loop]\nepochs = 7\n")
    assert load_config(Path("lfi.toml")).loop.epochs == 7
    with pytest.raises(ConfigError, match=r"cannot read the configuration lf\.toml"):
        load_config(Path("lf.toml"))
