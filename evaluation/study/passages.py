"""Sentences of the report that depend on what was found: how it was run, which hash is which, why an alpha is low."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

from evaluation.study.analysis import NAMES, Agreement, Analysis
from evaluation.study.conduct import Conduct
from evaluation.study.estimate import percent
from evaluation.study.layout import counted

LOW_ALPHA = 0.667
"""Below it Krippendorff (2004) draws not even tentative conclusions from single codings."""
_EXTREME = 0.15


def conduct_sentences(found: Analysis) -> list[str]:
    """Who looked, what was changed after that, and what it costs; nothing where nobody knows."""
    conduct, said = found.conduct, []
    if not conduct.status:
        return ["The table does not say whether its study had closed, or who looked before."]
    if conduct.interim:
        said.append(f"The study is {conduct.status}: more answers may come, and these figures will change.")
    said += [f"{_time(at)}: {what}." for at, what in _events(conduct)]
    if conduct.exported:
        times = counted(len(conduct.exported), "time")
        said.append(f"Answers were exported {times} before it closed, first at {_time(conduct.exported[0])}.")
    if not (conduct.looks or conduct.interim or conduct.reopened or conduct.seen):
        said.append("Nobody analysed it here before it closed.")
    if found.confidence > found.plan.confidence:
        why = _why_wider(found)
        so = f", so that all looks together err no more often than one at {percent(found.plan.confidence)}"
        said.append(
            f"Because of {why}, ratios have intervals at {percent(found.confidence)}{'' if conduct.spent else so}."
        )
    if conduct.spent:
        said.append("What had been seen when it was opened again spent its error: no report after that makes a claim.")
    return said


def _why_wider(found: Analysis) -> str:
    """Which looks the ratios' intervals pay for."""
    named = ["looks that an earlier plan named"] if any(look.spent for look in found.conduct.looks) else []
    if found.plan.looks:
        named = ["looks that the plan names"]
    others = "others that it does not" if named else "looks that were not planned"
    return " and ".join([*named, others] if found.conduct.unplanned else named)


def _events(conduct: Conduct) -> list[tuple[datetime, str]]:
    """What was seen, and what was changed after it, in the order of time."""
    found = []
    for look in conduct.looks:
        kind = f"planned look {look.planned}" if look.planned else "a look that was not planned"
        found.append((look.at, f"{kind}, at {counted(look.answers, 'answer')}"))
    for sight in conduct.seen:
        found.append(
            (
                sight.at,
                f"{'exported' if sight.exported else 'analysed'} when closed, at {counted(sight.answers, 'answer')}",
            )
        )
    found += [(at, "opened again after it had closed") for at in conduct.reopened]
    for each in conduct.left_out:
        what = "a rater's data were deleted" if each.deleted else "a rater was excluded by hand"
        found.append((each.at, f"{what}, after answers had been seen{each.detail and f': {each.detail}'}"))
    return sorted(found, key=itemgetter(0))


def left_out_sentence(found: Analysis) -> str:
    """How many raters were left out by hand once answers had been seen."""
    return f"Raters left out by hand after answers had been seen: {len(found.conduct.left_out):,}."


def hash_rows(found: Analysis) -> list[tuple[str, str]]:
    """Every hash with what it is of, hexadecimal."""
    rows = []
    if found.registration is not None:
        whole = '"analysis"' in found.registration.plan_json
        what = "the whole study's plan" if whole else "the analysis plan"
        rows.append((f"Registered: {what} as it was when the study opened", found.registration.sha256))
    rows.append(("Used: the analysis plan that this report follows, a part of the study's", found.plan.sha256))
    return rows


def alpha_sentence(found: Analysis) -> str:
    """Why the lowest alpha is low and what follows; empty where none is."""
    low = {name: each for name, each in found.agreement.items() if each.alpha.value < LOW_ALPHA}
    if not low:
        return ""
    name = min(low, key=lambda each: low[each].alpha.value)
    share = found.shares[name].value if name in found.shares else 0.5
    return f"{_lowest(name, low[name])} {_reason(low[name], share)} {_consequence(list(low))}"


def _lowest(name: str, each: Agreement) -> str:
    return f"The lowest alpha is that of {NAMES[name]}, {each.alpha.value:.2f}."


def _reason(each: Agreement, share: float) -> str:
    if min(share, 1 - share) < _EXTREME:
        return (
            f"{max(share, 1 - share):.0%} of its ratings are on one side of “consistent”: where items hardly differ, "
            "little is left to agree about, and alpha is low even if raters say much the same."
        )
    if not math.isnan(each.icc.mean) and each.icc.mean >= 0.7:
        return (
            f"A single rating is noisy, but the mean of {each.icc.raters:.1f} ratings of an item is reliable "
            f"(ICC {each.icc.mean:.2f})."
        )
    return "Raters see these maps differently, and items differ little beside that: do not read single items closely."


def _consequence(names: Sequence[str]) -> str:
    return (
        f"Low agreement ({', '.join(NAMES[name] for name in names)}) widens the intervals above, as they resample "
        "raters; it does not shift the ratio."
    )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
