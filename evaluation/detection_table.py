"""What the runs of `lfi benchmark detection` say: box mAP and mask AP with intervals over seeds, and gains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np

from evaluation.detection_benchmark import BOTH, DetectionRun
from evaluation.results import Goal, Results, over_seeds
from lfi.methods import CONTROLS, RESULT_ORIENTED, UNSHUFFLED

GOALS = {"box mAP": 1.6, "mask AP": 2.4}
"""Gain over the best result-oriented backbone on COCO, fine-tuned, in points, as the paper's abstract claims."""

OURS = ("LFI", BOTH, "LFI + patch words", UNSHUFFLED)


def summarise(runs: Sequence[DetectionRun], results: Results) -> None:
    """Fill `results` from the runs.

    A gain is paired: LFI less the rival with the same seed, an LFI less its own controls. Goals are judged by the
    median over seeds, which stands beside the mean: of a few fine-tuned detectors one may fail to learn, and carry the
    mean away. The best result-oriented method is the one with the highest median of the reported score itself.
    """
    scores = table(runs)
    for part, methods in scores.items():
        for method, by_seed in methods.items():
            results.figures[f"{part}: {method}"] = over_seeds(list(by_seed.values()), "%")
    for part, methods in scores.items():
        rivals = [method for method in methods if method in RESULT_ORIENTED]
        best = max(rivals, key=lambda method: np.median(list(methods[method].values())), default=None)
        pairs = [(ours, rival) for ours in OURS for rival in (best, "no distillation")]
        pairs += [(of, control) for control, of in CONTROLS.items()]
        for ours, rival in pairs:
            if ours not in methods or rival not in methods:
                continue
            title = f"best result-oriented ({rival})" if rival == best else rival
            gains = [methods[ours][seed] - methods[rival][seed] for seed in sorted(methods[ours])]
            results.figures[f"{ours} minus {title}, {part}"] = over_seeds(gains, "points")
            score, _, way = part.partition(", ")
            if rival != best:
                continue
            gain = float(np.median(gains))
            results.add(f"{ours} minus {title}, {part}, median of seeds", gain, "points")
            if way == "fine-tuned":
                results.goals[f"{ours} minus best result-oriented, {score}"] = Goal(
                    gain, GOALS[score], gain >= GOALS[score]
                )


def table(runs: Sequence[DetectionRun]) -> dict[str, dict[str, dict[int, float]]]:
    """Scores by part (`box mAP, fine-tuned`), method and seed."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
        for name, score in run.scores.items():
            found.setdefault(f"{name}, {run.way}", {}).setdefault(run.method, {})[run.seed] = score
    return found


def plot(runs: Sequence[DetectionRun], path: Path, title: str) -> None:
    """Scores with their intervals, one panel a part."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scores = table(runs)
    figure, axes = plt.subplots(1, len(scores), figsize=(3.2 * len(scores), 3), squeeze=False, layout="constrained")
    for axis, (part, methods) in zip(axes[0], scores.items(), strict=True):
        for row, (method, by_seed) in enumerate(methods.items()):
            found = over_seeds(list(by_seed.values()), "%")
            reach = 0.0 if np.isnan(found.low) else found.value - found.low
            colour = "#0072b2" if method in OURS else "#d55e00" if method in CONTROLS else "#555555"
            axis.errorbar(found.value, row, xerr=reach, fmt="o", color=colour, capsize=3)
        axis.set_yticks(range(len(methods)), [fill(each, 26) for each in methods] if axis is axes[0][0] else [])
        axis.invert_yaxis()
        axis.margins(y=0.2)
        axis.set_xlabel(f"{part.partition(',')[0]}, %")
        axis.set_title(part, fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{title}: mean and 95 % interval over seeds", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
