"""Figures with their intervals as plots, one panel a unit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from evaluation.results import Results

STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "lfi", "font.family": "sans-serif", "font.size": 9}
_MOST = 40
"""Figures of one unit in one panel; more are in the table alone."""


def plot_results(results: Results, path: Path) -> None:
    """Every figure that has an interval; the path's suffix is the format."""
    units = by_unit(results.record()["figures"])
    heights = [0.5 + 0.26 * len(figures) for figures in units.values()]
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
        drawing = Drawing(figsize=(8, 0.5 + 0.26 * len(figures)), layout="constrained")
        _draw(drawing.add_subplot(), unit, figures)
    return drawing


def by_unit(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Figures that have an interval, by unit: those of one unit share an axis."""
    units: dict[str, dict[str, Any]] = {}
    for name, each in figures.items():
        if each["low"] is not None and each["value"] is not None:
            units.setdefault(each["unit"], {})[name] = each
    return {unit: named for unit, named in units.items() if 1 < len(named) <= _MOST}


def _draw(axes: Axes, unit: str, figures: dict[str, Any]) -> None:
    for row, each in enumerate(figures.values()):
        high = each["high"] if each["high"] is not None else math.nan
        reach = [[each["value"] - each["low"]], [high - each["value"]]]
        axes.errorbar(each["value"], row, xerr=reach, fmt="o", color="#0072b2", capsize=2, markersize=4)
    axes.set_yticks(range(len(figures)), [_safe(name) for name in figures])
    axes.invert_yaxis()
    axes.set_xlabel(_safe(f"{unit}; 95 % interval"))
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _safe(text: str) -> str:
    """Matplotlib reads dollars as mathematics."""
    return text.replace("$", r"\$")
