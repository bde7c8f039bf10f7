"""The report: one HTML file that needs nothing else, the numbers as JSON, the figures as SVG."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np

from evaluation.study.analysis import NAMES, Analysis, counts
from evaluation.study.estimate import percent
from evaluation.study.figures import figures
from evaluation.study.items import ends, score_items
from evaluation.study.layout import counted, inlined, listed, page, table
from evaluation.study.passages import alpha_sentence, conduct_sentences, hash_rows, left_out_sentence
from evaluation.study.pictures import items_of

_ALT = {
    "ratio": "Ratios of P(consistent) with intervals",
    "shares": "P(consistent) per condition with intervals",
    "levels": "Shares of the levels per condition",
    "pairs": "Outcomes of pairs and Bradley-Terry strengths",
    "agreement": "Krippendorff's alpha per condition with intervals",
    "times": "Distribution of response times per condition",
}

_BECAME = {
    "invited": "invited",
    "consented": "consented",
    "unanswered": "did not answer the invitation",
    "declined": "declined",
    "screened": "were screened out: did not understand the instructions",
    "not_begun": "consented, and did not begin",
    "going_on": "take part at the moment",
    "dropped_out": "dropped out",
    "stopped": "were excluded by the owner before they finished",
    "finished": "finished",
    "deleted": "were deleted since, and are in no other line",
}
_ALWAYS = ("invited", "consented", "declined", "screened", "dropped_out", "finished")


def write_report(found: Analysis, folder: Path, pictures: Mapping[tuple[str, str], str] | None = None) -> list[Path]:
    """Write `report.html`, `analysis.json`, `plan.json` and one SVG per figure; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = figures(found)
    files = {
        "report.html": report_html(found, drawn, pictures),
        "analysis.json": json.dumps(found.record(), indent=2, allow_nan=False, ensure_ascii=False) + "\n",
        "plan.json": found.plan.json,
        **{f"{name}.svg": svg for name, svg in drawn.items()},
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in files]


def report_html(found: Analysis, drawn: dict[str, str], pictures: Mapping[tuple[str, str], str] | None = None) -> str:
    """The page: what was found and one figure, then what it rests on.

    Args:
        drawn: the figures' SVG.
        pictures: what raters saw as `data:` addresses, by item and condition.
    """
    title = f"Study {found.study}: report"
    parts = [*_head(found, title), _figure("ratio", drawn), *_caveats(found), _primary(found, drawn)]
    parts += [_items(found, pictures or {}), _agreement(found, drawn), _pairs(found, drawn), _contrasts(found)]
    parts += [_mixed(found), _conduct(found), _exclusions(found), _times(found, drawn), _plan(found)]
    if found.missing:
        reasons = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in found.missing.items())
        parts.append(f"<h2>Planned, but not made</h2><ul>{reasons}</ul>")
    return page(f"INTERIM: {title}" if found.conduct.interim else title, "\n".join(part for part in parts if part))


def _head(found: Analysis, title: str) -> list[str]:
    """What was found, before anything else."""
    parts = []
    if found.conduct.interim:
        parts.append('<p class="warn interim">INTERIM: the study goes on. Nothing here is its result.</p>')
    parts.append(f"<h1>{escape(title)}</h1>")
    if found.simulated:
        parts.append('<p class="warn"><strong>Simulated raters, not people.</strong> This shows how the analysis runs.')
        if found.primary and not math.isnan(found.truth):
            held = found.primary.estimate.low <= found.truth <= found.primary.estimate.high
            parts.append(f"The true ratio is {found.truth:.3g}; the interval {'contains' if held else 'misses'} it.")
        parts.append("</p>")
    size = counts(found.flow.analysed)
    said = f"{counted(size['ratings'], 'rating')} and {counted(size['pairs'], 'pair')}"
    shown = counted(size["items"], "item")
    if size["pictures"] < size["items"]:
        shown += f" on {counted(size['pictures'], 'picture')}"
    return [
        *parts,
        f'<p class="verdict">{escape(found.verdict)}</p>',
        f"<p>{said} by {counted(size['raters'], 'rater')} of {shown}. "
        f"{percent(found.plan.confidence)} intervals in brackets"
        + (f", {percent(found.confidence)} of ratios" if found.confidence > found.plan.confidence else "")
        + ".</p>",
    ]


def _caveats(found: Analysis) -> list[str]:
    """What a reader must know before repeating the first sentence."""
    parts = []
    if found.registration is None:
        parts.append('<p class="warn">No plan was registered before the data: read everything as exploratory.</p>')
    if found.changes:
        parts.append('<p class="warn">The plan used is not the one registered; the changes are below.</p>')
    if found.primary and found.primary.sparse:
        parts.append(f'<p class="warn">Sparse: {escape(found.primary.sparse)}. Exact bounds widen the interval.</p>')
    unnamed = found.flow.analysed.loc[found.flow.analysed["image"] == ""]
    if len(unnamed):
        items = counted(len(np.unique(items_of(unnamed))), "item")
        parts.append(
            f'<p class="warn">The table does not say which picture {items} showed, so each counts as a picture of its '
            "own. If some share a picture, the intervals are too narrow.</p>"
        )
    if found.conduct.unplanned:
        parts.append(
            f'<p class="warn">{counted(found.conduct.unplanned, "look")} while answers came in, not planned.</p>'
        )
    if found.conduct.reopened:
        spent = ", after its answers had been seen: it makes no claim any more" if found.conduct.spent else ""
        times = counted(len(found.conduct.reopened), "time")
        parts.append(f'<p class="warn">Closed and opened again {times}{spent}.</p>')
    if found.conduct.left_out:
        parts.append(f'<p class="warn">{left_out_sentence(found)} See “How it was run”.</p>')
    return parts


def _plan(found: Analysis) -> str:
    registration, rows = found.registration, json.loads(found.plan.json)
    status = ""
    if registration is not None and not registration.intact:
        status = '<p class="warn">The registered plan no longer has the hash that was stored with it.</p>'
    elif registration is not None:
        status = f"<p>Registered {escape(registration.registered_at)}.</p>"
    if found.changes:
        changes = table(("changed since", "registered", "used"), found.changes)
        status += f'<div class="warn"><p>The plan used is not the one registered.</p>{changes}</div>'
    elif registration is not None and registration.intact:
        followed = "The analysis followed it without change."
        if found.conduct.left_out:  # which no plan says
            followed = f"It is the one used. {left_out_sentence(found)}"
        status += f"<p>{followed}</p>"
    hashes = "".join(f"<dt>{escape(what)}</dt><dd><code>{sha}</code></dd>" for what, sha in hash_rows(found))
    used = table(("what", "value"), [(name, listed(value)) for name, value in rows.items()])
    return (
        f"<h2>The plan</h2>{status}<p>SHA-256 of the plans, as canonical JSON:</p><dl>{hashes}</dl>"
        f"<details><summary>The analysis plan used</summary>{used}</details>"
    )


def _conduct(found: Analysis) -> str:
    return f"<h2>How it was run</h2><ul>{''.join(f'<li>{escape(each)}</li>' for each in conduct_sentences(found))}</ul>"


def _items(found: Analysis, pictures: Mapping[tuple[str, str], str]) -> str:
    """The items with the largest and the smallest gain, with what raters saw where it is known."""
    plan, answers = found.plan, found.flow.analysed
    best, worst = ends(score_items(answers[answers["kind"] == "rating"], plan.numerator, plan.denominator))
    if not best:
        return ""
    text = (
        f"<h2>Best and worst items</h2><p>By how much more often {NAMES[plan.numerator]} was rated consistent than "
        f"{NAMES[plan.denominator]}. With few ratings of an item, chance decides much of the order.</p>"
    )
    for heading, scores in (("Best", best), ("Worst", worst)):
        for each in scores:
            shown = [
                f"<figure>{_picture(pictures.get((each.item, name), ''), each.word, name)}<figcaption>{NAMES[name]}: "
                f"{hits} of {of} consistent</figcaption></figure>"
                for name in NAMES
                if name in each.ratings
                for hits, of in [each.ratings[name]]
            ]
            title = f"{heading}: “{escape(each.word)}” <small>{escape(each.item)}, {each.gain:+.2f}</small>"
            text += f'<h3>{title}</h3><div class="items">{"".join(shown)}</div>'
    return text


def _picture(address: str, word: str, condition: str) -> str:
    return f'<img alt="{escape(f"{NAMES[condition]}, {word}")}" src="{address}">' if address else ""


def _primary(found: Analysis, drawn: dict[str, str]) -> str:
    if not found.shares:
        return ""
    rows = [(NAMES[name], share) for name, share in found.shares.items()]
    return (
        "<h2>How often maps are rated consistent</h2>"
        "<p>Intervals resample raters and pictures (words on one picture are not independent), both at once, and are "
        "widened where there are few of them; ratios are compared on the logarithmic scale.</p>"
        + _alike(found)
        + _figure("shares", drawn)
        + table(("condition", "P(consistent)"), rows)
        + _figure("levels", drawn)
    )


def _alike(found: Analysis) -> str:
    """What the ratio would be if every rater weighed the same, where that differs."""
    if found.primary is None or math.isnan(found.primary.alike):
        return ""
    if math.isclose(found.primary.alike, found.primary.estimate.value, rel_tol=0.005):
        return ""
    return (
        f"<p>If every rater weighed the same, however many ratings they gave, the ratio would be "
        f"{found.primary.alike:.2f}; the interval allows for that, too.</p>"
    )


def _exclusions(found: Analysis) -> str:
    rows = [
        (step.reason, *((step.raters, step.answers) if place else ("", "")), step.raters_left, step.answers_left)
        for place, step in enumerate(found.flow.steps)
    ]
    flow = table(("what was left out", "raters", "answers", "raters left", "answers left"), rows)
    text = f"<h2>Exclusions</h2>{_attrition(found)}{flow}"
    if len(found.flow.everyone) == len(found.flow.analysed):
        return f"{text}<p>No answer was excluded.</p>"
    if found.primary and found.unexcluded:
        text += f"<p>Ratio with exclusions {found.primary.estimate}, without any {found.unexcluded.estimate}.</p>"
    return text


def _attrition(found: Analysis) -> str:
    """What became of everybody who was invited; nothing where nobody knows."""
    if found.attrition is None:
        return ""
    counts = asdict(found.attrition)
    rows = [(said, counts[name]) for name, said in _BECAME.items() if counts[name] or name in _ALWAYS]
    return table(("what became of those invited", "raters"), rows)


def _pairs(found: Analysis, drawn: dict[str, str]) -> str:
    if not found.contests:
        return ""
    rows = [
        (f"{NAMES[each.first]} against {NAMES[each.second]}", each.wins, each.losses, each.ties, each.win_rate)
        for each in found.contests
    ]
    text = "<h2>Pairs</h2>" + table(("pair", "preferred", "other preferred", "no difference", "win rate"), rows)
    if found.strengths:
        strengths = [(NAMES[name], each) for name, each in found.strengths.strengths.items()]
        text += (
            "<p>Bradley-Terry model with ties and a side effect (Davidson and Beaver 1977), strengths in logits "
            f"against {NAMES[found.strengths.reference]}. Side effect, positive for the left: {found.strengths.side}; "
            f"tie parameter {found.strengths.tie}.</p>" + table(("condition", "strength"), strengths)
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
        f"scale stretched to 0-1, a picture's words averaged; Holm's correction over all rows.</p>{table(header, rows)}"
    )


def _mixed(found: Analysis) -> str:
    if not found.mixed:
        return ""
    rows = [(NAMES[name], each) for name, each in found.mixed.odds_ratios.items()]
    return (
        "<h2>Cumulative-link mixed model</h2><p>Odds of a level at least as high, against "
        f"{NAMES[found.mixed.reference]}; crossed effects of raters and items, and of pictures that items share; "
        f"largest R-hat {found.mixed.r_hat:.3f}.</p>" + table(("condition", "odds ratio"), rows)
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
        "<h2>Agreement</h2><p>Krippendorff's alpha, pictures resampled. ICC (Shrout and Fleiss 1979) from variance "
        "components: of an item's mean over k ratings, and of one rating.</p>"
        + (f'<p class="note">{escape(sentence)}</p>' if (sentence := alpha_sentence(found)) else "")
        + table(header, rows)
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
    return f"<h2>Response times</h2>{table(header, rows)}{_figure('times', drawn)}"


def _figure(name: str, drawn: dict[str, str]) -> str:
    return inlined(name, drawn[name], _ALT[name]) if name in drawn else ""


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
