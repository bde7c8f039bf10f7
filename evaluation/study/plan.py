"""The analysis plan: everything that an analyst could choose after seeing the data, chosen before and hashed.

A study stores the plan and its sha256 when it opens. The analysis is run by the plan it is given; where that is not the
one that was stored, the report says what was changed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.study.ratings import CONDITIONS
from lfi.configuration import build
from lfi.errors import ConfigError, DataError, reason

SECONDARY = ("mixed model", "Wilcoxon", "pairs", "agreement", "response times")


@dataclass(frozen=True)
class AnalysisPlan:
    """What is analysed, how, and when the claim is made.

    Attributes:
        numerator, denominator: conditions whose P(consistent) the primary ratio compares.
        claim: the ratio that is claimed if, and only if, the interval's lower bound is at least as large.
        confidence: of every interval.
        draws: bootstrap draws.
        seed: of the bootstrap.
        max_failed_catch: a rater who fails more catch trials than this is left out.
        min_response_ms: a faster answer is left out.
        min_answers: a rater with fewer answers (pairs and ratings, catch trials aside) is left out.
        secondary: which other analyses the report holds; all of `SECONDARY` unless told.
        looks: at which shares of the wanted answers the owner may look before the end, `[0.5]`; rising, below 1. The
            primary interval is wider then, so that all looks together err no more often (`evaluation.study.conduct`).
        notes: anything else that was decided before, in words.
    """

    numerator: str = "lfi"
    denominator: str = "baseline"
    claim: float = 2.7
    confidence: float = 0.95
    draws: int = 10_000
    seed: int = 0
    max_failed_catch: int = 1
    min_response_ms: int = 300
    min_answers: int = 0
    secondary: tuple[str, ...] = SECONDARY
    looks: tuple[float, ...] = ()
    notes: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "secondary", tuple(self.secondary))
        object.__setattr__(self, "looks", tuple(self.looks))
        if any(not low < high for low, high in itertools.pairwise((0.0, *self.looks, 1.0))):
            raise ConfigError(
                f"looks are {list(self.looks)}; shares of the answers that rise between 0 and 1 were expected"
            )
        for name in ("numerator", "denominator"):
            if getattr(self, name) not in CONDITIONS:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; one of {', '.join(CONDITIONS)} was expected")
        if self.numerator == self.denominator:
            raise ConfigError(f"numerator and denominator are both {self.numerator}; two conditions were expected")
        if not 0 < self.claim < math.inf:
            raise ConfigError(f"claim is {self.claim}; a ratio above 0 was expected")
        if not 0.5 < self.confidence < 1:
            raise ConfigError(f"confidence is {self.confidence}; between 0.5 and 1 was expected")
        if self.draws < 100:
            raise ConfigError(f"draws are {self.draws}; at least 100 were expected")
        for name in ("seed", "max_failed_catch", "min_response_ms", "min_answers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; 0 or more was expected")
        if any("\ud800" <= character <= "\udfff" for character in self.notes):
            raise ConfigError("notes hold half a character (a lone surrogate); whole ones were expected")
        if unknown := set(self.secondary) - set(SECONDARY):
            raise ConfigError(f"unknown analysis {', '.join(sorted(unknown))}; {', '.join(SECONDARY)} were expected")

    @property
    def json(self) -> str:
        """Canonical JSON: sorted keys, no spaces; what is hashed and stored."""
        return canonical_json(self.content)

    @property
    def content(self) -> dict[str, Any]:
        """As plain values. `looks` is left out where there is none, so plans from before it keep their hash."""
        return {name: value for name, value in asdict(self).items() if name != "looks" or value}

    @property
    def sha256(self) -> str:
        """Hash of `json`, hexadecimal."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> AnalysisPlan:
        """A plan from a table of a study's TOML, or from parsed JSON.

        Raises:
            ConfigError: an unknown name, or a value of the wrong type or out of range.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"analysis is {values!r}; a table was expected")
        return build(cls, dict(values), "analysis.")

    @classmethod
    def read(cls, path: Path) -> AnalysisPlan:
        """A plan from a JSON file.

        Raises:
            DataError: no such file, or no JSON object.
            ConfigError: as in `from_mapping`.
        """
        return cls.from_mapping(_object(path))


@dataclass(frozen=True)
class Registration:
    """What was stored when a study opened.

    Attributes:
        plan_json: canonical JSON of an `AnalysisPlan`, or of a study's whole plan with one under `analysis`.
        sha256: hash that was stored with it, hexadecimal.
        registered_at: when, ISO 8601.
        study_now: the study's whole plan as it is now, where the whole plan was registered.
    """

    plan_json: str
    sha256: str
    registered_at: str = ""
    study_now: str = ""

    @classmethod
    def read(cls, path: Path) -> Registration:
        """What was registered, from a file: an analysis plan as JSON, or `plan.json` of a study's export.

        Raises:
            DataError: no such file, no JSON object, or an export of a study that never opened.
            ConfigError: as in `AnalysisPlan.from_mapping`.
        """
        values = _object(path)
        if "versions" not in values:
            plan = AnalysisPlan.from_mapping(values)
            return cls(plan.json, plan.sha256)
        try:
            versions = [(version["hash"], canonical_json({**version["plan"]})) for version in values["versions"]]
            opened = values["opened_hash"]
            registered = dict(versions).get(opened)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path} is not the plan.json of an export: versions, each with its hash and its plan, and an "
                "opened_hash were expected"
            ) from error
        if registered is None:
            raise DataError(f"{path} is of a study that never opened, so no plan was registered")
        return cls(registered, opened, study_now=versions[-1][1])

    @property
    def in_force(self) -> AnalysisPlan:
        """The analysis as it is planned now, which is how it was registered unless the study was amended."""
        values = json.loads(self.study_now or self.plan_json)
        return AnalysisPlan.from_mapping(values.get("analysis", values))

    @property
    def intact(self) -> bool:
        """Whether the stored JSON still has the stored hash."""
        return hashlib.sha256(self.plan_json.encode()).hexdigest() == self.sha256

    def changes(self, plan: AnalysisPlan) -> list[tuple[str, Any, Any]]:
        """`(name, registered, used)` wherever the plans differ, `analysis.draws` for what lies deeper."""
        was, used = json.loads(self.plan_json), json.loads(plan.json)
        study = json.loads(self.study_now) if self.study_now else was
        now = {**study, "analysis": used} if "analysis" in was else used
        before, after = _flat(was), _flat(now)
        names = sorted(before.keys() | after.keys())
        return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def register(plan: AnalysisPlan, at: str) -> Registration:
    """What to store when a study opens at that time."""
    return Registration(plan.json, plan.sha256, at)


def _object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        canonical_json(values).encode()  # half an emoji cannot be hashed, nor can what is too deep
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as an analysis plan: {reason(error)}") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} does not hold a JSON object")
    return values


def canonical_json(values: Mapping[str, Any]) -> str:
    """Sorted keys, no spaces: what is stored and hashed of a plan."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return flat
