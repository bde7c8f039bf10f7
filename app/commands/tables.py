"""What commands that measure do with their results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evaluation.results import Results


def deliver(results: Results, json: Path | None, plot: Path | None) -> None:
    """Print the table; write record and plot where they are wanted, the plot last: it is the easiest to make again."""
    from evaluation.drawing import plot_results
    from evaluation.report import markdown

    if json:
        results.write(json)
    print(markdown(results.record()))
    if plot:
        plot_results(results, plot)
