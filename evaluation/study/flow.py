"""From stored events to the answers that are analysed, step by step, as a CONSORT diagram counts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import BY_RULE, FAILED, TOO_FAST


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


@dataclass(frozen=True)
class Attrition:
    """What became of the people who were asked, previews aside; each is in one of the counts after `consented`.

    Attributes:
        invited: everybody who was, or who came by a link.
        consented: of them; some may have declined afterwards, on reading the instructions.
        unanswered: were invited, and neither consented nor declined.
        declined: did not want to take part.
        screened: did not understand the instructions.
        not_begun: consented, and have not begun.
        going_on: take part at the moment.
        dropped_out: began, and left.
        stopped: were excluded by the owner before they finished.
        finished: answered all trials, whether they were excluded then or not.
        deleted: everything about them was deleted; in no other count.
    """

    invited: int
    consented: int
    unanswered: int
    declined: int
    screened: int
    not_begun: int
    going_on: int
    dropped_out: int
    stopped: int
    finished: int
    deleted: int = 0


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
    """Apply the plan's rules to a table of `evaluation.study.ratings`.

    Whom the service excluded by a rule leaves with that rule, and not by the owner's discretion. Raters of several
    studies are told apart by their study's name: the ids of one say nothing of another's.
    """
    if table["study"].nunique() > 1:
        table = table.assign(rater=table["study"] + "/" + table["rater"])
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

    for reason in sorted(set(rest.loc[rest["excluded_by"] != BY_RULE, "excluded"]) - {""}):
        kept = (rest["excluded"] != reason) | (rest["excluded_by"] == BY_RULE)
        rest = keep(rest, kept, f"excluded by the owner: {reason}")
    most = plan.max_failed_catch
    careless = failures[failures > most].index
    failing = f"by the plan's rule: failed more than {most} catch trial{'s' * (most != 1)}"
    rest = keep(rest, ~rest["rater"].isin(careless), failing)
    for rule in sorted({_rule(reason) for reason in rest["excluded"]} - {""}):
        rest = keep(rest, rest["excluded"].map(_rule) != rule, f"by the plan's rule: {rule}")
    least = plan.min_response_ms
    rest = keep(rest, rest["response_ms"] >= least, f"by the plan's rule: answered within {least} ms")
    if plan.min_answers:
        answers = rest.groupby("rater")["rater"].transform("size")
        fewer = f"by the plan's rule: gave fewer than {plan.min_answers} answers"
        rest = keep(rest, answers >= plan.min_answers, fewer)
    return Flow(tuple(steps), rest.reset_index(drop=True), everyone.reset_index(drop=True))


def _rule(reason: str) -> str:
    """Which of the service's rules a reason is of: raters who broke one together, however often each did."""
    if FAILED.fullmatch(reason):
        return "failed too many catch trials, by the plan of that time"
    if fast := TOO_FAST.fullmatch(reason):
        return f"gave too many answers within {fast['least']} ms, by the service's clock"
    return reason
