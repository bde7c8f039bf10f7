"""The report's figures as SVG: labelled axes with units, intervals, a palette for colour-blind readers.

What simulated raters made, or is not final, says so inside the figure: shown elsewhere, it still does. Alone, a figure
has white ground; in the report it takes on the page's (`evaluation.study.layout.inlined`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, PercentFormatter

from evaluation.study.analysis import NAMES, Analysis
from evaluation.study.estimate import Estimate, percent
from evaluation.study.planning import Planning
from evaluation.study.ratio import Ratio

COLOURS = {"teacher": "#009E73", "lfi": "#0072B2", "baseline": "#D55E00", "shuffled": "#767676"}
_LEVELS = {5: ("#A6611A", "#DFC27D", "#D9D9D9", "#80CDC1", "#018571"), 3: ("#A6611A", "#D9D9D9", "#018571")}
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "lfi", "font.family": "sans-serif", "font.size": 10}
_STYLE |= {"axes.spines.top": False, "axes.spines.right": False}


def figures(found: Analysis) -> dict[str, str]:
    """Every figure that the analysis has data for, by file name without suffix."""
    with mpl.rc_context(_STYLE):
        drawn = {}
        if found.primary:
            drawn["ratio"] = ratio_figure(found, found.primary)
        if found.shares:
            drawn["shares"] = shares_figure(found)
            drawn["levels"] = levels_figure(found)
        if found.contests:
            drawn["pairs"] = pairs_figure(found)
        if found.agreement:
            drawn["agreement"] = agreement_figure(found)
        if found.times:
            drawn["times"] = times_figure(found)
    return drawn


def ratio_figure(found: Analysis, primary: Ratio) -> str:
    """The primary ratio, its checks and the other ratios on one logarithmic axis, with the claim."""
    plan = found.plan
    named = f"{NAMES[plan.numerator]} / "
    rows = [(named + NAMES[plan.denominator], primary.estimate, COLOURS[plan.numerator])]
    rows.append(("… every item weighing the same", primary.even, "#000000"))
    if found.unexcluded:
        rows.append(("… without exclusions", found.unexcluded.estimate, "#000000"))
    rows += [(named + NAMES[name], ratio.estimate, COLOURS[name]) for name, ratio in found.others.items()]
    fig, axes = _canvas(1.1 + 0.42 * len(rows))
    axes.set_xscale("log")
    axes.axvline(1, color="#767676", linewidth=1)
    axes.axvline(plan.claim, color="#000000", linestyle="--", linewidth=1)
    _forest(axes, rows, logarithmic=True, include=(1.0, plan.claim))
    lines = f"dashed: the claim, {plan.claim:g}"
    if not math.isnan(found.truth):
        axes.axvline(found.truth, color="#CC79A7", linewidth=1.5)
        lines += f"; pink: the truth, {found.truth:.3g}"
    axes.set_xlabel(f"ratio of P(consistent), {percent(found.confidence)} interval\n{lines}")
    return _svg(fig, found)


def shares_figure(found: Analysis) -> str:
    """P(consistent) per condition."""
    fig, axes = _canvas(0.9 + 0.42 * len(found.shares))
    _forest(axes, [(NAMES[name], share, COLOURS[name]) for name, share in found.shares.items()])
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(f"ratings that say consistent, {percent(found.plan.confidence)} interval over raters and pictures")
    return _svg(fig, found)


def levels_figure(found: Analysis) -> str:
    """Shares of the levels per condition, worst on the left; one panel per scale."""
    heights = [0.35 * len(rows) + 0.3 for rows in found.levels.values()]
    fig = Figure((7, sum(heights) + 0.8 * len(heights)), layout="constrained")
    panels = fig.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (scale, rows) in zip(panels, found.levels.items(), strict=True):
        table = np.array(list(rows.values()), float)
        table /= table.sum(1, keepdims=True)
        for level in range(scale):
            starts = table[:, :level].sum(1)
            axes.barh(range(len(rows)), table[:, level], left=starts, color=_LEVELS[scale][level], label=str(level + 1))
        axes.set_yticks(range(len(rows)), [NAMES[name] for name in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel(f"share of ratings at each of {scale} levels, from 1 (no match) to {scale}")
        axes.legend(ncols=scale, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, handlelength=1)
    return _svg(fig, found)


def pairs_figure(found: Analysis) -> str:
    """Outcomes of pairs, and Bradley-Terry strengths."""
    fig = Figure((7, 1.6 + 0.4 * (len(found.contests) + (len(found.strengths.strengths) if found.strengths else 0))))
    fig.set_layout_engine("constrained")
    panels = fig.subplots(1 + (found.strengths is not None), squeeze=False)[:, 0]
    for row, contest in enumerate(found.contests):
        total = contest.wins + contest.losses + contest.ties
        start = 0.0
        outcomes = ((contest.wins, COLOURS[contest.first]), (contest.ties, "#D9D9D9"))
        for count, colour in (*outcomes, (contest.losses, COLOURS[contest.second])):
            panels[0].barh(row, count / total, left=start, color=colour)
            start += count / total
    labels = [f"{NAMES[each.first]} – none – {NAMES[each.second]}" for each in found.contests]
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].invert_yaxis()
    panels[0].set_xlim(0, 1)
    panels[0].xaxis.set_major_formatter(PercentFormatter(1))
    panels[0].set_xlabel("share of pairs in which it was preferred")
    if found.strengths:
        rows = [(NAMES[name], each, COLOURS[name]) for name, each in found.strengths.strengths.items()]
        _forest(panels[1], [*rows, ("left side", found.strengths.side, "#000000")])
        panels[1].axvline(0, color="#767676", linewidth=1)
        panels[1].set_xlabel(f"Bradley-Terry strength in logits, {percent(found.plan.confidence)} interval")
    return _svg(fig, found)


def agreement_figure(found: Analysis) -> str:
    """Ordinal alpha per condition."""
    fig, axes = _canvas(0.9 + 0.42 * len(found.agreement))
    _forest(axes, [(NAMES[name], each.alpha, COLOURS[name]) for name, each in found.agreement.items()])
    axes.axvline(0, color="#767676", linewidth=1)
    axes.set_xlim(right=1)
    axes.set_xlabel(
        f"Krippendorff's ordinal alpha, {percent(found.plan.confidence)} interval over pictures (1: perfect)"
    )
    return _svg(fig, found)


def times_figure(found: Analysis) -> str:
    """Empirical distribution of response times."""
    fig, axes = _canvas(3.0)
    answers = found.flow.analysed
    groups = [(NAMES[name], answers["condition"] == name, COLOURS[name], "-") for name in found.shares]
    for label, chosen, colour, line in [*groups, ("Pairs", answers["kind"] == "pair", "#000000", "--")]:
        seconds = np.sort(answers.loc[chosen, "response_ms"].to_numpy(float)) / 1000
        if len(seconds):
            axes.step(seconds, np.arange(1, len(seconds) + 1) / len(seconds), line, color=colour, label=label)
    axes.set_xscale("log")
    _plain_ticks(axes, *axes.get_xlim())
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("response time in seconds")
    axes.set_ylabel("answers given by then")
    axes.legend(frameon=False)
    return _svg(fig, found)


def power_figure(found: Planning) -> Figure:
    """Power against raters, a line per number of items, with Monte-Carlo intervals."""
    with mpl.rc_context(_STYLE):
        fig, axes = _canvas(4.0)
        colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00")
        for place, items in enumerate(sorted({size.items for size in found.sizes})):
            sizes = [size for size in found.sizes if size.items == items]
            power = np.array([[size.power.value, size.power.low, size.power.high] for size in sizes]).T
            axes.errorbar(
                [size.raters for size in sizes],
                power[0],
                [power[0] - power[1], power[2] - power[0]],
                fmt="o-",
                capsize=3,
                color=colours[place % len(colours)],
                label=f"{items} items, {sizes[0].trials} trials a rater",
            )
        axes.axhline(found.wanted, color="#000000", linestyle="--", linewidth=1)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("raters")
        axes.set_ylabel(f"P(lower bound ≥ {found.claim:g})")
        axes.set_title(
            f"Power if the true ratio is {found.ratio:.3g}: simulated, {found.studies} studies each, "
            "95 % Monte-Carlo intervals",
            fontsize=10,
        )
        axes.legend(frameon=False)
        return fig


def _canvas(height: float) -> tuple[Figure, Axes]:
    fig = Figure((7, height), layout="constrained")
    return fig, fig.add_subplot()


def _forest(
    axes: Axes,
    rows: Sequence[tuple[str, Estimate, str]],
    logarithmic: bool = False,
    include: Sequence[float] = (),
) -> None:
    """Points with intervals, one a row; a bound that is infinite runs to the edge and ends in an arrow."""
    numbers = [number for _, each, _ in rows for number in (each.value, each.low, each.high)]
    shown = [number for number in (*numbers, *include) if math.isfinite(number) and (number > 0 or not logarithmic)]
    first, last = min(shown, default=0.1), max(shown, default=10.0)
    edges = (first / 1.3, last * 1.3) if logarithmic else (first - 0.1, last + 0.1)
    for place, (_, each, colour) in enumerate(rows):
        low, high = (float(np.clip(np.nan_to_num(bound, nan=each.value), *edges)) for bound in (each.low, each.high))
        if math.isnan(each.value):
            continue
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        for bound, at, marker in ((each.low, low, "<"), (each.high, high, ">")):
            if bound < edges[0] or bound > edges[1]:
                axes.plot(at, place, marker, color=colour)
        if edges[0] <= each.value <= edges[1]:
            axes.plot(each.value, place, "o", color=colour)
    axes.set_yticks(range(len(rows)), [f"{label}: {each}" for label, each, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(*edges)
    if logarithmic:
        _plain_ticks(axes, *edges)


def _plain_ticks(axes: Axes, low: float, high: float) -> None:
    """1, 2, 5 and their tenfolds, written out."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    few = 3 if high / low > 300 else 1
    ticks = [base * 10.0**decade for decade in decades for base in (1, 2, 5)[::few]]
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _svg(fig: Figure, found: Analysis) -> str:
    marks = ["INTERIM: the study goes on"] * found.conduct.interim + ["simulated raters, not people"] * found.simulated
    if marks:
        fig.suptitle("; ".join(marks), fontsize=10, color="#B00020", x=0.99, ha="right")
    out = io.StringIO()
    fig.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
