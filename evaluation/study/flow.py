"""From stored events to the answers that are analysed, step by step, as a CONSORT diagram counts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.study.plan import AnalysisPlan


@dataclass(frozen=True)
class Step:
    """Something was left out.

    Attributes:
        reason: why.
        raters, answers: how many left with this step; a rater leaves with the last of their answers.
        raters_left, answers_left: how many remain.
    """

    reason: str
    raters: int
    answers: int
    raters_left: int
    answers_left: int


@dataclass(frozen=True, eq=False)
class Flow:
    """The way of the answers into the analysis.

    Attributes:
        steps: first what is not an answer of the study (previews, practice, superseded, catch trials), then exclusions.
        analysed: what the analysis reads.
        everyone: the same before any exclusion.
    """

    steps: tuple[Step, ...]
    analysed: pd.DataFrame
    everyone: pd.DataFrame


def exclusion_flow(table: pd.DataFrame, plan: AnalysisPlan) -> Flow:
    """Apply the plan's rules to a table of `evaluation.study.ratings`."""
    steps = [Step("stored", 0, 0, table["rater"].nunique(), len(table))]

    def keep(before: pd.DataFrame, kept: pd.Series | np.ndarray, reason: str) -> pd.DataFrame:
        after = before[np.asarray(kept, bool)]
        raters = after["rater"].nunique()
        steps.append(Step(reason, steps[-1].raters_left - raters, len(before) - len(after), raters, len(after)))
        return after

    rest = keep(table, ~table["preview"], "preview run")
    rest = keep(rest, ~rest["practice"], "practice trial")
    rest = rest.sort_values("created_at", kind="stable")  # of rows alone: clocks step back, revisions do not
    latest = rest.sort_values("revision", kind="stable").drop_duplicates(["study", "rater", "trial"], keep="last")
    rest = keep(rest, rest.index.isin(latest.index), "answered again later")
    failed = rest[rest["catch"]].assign(failed=lambda rows: ~rows["catch_passed"].astype(bool))
    failures = failed.groupby("rater")["failed"].sum()
    everyone = rest = keep(rest, ~rest["catch"], "catch trial (set aside)")

    for reason in sorted(set(rest["excluded"]) - {""}):
        rest = keep(rest, rest["excluded"] != reason, f"excluded by the owner: {reason}")
    careless = failures[failures > plan.max_failed_catch].index
    rest = keep(rest, ~rest["rater"].isin(careless), f"rater failed more than {plan.max_failed_catch} catch trials")
    rest = keep(rest, rest["response_ms"] >= plan.min_response_ms, f"answered within {plan.min_response_ms} ms")
    if plan.min_answers:
        answers = rest.groupby("rater")["rater"].transform("size")
        rest = keep(rest, answers >= plan.min_answers, f"rater with fewer than {plan.min_answers} answers")
    return Flow(tuple(steps), rest.reset_index(drop=True), everyone.reset_index(drop=True))
