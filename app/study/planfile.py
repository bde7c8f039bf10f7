"""A study's design in the file that its owner writes, `study.toml`: read, checked, its pictures found and hashed."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.study.plan import Item, Known, RulesPlan, StudyPlan, check_texts, plan_of
from lfi.errors import ConfigError, reason

_YEAR_MINUTES = 525_600


def read_plan(path: Path) -> StudyPlan:
    """The plan in a TOML file, its pictures found and hashed.

    Raises:
        ConfigError: no such file, no TOML, or anything in it that is missing, misspelt or impossible.
    """
    try:
        with written_as_toml(path):
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
            if "pictures" in raw:
                raise ConfigError("unknown key pictures; it is computed from the files")
            plan = plan_of(raw)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {reason(error)}") from error
    _check_rules(plan.rules)
    _check_tables(plan)
    shown: tuple[Item | Known, ...] = (*plan.items, *plan.practice, *plan.catch)
    paths = dict.fromkeys(each.image for each in shown)
    raw["pictures"] = {name: _sha256(path.parent / name) for name in paths}
    return plan_of(raw)


@contextmanager
def written_as_toml(what: Path | str) -> Iterator[None]:
    """Name what is read here, where it is no TOML, or is nested more deeply than it can be read.

    Raises:
        ConfigError: it is.
    """
    try:
        yield
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} is not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{what} is nested too deeply") from error


def _check_rules(rules: RulesPlan) -> None:
    """A new plan gives places up within a year, and says who may enter: whoever finds an open address could otherwise
    fill the study with a script."""
    if rules.lease_minutes > _YEAR_MINUTES:
        raise ConfigError(f"rules.lease_minutes is {rules.lease_minutes:g}; at most {_YEAR_MINUTES} was expected")
    if rules.prolific and not rules.prolific_study:
        raise ConfigError("rules.prolific_study is missing; it is the STUDY_ID of the study at Prolific")
    if rules.prolific and not rules.entry:
        raise ConfigError("rules.entry is missing: signed, listed, or open to anybody who makes up an id")


def _check_tables(plan: StudyPlan) -> None:
    """A new plan holds texts wherever it says something per language."""
    for item in plan.items:
        check_texts(f"shown of {item.word!r}", item.shown)
    for trial in (*plan.practice, *plan.catch):
        check_texts(f"shown of {trial.word!r}", trial.shown)
        check_texts(f"feedback of {trial.word!r}", trial.feedback)
    for check in plan.check:
        check_texts("question of a check", check.question)
        for language, answers in check.answers.items():
            lines = answers if isinstance(answers, list) else [answers]
            check_texts(f"answers.{language} of a check", {str(number): line for number, line in enumerate(lines, 1)})


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:  # the latter is a path with NUL
        raise ConfigError(f"cannot read the picture {path}: {reason(error)}") from error
