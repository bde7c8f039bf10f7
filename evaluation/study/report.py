"""The report: one HTML file that needs nothing else, the numbers as JSON, the figures as SVG."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from evaluation.study.analysis import NAMES, Analysis, counts
from evaluation.study.figures import figures

_CSS = """
:root { color-scheme: light dark; --line: #8884; --warn: #b00020; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
.verdict { font-size: 1.25rem; border-left: .3rem solid #0072b2; padding: .5rem 1rem; }
.warn { border: 2px solid var(--warn); border-radius: .3rem; padding: .5rem 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
figure { margin: 1rem 0; background: #fff; border-radius: .3rem; padding: .5rem }
figure svg { width: 100%; height: auto }
code { overflow-wrap: anywhere }
@media print { body { max-width: none } }
"""
_LONGEST = 200  # characters of one cell
_ALT = {
    "ratio": "Ratios of P(consistent) with intervals",
    "shares": "P(consistent) per condition with intervals",
    "levels": "Shares of the levels per condition",
    "pairs": "Outcomes of pairs and Bradley-Terry strengths",
    "agreement": "Krippendorff's alpha per condition with intervals",
    "times": "Distribution of response times per condition",
}


def write_report(found: Analysis, folder: Path) -> list[Path]:
    """Write `report.html`, `analysis.json`, `plan.json` and one SVG per figure; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = figures(found)
    files = {
        "report.html": report_html(found, drawn),
        "analysis.json": json.dumps(found.record(), indent=2, allow_nan=False, ensure_ascii=False) + "\n",
        "plan.json": found.plan.json,
        **{f"{name}.svg": svg for name, svg in drawn.items()},
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def report_html(found: Analysis, drawn: dict[str, str]) -> str:
    """The page; `drawn` holds the figures' SVG."""
    title = f"Study {found.study}: report"
    parts = [f"<h1>{escape(title)}</h1>"]
    if found.simulated:
        parts.append('<p class="warn"><strong>Simulated raters, not people.</strong> This shows how the analysis runs.')
        if found.primary and not math.isnan(found.truth):
            held = found.primary.estimate.low <= found.truth <= found.primary.estimate.high
            parts.append(f"The true ratio is {found.truth:.3g}; the interval {'contains' if held else 'misses'} it.")
        parts.append("</p>")
    size = counts(found.flow.analysed)
    parts.append(f'<p class="verdict">{escape(found.verdict)}</p>')
    parts.append(
        f"<p>{size['ratings']:,} ratings and {size['pairs']:,} pairs by {size['raters']:,} raters of "
        f"{size['items']:,} items. {found.plan.confidence:.0%} intervals in brackets.</p>"
    )
    if found.primary and found.primary.sparse:
        parts.append(f'<p class="warn">Sparse: {escape(found.primary.sparse)}. Exact bounds widen the interval.</p>')
    parts += [_plan(found), _primary(found, drawn), _exclusions(found)]
    parts += [_pairs(found, drawn), _contrasts(found), _mixed(found), _agreement(found, drawn), _times(found, drawn)]
    if found.missing:
        reasons = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in found.missing.items())
        parts.append(f"<h2>Planned, but not made</h2><ul>{reasons}</ul>")
    page = '<!doctype html>\n<html lang="en">'
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(part for part in parts if part)
    return f"{page}<head>{head}<style>{_CSS}</style></head>\n<body><main>{body}</main></body></html>\n"


def _plan(found: Analysis) -> str:
    registration, rows = found.registration, json.loads(found.plan.json)
    if registration is None:
        status = '<p class="warn">No plan was registered before the data: read everything as exploratory.</p>'
    elif not registration.intact:
        status = '<p class="warn">The registered plan no longer has the hash that was stored with it.</p>'
    else:
        status = f"<p>Registered {escape(registration.registered_at)} as <code>{registration.sha256}</code>.</p>"
    if found.changes:
        table = _table(("changed since", "registered", "used"), found.changes)
        status += f'<div class="warn"><p>The plan used is not the one registered.</p>{table}</div>'
    elif registration is not None and registration.intact:
        status += "<p>The analysis followed it without change.</p>"
    used = _table(("what", "value"), [(name, _listed(value)) for name, value in rows.items()])
    return (
        f"<h2>The plan</h2>{status}<details><summary>The plan used, <code>{found.plan.sha256[:12]}</code></summary>"
        f"{used}</details>"
    )


def _primary(found: Analysis, drawn: dict[str, str]) -> str:
    if not found.primary:
        return ""
    rows = [(NAMES[name], share) for name, share in found.shares.items()]
    return (
        "<h2>Primary: how often maps are rated consistent</h2>"
        "<p>Intervals resample raters and items, both at once; ratios are compared on the logarithmic scale.</p>"
        + _figure("ratio", drawn)
        + _figure("shares", drawn)
        + _table(("condition", "P(consistent)"), rows)
        + _figure("levels", drawn)
    )


def _exclusions(found: Analysis) -> str:
    rows = [
        (step.reason, *((step.raters, step.answers) if place else ("", "")), step.raters_left, step.answers_left)
        for place, step in enumerate(found.flow.steps)
    ]
    table = _table(("what was left out", "raters", "answers", "raters left", "answers left"), rows)
    text = f"<h2>Exclusions</h2>{table}"
    if len(found.flow.everyone) == len(found.flow.analysed):
        return f"{text}<p>No answer was excluded.</p>"
    if found.primary and found.unexcluded:
        text += f"<p>Ratio with exclusions {found.primary.estimate}, without any {found.unexcluded.estimate}.</p>"
    return text


def _pairs(found: Analysis, drawn: dict[str, str]) -> str:
    if not found.contests:
        return ""
    rows = [
        (f"{NAMES[each.first]} against {NAMES[each.second]}", each.wins, each.losses, each.ties, each.win_rate)
        for each in found.contests
    ]
    text = "<h2>Pairs</h2>" + _table(("pair", "preferred", "other preferred", "no difference", "win rate"), rows)
    if found.strengths:
        strengths = [(NAMES[name], each) for name, each in found.strengths.strengths.items()]
        text += (
            "<p>Bradley-Terry model with ties and a side effect (Davidson and Beaver 1977), strengths in logits "
            f"against {NAMES[found.strengths.reference]}. Side effect, positive for the left: {found.strengths.side}; "
            f"tie parameter {found.strengths.tie}.</p>" + _table(("condition", "strength"), strengths)
        )
    return text + _figure("pairs", drawn)


def _contrasts(found: Analysis) -> str:
    if not found.contrasts:
        return ""
    rows = [
        (NAMES[each.other], each.unit, each.pairs, f"{each.difference:+.2f}", f"{each.rank_biserial:+.2f}", _p(each.p),
         _p(each.p_holm))
        for each in found.contrasts
    ]  # fmt: skip
    header = ("against", "means of each", "n", "median difference", "rank-biserial", "p", "p (Holm)")
    return (
        f"<h2>{NAMES[found.plan.numerator]} against the others</h2><p>Wilcoxon's signed-rank test on mean levels, the "
        f"scale stretched to 0-1; Holm's correction over all rows.</p>{_table(header, rows)}"
    )


def _mixed(found: Analysis) -> str:
    if not found.mixed:
        return ""
    rows = [(NAMES[name], each) for name, each in found.mixed.odds_ratios.items()]
    return (
        "<h2>Cumulative-link mixed model</h2><p>Odds of a level at least as high, against "
        f"{NAMES[found.mixed.reference]}; crossed rater and item effects; largest R-hat {found.mixed.r_hat:.3f}.</p>"
        + _table(("condition", "odds ratio"), rows)
    )


def _agreement(found: Analysis, drawn: dict[str, str]) -> str:
    if not found.agreement:
        return ""
    rows = [
        (NAMES[name], each.alpha, _number(each.icc.mean), _number(each.icc.single), f"{each.icc.raters:.1f}")
        for name, each in found.agreement.items()
    ]
    header = ("condition", "ordinal alpha", "ICC(2, k)", "ICC(2, 1)", "k")
    return (
        "<h2>Agreement</h2><p>Krippendorff's alpha, items resampled. ICC (Shrout and Fleiss 1979) from variance "
        "components: of an item's mean over k ratings, and of one rating.</p>"
        + _table(header, rows)
        + _figure("agreement", drawn)
    )


def _times(found: Analysis, drawn: dict[str, str]) -> str:
    if not found.times:
        return ""
    rows = [
        (NAMES.get(each.condition, "Pairs"), each.answers, *(f"{s:.1f}" for s in (each.first, each.median, each.third)))
        for each in found.times
    ]
    header = ("condition", "answers", "first quartile, s", "median, s", "third quartile, s")
    return f"<h2>Response times</h2>{_table(header, rows)}{_figure('times', drawn)}"


def _figure(name: str, drawn: dict[str, str]) -> str:
    if name not in drawn:
        return ""
    svg = drawn[name][drawn[name].index("<svg") :]
    svg = re.sub(r"\bid=\"|(?<=\"#)|(?<=url\(#)", lambda match: f"{match[0]}{name}-", svg)  # ids are shared by a page
    return f'<figure role="img" aria-label="{escape(_ALT[name])}">{svg}</figure>'


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: Any) -> str:
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else _listed(cell)


def _listed(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
