"""Figures with their intervals as plots, one panel a unit."""

from __future__ import annotations

import math
import re
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from evaluation.results import Results

STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "lfi", "font.family": "sans-serif", "font.size": 9}
FLOORS = ("another image's", "centre", "in other images", "floor", "shuffled maps", "queries only", ":random")
"""What the names of floors and controls contain."""
_MOST = 40
"""Figures of one unit in one panel; more are in the table alone."""


def plot_results(results: Results, path: Path) -> None:
    """Every figure that has an interval; the path's suffix is the format."""
    units = by_unit(results.record()["figures"])
    heights = [_height(figures) for figures in units.values()]
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(8, sum(heights) + 0.4), layout="constrained")
        panels = drawing.subplots(max(1, len(units)), squeeze=False, height_ratios=heights or None)[:, 0]
        for axes, (unit, figures) in zip(panels, units.items(), strict=False):
            _draw(axes, unit, figures)
        drawing.suptitle(_safe(results.title), fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_intervals(unit: str, figures: dict[str, Any]) -> Drawing:
    """Figures of one unit as a record has them."""
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(8, _height(figures)), layout="constrained")
        _draw(drawing.add_subplot(), unit, figures)
    return drawing


def by_unit(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Figures that have an interval, by unit: those of one unit share an axis."""
    units: dict[str, dict[str, Any]] = {}
    for name, each in figures.items():
        if each["low"] is not None and each["value"] is not None:
            units.setdefault(each["unit"], {})[name] = each
    return {unit: named for unit, named in units.items() if 1 < len(named) <= _MOST}


def _height(figures: dict[str, Any]) -> float:
    """In inches; rows are alike, as high as the longest label needs."""
    return 0.5 + len(figures) * (0.26 + 0.15 * max(_label(name).count("\n") for name in figures))


def _draw(axes: Axes, unit: str, figures: dict[str, Any]) -> None:
    for row, (name, each) in enumerate(figures.items()):
        high = each["high"] if each["high"] is not None else math.nan
        reach = [[each["value"] - each["low"]], [high - each["value"]]]
        axes.errorbar(each["value"], row, xerr=reach, fmt="o", color=colour_of(name), capsize=2, markersize=4)
    axes.set_yticks(range(len(figures)), [_label(name) for name in figures])
    axes.invert_yaxis()
    axes.set_xlabel(_safe(f"{unit}; 95 % interval"))
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def colour_of(name: str) -> str:
    """Ours blue, the teacher green, floors and controls grey, all others orange (Okabe & Ito's palette).

    What a difference or a ratio is taken from decides: `LFI less shuffled maps` is ours.
    """
    subject = re.split(" less | minus | over ", name)[0]
    if any(part in subject for part in FLOORS):
        return "#767676"
    if "LFI" in subject:
        return "#0072b2"
    return "#009e73" if subject.startswith("teacher") else "#d55e00"


def _label(name: str) -> str:
    return _safe(fill(name, 60))


def _safe(text: str) -> str:
    """Matplotlib reads dollars as mathematics."""
    return text.replace("$", r"\$")
