"""The curves of a run: its losses by step, and every figure that was evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

THROUGHPUT = ("images/s", "data wait", "MFU", "learning rate", "gradient norm")
"""Figures of the loop that are not losses."""


def plot_records(records: Sequence[dict[str, float]], path: Path, title: str = "") -> None:
    """Write the plot; its suffix is its format. See `draw_records`."""
    draw_records(records, title).savefig(path, dpi=120)


def draw_records(records: Sequence[dict[str, float]], title: str = "") -> Figure:
    """Losses in one panel, every evaluated figure in one of its own.

    Args:
        records: of a run; those with `images/s` are of training, the others of an evaluation.
    """
    trained = [record for record in records if "images/s" in record]
    evaluated = [record for record in records if "images/s" not in record]
    losses = _series(trained, ("step", *THROUGHPUT))
    figures = _series(evaluated, ("step",))
    panels = 1 + len(figures)
    columns = min(3, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(4.8 * columns, 3.4 * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(panels)]
    for name, points in sorted(losses.items(), key=lambda item: item[0] != "loss"):
        axes[0].plot(*zip(*points, strict=True), label=name, linewidth=1.8 if name == "loss" else 0.9)
    if losses and all(value > 0 for points in losses.values() for _, value in points):
        axes[0].set_yscale("log")
    if losses:
        axes[0].legend(fontsize="small")
    axes[0].set_ylabel("loss (training, one batch each)")
    for panel, (name, points) in zip(axes[1:], figures.items(), strict=True):
        panel.plot(*zip(*points, strict=True), marker="o", markersize=3)
        panel.set_ylabel(f"{name} (evaluation)")
    for panel in axes:
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def _series(records: Sequence[dict[str, float]], without: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    names = dict.fromkeys(name for record in records for name in record if name not in without)
    return {name: [(record["step"], record[name]) for record in records if name in record] for name in names}
