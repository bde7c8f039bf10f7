"""The whole planned analysis of a table of ratings, as one value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from evaluation.study.agreement import Reliability, level_matrix, ordinal_alpha, reliability
from evaluation.study.conduct import Conduct, confidence, error_left
from evaluation.study.contrasts import Contrast, wilcoxon_contrasts
from evaluation.study.estimate import Estimate
from evaluation.study.flow import Attrition, Flow, exclusion_flow
from evaluation.study.mixed import MixedModel, mixed_model
from evaluation.study.pictures import items_of, pictures_of
from evaluation.study.plan import AnalysisPlan, Registration
from evaluation.study.preference import BradleyTerry, Contest, bradley_terry, contests
from evaluation.study.ratio import Ratio, arms, consistency_ratio, consistent_shares
from evaluation.study.simulation import is_simulated
from evaluation.study.times import Times, response_times
from evaluation.study.widening import CLAIM_FROM
from lfi.errors import DataError, LFIError

NAMES = {"teacher": "Teacher", "lfi": "LFI student", "baseline": "Baseline", "shuffled": "Shuffled map"}
T = TypeVar("T")


@dataclass(frozen=True)
class Agreement:
    """Agreement on one condition's maps: ordinal alpha, and reliability of an item's mean."""

    alpha: Estimate
    icc: Reliability


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a table of ratings says, by the plan.

    Attributes:
        study: names of the studies in the table.
        simulated: the ratings come from simulated raters.
        truth: their true ratio, NaN where unknown.
        plan, registration, changes: the plan used, the one stored when the study opened, and where they differ.
        flow: from stored answers to analysed ones.
        shares: P(consistent) per condition.
        primary: the ratio that the plan names; None where the study asks for pairs alone, or one arm is empty.
        unexcluded: the same without any exclusion.
        others: ratios of the plan's numerator to the other conditions, by condition.
        levels: counts of levels, `{scale: {condition: [count of level 1, ...]}}`.
        missing: analyses that the plan names and that could not be made, with the reason.
        conduct: who looked when; with what that costs, the `confidence` of the ratios.
        attrition: what became of everybody who was invited; None where nobody knows, as of a bare table.
    """

    study: str
    simulated: bool
    truth: float
    plan: AnalysisPlan
    registration: Registration | None
    changes: list[tuple[str, Any, Any]]
    flow: Flow
    shares: dict[str, Estimate]
    primary: Ratio | None
    unexcluded: Ratio | None
    others: dict[str, Ratio]
    levels: dict[int, dict[str, list[int]]]
    contrasts: list[Contrast] = field(default_factory=list)
    contests: list[Contest] = field(default_factory=list)
    strengths: BradleyTerry | None = None
    agreement: dict[str, Agreement] = field(default_factory=dict)
    times: list[Times] = field(default_factory=list)
    mixed: MixedModel | None = None
    missing: dict[str, str] = field(default_factory=dict)
    conduct: Conduct = field(default_factory=Conduct)
    attrition: Attrition | None = None

    @property
    def confidence(self) -> float:
        """Of the ratios' intervals: the plan's, unless somebody looked, or may look, before the end."""
        return confidence(self.plan, self.conduct)

    @property
    def as_registered(self) -> bool:
        """Whether a plan was stored before the data, is intact, and is the one used."""
        return self.registration is not None and self.registration.intact and not self.changes

    @property
    def withheld(self) -> str:
        """Why no claim is made whatever the interval says; empty where one may be made."""
        if self.primary is not None and self.primary.raters < CLAIM_FROM:
            count = self.primary.raters
            return f"{count} {'rater is' if count == 1 else 'raters are'} too few, {CLAIM_FROM} are needed"
        if self.conduct.spent:
            return (
                "the study was opened again after its final answers had been seen, and a second try at the claim would "
                "err more often than planned"
            )
        if error_left(self.plan, self.conduct) <= 0:
            return "looks that were planned before the plan was amended spent all of the error that it allows now"
        if self.conduct.interim and not self.conduct.planned:
            return "the study goes on, and the plan has no look here"
        return ""

    @property
    def claim_holds(self) -> bool:
        """Whether the interval's lower bound reaches the claim, and it may be made."""
        return self.primary is not None and self.primary.estimate.low >= self.plan.claim and not self.withheld

    @property
    def verdict(self) -> str:
        """What may be said, in one or two sentences."""
        said = self._verdict()
        if self.primary is not None and self.withheld:
            said += f" “At least {self.plan.claim:g} times” is withheld: {self.withheld}."
        return f"INTERIM. {said}" if self.conduct.interim else said

    def _verdict(self) -> str:
        if self.primary is None:
            if "primary ratio" in self.missing:
                return f"There is no ratio of P(consistent): {self.missing['primary ratio']}."
            return "The study asked for pairs alone: there is no ratio of P(consistent)."
        found, claim = self.primary.estimate, self.plan.claim
        one, other = NAMES[self.plan.numerator], NAMES[self.plan.denominator]
        if math.isnan(found.value):
            return f"Neither {one} nor {other} was ever rated consistent: there is no ratio."
        times = f"{found} times as often as {other}"
        if self.claim_holds:
            return f"{one} is rated consistent at least {claim:g} times as often as {other}: {times}."
        if found.low > 1:
            more = f"{one} is rated consistent more often: {times}."
            if self.withheld:
                return more
            return f"{more} “At least {claim:g} times” {'is contradicted' if found.high < claim else 'is not shown'}."
        if found.high < 1:
            return f"{one} is rated consistent less often: {times}."
        return f"No difference is shown: {one} is rated consistent {times}."

    def record(self) -> dict[str, Any]:
        """As plain values for JSON; null stands for NaN, `"Infinity"` for no bound."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        values["flow"] = list(self.flow.steps)
        values["plan_sha256"] = self.plan.sha256
        values |= {"as_registered": self.as_registered, "claim_holds": self.claim_holds, "verdict": self.verdict}
        values |= {"interim": self.conduct.interim, "confidence": self.confidence, "withheld": self.withheld}
        values["n"] = counts(self.flow.analysed)
        return plain(values)


def analyse(
    table: pd.DataFrame,
    plan: AnalysisPlan,
    registration: Registration | None = None,
    *,
    conduct: Conduct | None = None,
    attrition: Attrition | None = None,
    truth: float = math.nan,
    quiet: bool = True,
) -> Analysis:
    """Run the plan on a table of `evaluation.study.ratings`.

    Args:
        registration: what the study stored when it opened.
        conduct: how it was run, if that is known.
        attrition: what became of everybody who was invited, if that is known.
        truth: the true ratio, where raters were simulated.
        quiet: no progress bar.

    Raises:
        DataError: no answers are left.
    """
    flow = exclusion_flow(table, plan)
    ratings = flow.analysed[flow.analysed["kind"] == "rating"]
    pairs = flow.analysed[flow.analysed["kind"] == "pair"]
    rated = (flow.everyone["kind"] == "rating").any()  # even if all of them were left out
    found = {} if ratings.empty and len(pairs) else arms(flow.analysed)
    missing: dict[str, str] = {}
    steps = tqdm(total=7, desc="analysis", unit="part", disable=quiet)

    def secondary(name: str, make: Callable[[], T], otherwise: T) -> T:
        """A secondary analysis that the data do not allow is reported, and stops nothing."""
        steps.update()
        if name not in plan.secondary:
            return otherwise
        try:
            return make()
        except LFIError as error:
            missing[name] = str(error)
            return otherwise

    def agreements() -> dict[str, Agreement]:
        scales = sorted(set(ratings["scale"].astype(int)))
        if len(scales) > 1:
            levels = " and ".join(map(str, scales))
            raise DataError(f"ratings of {levels} levels cannot agree with each other; analyse such studies one by one")
        matrices = {name: level_matrix(ratings[ratings["condition"] == name]) for name in found}
        return {
            name: Agreement(ordinal_alpha(levels, plan.confidence, seed=plan.seed), reliability(levels))
            for name, levels in matrices.items()
        }

    conduct = conduct or Conduct()
    looked = replace(plan, confidence=confidence(plan, conduct))  # of the ratios

    def ratio(above: str, below: str) -> Ratio | None:
        """None, and the reason on record, where a condition has no ratings: that stops no other figure."""
        try:
            return consistency_ratio(found, looked, above, below) if rated else None
        except DataError as error:
            missing["primary ratio" if below == plan.denominator else f"ratio to {below}"] = str(error)
            return None

    primary = ratio(plan.numerator, plan.denominator)
    compared = {name: ratio(plan.numerator, name) for name in found if name not in (plan.numerator, plan.denominator)}
    steps.update()
    with steps:
        return Analysis(
            study=", ".join(sorted(set(table["study"]))),
            simulated=is_simulated(table),
            truth=truth,
            plan=plan,
            registration=registration,
            changes=registration.changes(plan) if registration else [],
            flow=flow,
            shares=consistent_shares(found, plan),
            primary=primary,
            unexcluded=_unexcluded(flow, looked) if primary else None,
            others={name: other for name, other in compared.items() if other is not None},
            levels=_levels(ratings),
            contrasts=secondary("Wilcoxon", lambda: wilcoxon_contrasts(ratings, plan) if found else [], []),
            contests=secondary("pairs", lambda: contests(pairs, plan), []),
            strengths=secondary("pairs", lambda: bradley_terry(pairs, plan), None),
            agreement=secondary("agreement", agreements, {}),
            times=secondary("response times", lambda: response_times(flow.analysed), []),
            mixed=secondary("mixed model", lambda: mixed_model(ratings, plan) if found else None, None),
            missing=missing,
            conduct=conduct,
            attrition=attrition,
        )


def counts(answers: pd.DataFrame) -> dict[str, int]:
    """How many raters, items, pictures, ratings and pairs there are."""
    return {
        "raters": answers["rater"].nunique(),
        "items": len(np.unique(items_of(answers))),
        "pictures": len(np.unique(pictures_of(answers))),
        "ratings": int((answers["kind"] == "rating").sum()),
        "pairs": int((answers["kind"] == "pair").sum()),
    }


def _unexcluded(flow: Flow, plan: AnalysisPlan) -> Ratio | None:
    return None if len(flow.everyone) == len(flow.analysed) else consistency_ratio(arms(flow.everyone), plan)


def _levels(ratings: pd.DataFrame) -> dict[int, dict[str, list[int]]]:
    found: dict[int, dict[str, list[int]]] = {}
    for scale in sorted(set(ratings["scale"].astype(int)), reverse=True):
        chosen = ratings[ratings["scale"] == scale]
        found[scale] = {
            name: [int((rows == level).sum()) for level in range(1, scale + 1)]
            for name in NAMES
            if len(rows := chosen.loc[chosen["condition"] == name, "value"].astype(int))
        }
    return found


def plain(value: Any) -> Any:
    """Dataclasses, tuples and numpy numbers as JSON has them; null stands for NaN, `"Infinity"` for no bound."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return None
        return str(math.copysign(math.inf, value)).replace("inf", "Infinity") if math.isinf(value) else float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value
