"""`lfi evaluate convergence`: how soon a method gets to the final score of the best baseline, in steps and seconds.

Curves come from runs of `lfi train` (`metrics.jsonl`) and from records of `lfi benchmark transfer`. Runs are paired by
their seeds: a ratio is the baseline's whole schedule over what ours needs until it first has the baseline's final score
with the same seed. Next to it stands what the baseline itself needs until it first has that score, over the same: the
fairer one if its curve is flat at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.results import Figure, Goal, Results, over_seeds, read
from lfi.errors import ConfigError, DataError
from lfi.methods import CONTROLS, CONTROLS_OF_THE_BEST, RESULT_ORIENTED
from lfi.training.logbook import read_records

GOAL = 7.0
"""How many times fewer steps, as the paper's abstract claims."""


@dataclass(frozen=True)
class Curve:
    """Scores of one run, which rise.

    Attributes:
        steps: int `[evaluation]`, done by then.
        seconds: `[evaluation]`, of training alone, without evaluations.
        scores: `[evaluation]`, in `unit`.
    """

    method: str
    seed: int
    steps: np.ndarray
    seconds: np.ndarray
    scores: np.ndarray
    unit: str


def steps_to(curve: Sequence[tuple[float, float]], score: float) -> float:
    """Steps (or seconds) after which a curve first reaches a score, interpolated between evaluations from 0 on;
    infinity if it never does."""
    before = (0.0, 0.0)
    for step, value in curve:
        if value >= score:
            share = (score - before[1]) / max(value - before[1], 1e-9)
            return before[0] + share * (step - before[0])
        before = (step, value)
    return float("inf")


def ratios(ours: Curve, theirs: Curve) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ratios of steps and of seconds, over ours to their final score: of their whole run, and of theirs to that score.

    Their curve may have the score before its end, by chance or as it is flat by then. All are 0 if ours never has it.
    """
    steps, seconds = _reached(ours, theirs.scores[-1])
    first = _reached(theirs, theirs.scores[-1])
    whole = float(theirs.steps[-1]), float(theirs.seconds[-1])
    return (whole[0] / steps, whole[1] / seconds), (first[0] / steps, first[1] / seconds)


def _reached(curve: Curve, score: float) -> tuple[float, float]:
    """Steps and seconds until a curve first has a score."""
    return (
        steps_to(list(zip(curve.steps.tolist(), curve.scores.tolist(), strict=True)), score),
        steps_to(list(zip(curve.seconds.tolist(), curve.scores.tolist(), strict=True)), score),
    )


def add_times(curves: Sequence[Curve], ours: str, best: str, results: Results, part: str = "") -> float:
    """Steps and seconds to the best baseline's final score: of every method, and how many times fewer of ours.

    A method that stays below that score with some seed has no figure; its ratio counts as 0 with that seed.

    Args:
        part: stands before the figures' names.

    Returns:
        The mean ratio of steps; NaN without a seed that both have and with which the baseline learnt anything.
    """
    methods = _by_method(curves)
    for name, by_seed in methods.items():
        pairs = [(by_seed[seed], methods[best][seed]) for seed in sorted(set(by_seed) & set(methods[best]))]
        reached = np.array([_reached(own, other.scores[-1]) for own, other in pairs]).reshape(-1, 2)
        for unit, values in zip(("steps", "seconds"), reached.T, strict=True):
            known = values.tolist() if len(values) and np.isfinite(values).all() else [float("nan")]
            label = f"{unit} to the final score of {best}: {name}"
            results.figures[f"{part}, {label}" if part else label] = over_seeds(known, unit)
    shared = sorted(seed for seed in set(methods[ours]) & set(methods[best]) if methods[best][seed].scores[-1] > 0)
    found = np.array([ratios(methods[ours][seed], methods[best][seed]) for seed in shared]).reshape(-1, 2, 2)
    for which, until in enumerate(("to the same score", "each until it first has that score")):
        for column, unit in enumerate(("steps", "seconds")):
            label = f"{unit} of {best} over those of {ours}{',' * which} {until}"
            if shared:
                values = found[:, which, column].tolist()
                results.figures[f"{part}: {label}" if part else label] = over_seeds(values, f"ratio of {unit}")
    return float(found[:, 0, 0].mean()) if shared else float("nan")


def converge(curves: Sequence[Curve], ours: str, rivals: Sequence[str], results: Results) -> str:
    """Final scores of every method, and `add_times` to that of the best rival; which that is.

    Args:
        ours: the method whose speed is asked for.
        rivals: methods it may be compared with; without any, the result-oriented ones that are there, else all others
            that are not controls.

    Raises:
        ConfigError: runs of different scores, a method that no run is of, no rival, no seed that both have, or two
            runs of one seed.
    """
    first = curves[0]
    for other in curves:
        if other.unit != first.unit:
            raise ConfigError(
                f"{first.method!r} is measured in {first.unit} and {other.method!r} in {other.unit}; one score of all "
                "runs was expected"
            )
    methods = _by_method(curves)
    for name in (ours, *rivals):
        if name not in methods:
            raise ConfigError(f"no run of {name!r}; there are runs of {', '.join(methods)}")
    found = [name for name in RESULT_ORIENTED if name in methods and name != ours]
    others = [name for name in methods if name not in (ours, *CONTROLS, *CONTROLS_OF_THE_BEST)]
    chosen = list(rivals) or found or others
    if not chosen:
        raise ConfigError(f"all runs are of {ours!r}; there is no baseline to compare it with")
    for name, by_seed in methods.items():
        last = [float(curve.scores[-1]) for curve in by_seed.values()]
        results.figures[f"final score: {name}"] = over_seeds(last, curves[0].unit)
    best = max(chosen, key=lambda name: results.figures[f"final score: {name}"].value)
    if not set(methods[ours]) & set(methods[best]):
        raise ConfigError(f"{ours!r} and {best!r} have no seed in common, so they cannot be paired")
    ratio = add_times(curves, ours, best, results)
    if not np.isnan(ratio):
        results.goals[f"steps of {best} over those of {ours} to the same score"] = Goal(ratio, GOAL, ratio >= GOAL)
    return best


def _by_method(curves: Sequence[Curve]) -> dict[str, dict[int, Curve]]:
    methods: dict[str, dict[int, Curve]] = {}
    for curve in curves:
        by_seed = methods.setdefault(curve.method, {})
        if curve.seed in by_seed:
            raise ConfigError(
                f"there are two runs of {curve.method!r} with seed {curve.seed}; one of a seed was expected"
            )
        by_seed[curve.seed] = curve
    return methods


def read_curve(path: Path, method: str = "", score: str = "") -> Curve:
    """The curve in a folder of `lfi train`, or in a record of `lfi benchmark transfer`.

    Args:
        method: what the run is called; the folder's name, or the record's method without it.
        score: which figure of a folder's evaluations; the first one without it.

    Raises:
        DataError: neither of them, or without such evaluations.
    """
    return _of_folder(path, method, score) if path.is_dir() else _of_record(path, method)


def _of_folder(folder: Path, method: str, score: str) -> Curve:
    records = read_records(folder / "metrics.jsonl")
    if not records:
        raise DataError(f"{folder} has no metrics.jsonl with records, so it is not a run of `lfi train`")
    evaluated = [record for record in records if "images/s" not in record]
    known = [name for name in (evaluated[0] if evaluated else ()) if name != "step"]
    score = score or next(iter(known), "")
    if score not in known:
        raise DataError(f"{folder} has no evaluations of {score or 'anything'!r}; of {', '.join(known) or 'nothing'}")
    config = read(folder / "config.json")
    done, seconds, times = 0.0, 0.0, {0.0: 0.0}
    for record in records:
        if "images/s" in record:
            seconds += (record["step"] - done) * config["loop"]["batch_size"] / record["images/s"]
            done = record["step"]
            times[done] = seconds
    steps = np.array([record["step"] for record in evaluated if score in record], float)
    return Curve(
        method=method or folder.name,
        seed=int(config["loop"]["seed"]),
        steps=steps,
        seconds=np.interp(steps, list(times), list(times.values())),
        scores=np.array([record[score] for record in evaluated if score in record]),
        unit=f"% {score}",
    )


def _of_record(path: Path, method: str) -> Curve:
    record = read(path)
    try:
        steps, scores = np.array(record["curve"], float).T
        unit = f"% {next(iter(record['scores']))}"
        return Curve(method or record["method"], record["seed"], steps, steps * record["step"], scores, unit)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a record of `lfi benchmark transfer`: {error!r}") from error


def plot(curves: Sequence[Curve], ours: str, best: str, path: Path, title: str) -> None:
    """Score over steps and over seconds: mean over seeds and its 95 % interval; the baseline's final score dashed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    from evaluation.drawing import STYLE

    by_method: dict[str, list[Curve]] = {}
    for curve in curves:
        by_method.setdefault(curve.method, []).append(curve)
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(9, 3.8), layout="constrained")
        panels = drawing.subplots(1, 2, sharey=True)
        for name, several in by_method.items():
            middle = [_at(several, number) for number in range(min(len(curve.scores) for curve in several))]
            colour = {ours: "#0072b2", best: "#d55e00"}.get(name, "#999999")
            for axes, place in zip(panels, (0, 1), strict=True):
                across = [point[place] for point in middle]
                front = 3 if name in (ours, best) else 2
                axes.plot(across, [point[2].value for point in middle], color=colour, label=name, zorder=front)
                low, high = ([getattr(point[2], end) for point in middle] for end in ("low", "high"))
                axes.fill_between(across, low, high, color=colour, alpha=0.2, linewidth=0, zorder=front - 1)
        last = float(np.mean([curve.scores[-1] for curve in by_method[best]]))
        for axes, label in zip(panels, ("steps", "seconds of training"), strict=True):
            axes.axhline(last, color="#d55e00", linestyle="--", linewidth=0.8)
            axes.set_xlabel(label)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel(f"{curves[0].unit}; mean and 95 % interval over seeds")
        panels[1].legend(fontsize=8, frameon=False)
        drawing.suptitle(title, fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, dpi=120)


def _at(curves: Sequence[Curve], number: int) -> tuple[float, float, Figure]:
    """Steps, seconds and score of some runs at one of their evaluations, means over seeds."""
    return (
        float(np.mean([curve.steps[number] for curve in curves])),
        float(np.mean([curve.seconds[number] for curve in curves])),
        over_seeds([float(curve.scores[number]) for curve in curves], curves[0].unit),
    )
