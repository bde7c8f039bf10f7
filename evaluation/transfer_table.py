"""What the runs of `lfi benchmark transfer` say: scores, gains, convergence, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from evaluation.convergence import GOAL, Curve, add_times
from evaluation.results import Goal, Results, over_seeds
from evaluation.transfer import TransferRun
from evaluation.transfer_pointing import POINTING
from evaluation.transfer_scores import DOMAINS_OF, EMBEDDED, ZERO_SHOT
from lfi.methods import (
    ABLATIONS,
    BEST_OWN_WORDS,
    BEST_SHUFFLED,
    CONTROLS,
    CONTROLS_OF_THE_BEST,
    METHODS,
    ORDER,
    OWN_WORDS,
    PATCHES,
    RESULT_ORIENTED,
    SHUFFLED,
    UNSHUFFLED,
    WIDER,
)

AVERAGES = {name: f"{name}, mean of held-out domains" for name in DOMAINS_OF}
GOALS = {"TinyImageNet": 3.3, AVERAGES["PACS"]: 2.4, ZERO_SHOT["VLCS"]: 9.3}
"""Gain in top-1 over the best result-oriented student, in points, as the paper's abstract claims."""
INTERACTIONS = ("interaction", "relation", "naming", "patch_words", "shuffle", "own_words")
"""Settings in which controls differ from the LFI whose controls they are."""
PANELS = 5
"""Of a plot's line, at most."""
OVER_SHUFFLED, ACCURACY, SETTLED = 1.0, 25.0, 0.3
"""On TinyImageNet: LFI's lead over itself with another image's maps (with that image's words, or its own), in points;
top-1 of the best student, in percent; what the last fifth of a converged run's steps gains at most, in points."""


def summarise(runs: Sequence[TransferRun], results: Results) -> None:
    """Fill `results` from the runs.

    Scores are the mean over seeds with a t-interval. A gain is paired: LFI less the best result-oriented method (by
    mean) with the same seed; an LFI less its own controls, which copy the same outputs; an ablation less LFI. Held-out
    domains are averaged within a seed first. Of several LFI the best counts, by mean; of tuned ones that which did best
    on source validation.
    """
    scores, tuned = table(runs), of_the_best(runs)
    for part, methods in scores.items():
        unit = unit_of(part)
        for method, by_seed in methods.items():
            results.figures[f"{part}: {method}"] = over_seeds(list(by_seed.values()), unit)
    for part, methods in scores.items():
        if left_out(part) or not any(name.startswith("LFI") for name in methods):
            continue
        for method in methods:
            if method in ABLATIONS and method not in METHODS:
                difference(part, method, "LFI", methods, results)
        rivals = {name: values for name, values in methods.items() if name in RESULT_ORIENTED}
        best = max(rivals, key=lambda name: np.mean(list(rivals[name].values())), default="")
        candidates = [tuned] if tuned in methods else [name for name in methods if name.startswith("LFI")]
        ours = max(candidates, key=lambda name: np.mean(list(methods[name].values())))
        rows = [(own, rival) for own in dict.fromkeys(("LFI", ours)) for rival in (best, PATCHES, WIDER)]
        rows += [(of, control) for control, of in (CONTROLS | dict.fromkeys(CONTROLS_OF_THE_BEST, tuned)).items()]
        for own, against in rows:
            difference(part, own, against, methods, results)
        if best:
            name = f"{part}: {ours} less {best}"
            for prefix, goal in GOALS.items():
                if name in results.figures and (part == prefix or part.startswith(f"{prefix} ")):
                    gain = results.figures[name].value
                    results.goals[name] = Goal(gain, goal, gain >= goal)
            convergence(runs, part, best, ours, results)
            settled([run for run in runs if (run.part, run.method) == (part, best)], results)
            along([run for run in runs if run.part == part], ours, best, results)
        if part.startswith("TinyImageNet"):
            compare_to_goals(part, methods, ours, results)
    costs(runs, results)


def of_the_best(runs: Sequence[TransferRun]) -> str:
    """The tuned LFI that did best on source validation: its controls have its weights. "" if there are none."""
    controls = [_outputs(run.trained) for run in runs if run.method in CONTROLS_OF_THE_BEST]
    tuned = (run.method for run in runs if run.method.startswith("LFI") and _outputs(run.trained) in controls)
    return next(tuned, "")


def _outputs(trained: dict[str, Any]) -> dict[str, Any]:
    """What a tuned LFI and its controls have in common: queries, taps, and the weights of the outputs they copy."""
    objective = {name: each for name, each in trained.get("objective", {}).items() if name not in INTERACTIONS}
    return {"wide": False, **trained, "objective": objective}  # runs from before there was a choice do not say


def unit_of(part: str) -> str:
    """What a part is measured in."""
    if part.startswith("scenes"):
        return "% mAP"
    return "% of words" if part.startswith(tuple(POINTING.values())) else "% top-1"


def table(runs: Sequence[TransferRun]) -> dict[str, dict[str, dict[int, float]]]:
    """Main scores by part, method and seed; zero-shot, where students look and means over domains are parts, too."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    several = len({run.part for run in runs if run.part.startswith("TinyImageNet")}) > 1
    for run in runs:
        for name, score in run.scores.items():
            shared = name if name in (*ZERO_SHOT.values(), *EMBEDDED.values()) else POINTING.get(name, "")
            part = run.part if not shared else f"{shared}, {run.part}" if several else shared
            found.setdefault(part, {}).setdefault(run.method, {})[run.seed] = score
    for data, average in AVERAGES.items():
        domains = [part for part in found if part.startswith(f"{data} without")]
        for method in ORDER:
            present = [found[part].get(method, {}) for part in domains]
            seeds = set.intersection(*map(set, present)) if len(present) == len(DOMAINS_OF[data]) else set()
            for seed in sorted(seeds):
                mean = float(np.mean([each[seed] for each in present]))
                found.setdefault(average, {}).setdefault(method, {})[seed] = mean
    return found


def left_out(part: str) -> bool:
    """Whether a part leaves out one domain; only the mean over domains is compared."""
    return part.split(" without ")[0] in DOMAINS_OF


def difference(part: str, ours: str, theirs: str, methods: Mapping[str, Mapping[int, float]], results: Results) -> None:
    """How much more one method scores than another with the same seeds; nothing where they have none in common."""
    own, other = methods.get(ours, {}), methods.get(theirs, {})
    if seeds := sorted(own.keys() & other.keys()):
        gains = [own[seed] - other[seed] for seed in seeds]
        results.figures[f"{part}: {ours} less {theirs}"] = over_seeds(gains, "points")


def convergence(runs: Sequence[TransferRun], part: str, best: str, ours: str, results: Results) -> None:
    """Steps and seconds to the final score of the best baseline; a mean of parts has no runs of its own, so none.

    See `evaluation.convergence.add_times`.
    """
    curves = []
    for run in (run for run in runs if run.part == part):
        steps, scores = np.array(run.curve, float).T
        curves.append(Curve(run.method, run.seed, steps, steps * run.step, scores, "% top-1"))
    if not curves:
        return
    ratio = add_times(curves, ours, best, results, part)
    if part.startswith("TinyImageNet") and not np.isnan(ratio):
        name = f"{part}: steps of {best} over those of {ours} to the same score"
        results.goals[name] = Goal(ratio, GOAL, ratio >= GOAL)


def compare_to_goals(part: str, methods: dict[str, dict[int, float]], ours: str, results: Results) -> None:
    """The lead over wrong maps with LFI's own losses, and the best student's score, next to their goals."""
    if ours != UNSHUFFLED:
        return
    for control in (SHUFFLED, OWN_WORDS, BEST_SHUFFLED, BEST_OWN_WORDS):
        name = f"{part}: {ours} less {control}"
        if name in results.figures:
            gain = results.figures[name].value
            results.goals[name] = Goal(gain, OVER_SHUFFLED, gain >= OVER_SHUFFLED)
    best = max(float(np.mean(list(each.values()))) for each in methods.values())
    results.goals[f"{part}: the best student"] = Goal(best, ACCURACY, best >= ACCURACY)


def settled(runs: Sequence[TransferRun], results: Results) -> None:
    """What the last fifth of the steps gained, of one method; curves of fewer than five points say nothing."""
    gains = []
    for run in runs:
        steps, scores = np.array(run.curve, float).T
        if len(steps) >= 5:
            gains.append(float(scores[-1] - scores[np.abs(steps - 0.8 * steps[-1]).argmin()]))
    if gains:
        name = f"{runs[0].part}: gain of {runs[0].method} in the last fifth of its steps, at most"
        results.figures[name] = figure = over_seeds(gains, "points")
        results.goals[name] = Goal(figure.value, SETTLED, figure.value <= SETTLED)


def along(runs: Sequence[TransferRun], ours: str, best: str, results: Results) -> None:
    """The lead after every fifth of the steps, on the images of the curves: whether it is only a head start.

    Of every run it is the score measured nearest to that; curves of fewer than five points say nothing.
    """
    curves = {name: {run.seed: run.curve for run in runs if run.method == name} for name in (ours, best)}
    lengths = [len(curve) for by_seed in curves.values() for curve in by_seed.values()]
    if min(lengths, default=0) < 5:
        return
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        scores = {
            name: {seed: _score_at(curve, share) for seed, curve in by_seed.items()} for name, by_seed in curves.items()
        }
        difference(f"{runs[0].part}, after {share:.0%} of the steps", ours, best, scores, results)


def _score_at(curve: Sequence[tuple[int, float]], share: float) -> float:
    """The score measured nearest to this share of a curve's steps; the last of several."""
    return min(reversed(curve), key=lambda point: abs(point[0] - share * curve[-1][0]))[1]


def costs(runs: Sequence[TransferRun], results: Results) -> None:
    """Parameters and step time of every method, as ratios to plain supervision (or else to LFI) in the same part."""
    methods = dict.fromkeys(run.method for run in runs)
    against = next((name for name in ("no distillation", "LFI", *RESULT_ORIENTED) if name in methods), "")
    reference = {(run.part, run.seed): run for run in runs if run.method == against}
    unit = f"ratio to {'plain' if against == 'no distillation' else against}"
    for method in methods:
        own = [run for run in runs if run.method == method and (run.part, run.seed) in reference]
        if own and method != against:
            more = [run.parameters / reference[run.part, run.seed].parameters for run in own]
            slower = [run.step / reference[run.part, run.seed].step for run in own]
            results.add(f"parameters: {method}", float(np.mean(more)), unit)
            results.add(f"step time: {method}", float(np.median(slower)), unit)


def plot(runs: Sequence[TransferRun], path: Path, title: str) -> None:
    """Scores with their intervals, one panel a part; held-out domains by their mean, and one by one if they are all."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scores = table(runs)
    means = [part for part in scores if not left_out(part)]
    parts = list(scores) if set(means) <= set(AVERAGES.values()) else means
    tall = min(1.6 + 0.45 * max(len(scores[part]) for part in parts), 4.6)
    lines = -(-len(parts) // PANELS)
    across = -(-len(parts) // lines)
    figure, grid = plt.subplots(
        lines, across, figsize=(2 + 3 * across, tall * lines), squeeze=False, layout="constrained"
    )
    for spare in grid.flat[len(parts) :]:
        spare.set_axis_off()
    for number, (axis, part) in enumerate(zip(grid.flat, parts, strict=False)):
        methods = [method for method in ORDER if method in scores[part]]
        if "LFI" in methods:
            ours = float(np.mean(list(scores[part]["LFI"].values())))
            axis.axvline(ours, color="#0072b2", linewidth=0.8, linestyle=":")
        for row, method in enumerate(methods):
            found = over_seeds(list(scores[part][method].values()), "")
            reach = 0.0 if np.isnan(found.low) else found.value - found.low
            colour = (
                "#0072b2"
                if method.startswith("LFI")
                else "#d55e00"
                if method in (*CONTROLS, *CONTROLS_OF_THE_BEST)
                else "#555555"
            )
            axis.errorbar(found.value, row, xerr=reach, fmt="o", color=colour, capsize=3)
        first = scores[parts[number - number % across]]  # of the line
        same = number % across > 0 and methods == [method for method in ORDER if method in first]
        axis.set_yticks(range(len(methods)), [] if same else [fill(method, 26) for method in methods])
        if same:
            axis.tick_params(left=False)
        axis.invert_yaxis()
        axis.margins(y=0.2)
        axis.set_xlabel(unit_of(part))
        axis.set_title(fill(part, 24), fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    figure.suptitle(fill(f"{title}: mean and 95 % interval over seeds", 42 * across), fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
