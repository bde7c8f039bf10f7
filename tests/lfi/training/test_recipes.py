"""Configurations: recipes are what they claim, and a wrong one is answered with what would be right."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from lfi.errors import ConfigError
from lfi.methods import METHODS
from lfi.training.config import StudentSource, TrainConfig
from lfi.training.config_file import load_config

RECIPES = sorted((Path(__file__).parents[3] / "lfi/training/recipes").glob("*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_a_configuration(recipe):
    assert isinstance(load_config(recipe), TrainConfig)


METHOD_RECIPES = {
    "lfi": "LFI",
    "logit-kd": "logit KD",
    "feature-kd": "feature KD",
    "activation-attention": "activation attention",
    "attention-transfer": "attention transfer",
    "relational-kd": "relational KD",
    "dist": "DIST",
    "no-distillation": "no distillation",
    "queries-only": "queries only",
    "shuffled-maps": "shuffled maps",
    "tiny-imagenet": "LFI + logit KD",
    "domains": "LFI + logit KD",
}


@pytest.mark.parametrize(("recipe", "name"), METHOD_RECIPES.items())
def test_a_recipe_names_its_method_and_has_no_weights_of_its_own(recipe, name):
    (path,) = [path for path in RECIPES if path.stem == recipe]
    config, method = load_config(path), METHODS[name]
    assert config.objective == method.objective
    assert config.student == method.student(StudentSource())
    assert not {"objective", "student"} & tomllib.loads(path.read_text()).keys()


def test_keys_of_a_section_go_over_the_method(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('method = "logit KD"\n[objective]\ndist = 2.0')
    config = load_config(path, ['method="LFI + logit KD"', "objective.interaction=0.5", "student.queries=4"])
    ours = METHODS["LFI + logit KD"].objective
    assert config.objective == replace(ours, dist=2.0, interaction=0.5)
    assert (config.student.queries, config.student.by_name) == (4, True)


def test_a_folder_of_a_recipes_name_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "lfi").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("lfi")) == load_config(RECIPES[0].parent / "lfi.toml")


def test_there_are_recipes_for_the_method_and_its_controls():
    assert {"lfi", "logit-kd", "feature-kd", "no-distillation", "queries-only", "shuffled-maps"} <= {
        p.stem for p in RECIPES
    }


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("[loop]\nepoch = 3", [], "unknown key loop.epoch; did you mean loop.epochs"),
        ("[loop]\nepochs = 'three'", [], "loop.epochs is 'three'; int was expected"),
        ("[loop", [], "cannot read the configuration"),
        ("[teacher]\nmaps = 'best'", [], "teacher.maps is 'best'"),
        ("", ["loop.epochs"], "section.key=value was expected"),
        ("", ["loop.epochs=true"], "int was expected"),
        ("loop = 3", [], "a section was expected"),
        ("method = 'LFi'", [], "unknown method 'LFi'; did you mean 'LFI'?"),
        ("method = 3", [], "unknown method 3; one of no distillation, logit KD, "),
        ("method = 'LFI'\nobjective = 3", [], "objective is 3; a section was expected"),
        ("method = 'LFI'\ntask = 'detection'", [], "only a student has a method"),
        ("[student]\nfeedback = true\n[loop]\nparallel = 'fsdp'", [], "which FSDP cannot share out; use 'ddp'"),
        ("[loop]\nlearning_rate = -1.0", [], "loop.learning_rate is -1.0; a number of 0 or more was expected"),
        ("[loop]\nlearning_rate = nan", [], "loop.learning_rate is nan; a number of 0 or more was expected"),
        ("", [f"loop.seed={2**63}"], r"loop.seed is 9223372036854775808; less than 2\^63 was expected"),
        ("[student]\nqueries = -1", [], "student.queries is -1; 0 or more was expected"),
        ("[student]\ntaps = [3, 1]", [], r"student.taps is \[3, 1\]; rising numbers were expected"),
        ("[student]\ntaps = [1, 1]", [], r"student.taps is \[1, 1\]; rising numbers were expected"),
        ("[objective]\nsmoothing = 2.0", [], "objective.smoothing is 2.0; less than 1 was expected"),
        ("[objective]\ninteraction = inf", [], "objective.interaction is inf; 0 or more was expected"),
        ("[objective.extra]\n'x.py:Y' = 'much'", [], "objective.extra.*much"),
        ("[objective.extra]\n'x.py:Y' = -1.0", [], "objective.x.py:Y is -1.0; 0 or more was expected"),
        ("[objective.extra]\n'x.py:Y' = -1", [], "objective.x.py:Y is -1; 0 or more was expected"),
        ("[objective.extra]\n'x.py:Y' = true", [], "objective.extra gives x.py:Y the weight True; a number"),
        ("[loop]\nweight_decay = nan", [], "loop.weight_decay is nan; 0 or more was expected"),
        ("a = " + "[" * 5000, [], "cannot read the configuration"),
        ("", ["student.taps=" + "[" * 5000], "student.taps is "),
        ("[data]\ncount = 0", [], "data.count is 0; at least 1 scene was expected"),
        ("[teacher]\ntower_layers = [5, 2]", [], r"teacher.tower_layers is \[5, 2\]; rising numbers were expected"),
        ("method = 'LFI'\n[data]\nlabelled = 0.1", [], "data.labelled is 0.1 and teacher.maps is 'statements'"),
    ],
)
def test_a_wrong_configuration_is_answered_with_what_would_be_right(tmp_path, text, overrides, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path, overrides)


def test_overrides_go_over_the_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[loop]\nepochs = 3\n[student]\ntaps = [0, 1]")
    config = load_config(path, ["loop.epochs=7", "objective.shuffle=true", "teacher.maps=captions"])
    assert (config.loop.epochs, config.objective.shuffle, config.student.taps) == (7, True, (0, 1))
    assert config.teacher.maps == "captions"
