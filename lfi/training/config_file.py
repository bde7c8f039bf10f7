"""A training run read from TOML: a file, values set over it, and the method that it names."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lfi.configuration import build
from lfi.errors import ConfigError, reason
from lfi.methods import METHODS
from lfi.shipped import recipe
from lfi.training.config import ObjectiveConfig, StudentSource, TrainConfig


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """A configuration from a TOML file and `section.key=value` overrides, values written as in TOML.

    The name of a recipe, such as `lfi`, is enough for one that comes with LFI.
    `method = "LFI"` stands for the losses and queries of that method (`lfi/methods.py`); keys of `[objective]` and
    `[student]` go over them.

    Raises:
        ConfigError: for an unreadable file, an unknown key (with the nearest known one) or a value of another type.
    """
    try:
        raw = tomllib.loads(recipe(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {reason(error)}") from error
    for override in overrides:
        _set(raw, override)
    if raw.get("task") == "vlm" or "vlm" in raw:
        raise ConfigError(f"{path} trains a 'vlm'; write task = \"teacher\", and [pretraining] in place of [vlm]")
    return build(TrainConfig, _with_method(raw))


def _set(raw: dict[str, Any], override: str) -> None:
    """Put `section.key=value` over what the file says."""
    key, sign, value = override.partition("=")
    parts = key.strip().split(".")
    if not sign or not all(parts):
        raise ConfigError(f"cannot read the override {override!r}; section.key=value was expected")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = value.strip()
    section = raw
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{part} in {override!r} is a value, not a section")
    section[parts[-1]] = parsed


def _with_method(raw: dict[str, Any]) -> dict[str, Any]:
    """The same values, `method` replaced by what it stands for."""
    if "method" not in raw:
        return raw
    rest = {name: value for name, value in raw.items() if name != "method"}
    name, task = raw["method"], raw.get("task", "student")
    if task != "student":
        raise ConfigError(f"method is {name!r} and task is {task!r}; only a student has a method")
    if not isinstance(name, str) or name not in METHODS:
        near = difflib.get_close_matches(str(name), METHODS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(METHODS)} was expected"
        raise ConfigError(f"unknown method {name!r}; {hint}")
    method = METHODS[name]
    for section, values, plain in (
        ("objective", method.objective, ObjectiveConfig()),
        ("student", method.student(StudentSource()), StudentSource()),
    ):
        own = {key: value for key, value in vars(values).items() if value != getattr(plain, key)}
        given = rest.get(section, {})
        if isinstance(given, dict):
            rest[section] = {**own, **given}
    return rest
