"""`lfi evaluate scenes`: does copying interactions help, and do words point? On generated scenes, where all is known.

Every method trains the same backbone on the same 2,000 labelled scenes for the same steps; only the losses differ.
Layers are chosen on validation scenes, and every figure is from test scenes. Which baseline, and which explanation, is
the best is told by these test scenes themselves: that favours what LFI is compared with. Runs are kept, so that an
interrupted evaluation resumes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.convergence import steps_to
from evaluation.pointing import localise
from evaluation.results import Figure, Goal, Results, over_clusters, over_seeds
from evaluation.runs import check_recipe, keep
from lfi.answerers import Answerer, ExplainedAnswerer, QueriesAnswerer, TeacherAnswerer
from lfi.data.scenes import SceneBatch, Scenes
from lfi.methods import CONTROLS, METHODS, RESULT_ORIENTED, sections
from lfi.students.explanations import EXPLANATIONS
from lfi.teachers import CoCaTeacher, load_teacher
from lfi.training.config import TrainConfig
from lfi.training.run import Prepared, prepare, train_student, validate

COMPARED = (
    *("no distillation", "logit KD", "feature KD", "logit + feature KD"),
    *("queries only", "queries + names, no maps", "shuffled maps", "LFI", "LFI, head without names"),
)
"""Methods compared by default."""
VALIDATION_SEED, TEST_SEED = 11, 12
POINTED = 300  # test scenes on which maps are measured; half as many validation scenes to choose on


@dataclass(frozen=True)
class SceneRun:
    """One trained student: scores in percent mAP."""

    method: str
    seed: int
    test: float
    curve: list[tuple[int, float]]
    """Steps and validation mAP."""
    pointing: dict[str, float]
    """Share of word-addressed maps on test scenes that hit, by kind of map; empty for methods that have none."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """How it was trained (`recipe_of`)."""


def evaluate_scenes(
    teacher_name: str | Path, seeds: Sequence[int], runs: Path, methods: Sequence[str], test: int = 2000
) -> Results:
    """Train what is missing and measure everything.

    A run that is there already is not trained again.

    Args:
        teacher_name: a teacher as `load_teacher` takes it: `scenes`, or a folder.
        runs: folder that keeps one JSON record per run.
        methods: names from `lfi.methods.METHODS`.

    Raises:
        ConfigError: a run that is there was trained otherwise than it would be now.
    """
    teacher = load_teacher(teacher_name)
    assert isinstance(teacher, CoCaTeacher)
    held_out = Scenes(test, TEST_SEED).load()
    results = Results(
        command=f"lfi evaluate scenes --seeds {len(seeds)}",
        seeds=list(seeds),
        n={
            "training scenes": TrainConfig().data.count,
            "test scenes": test,
            "scenes for maps": min(POINTED, test),
        },
    )
    measure_teacher(teacher, held_out.first(POINTED), results)
    prepared = None
    records = []
    for seed in seeds:
        for method in methods:
            path = (
                runs
                / f"{method.replace(' ', '-').replace('+', 'and').replace(',', '')}-{seed}-{teacher.fingerprint}.json"
            )
            if not path.exists():
                prepared = prepared or prepare(
                    TrainConfig(teacher=replace(TrainConfig().teacher, model=str(teacher_name))),
                    fields=tuple(dict.fromkeys(field for name in methods for field in METHODS[name].objective.fields)),
                )
                keep(path, asdict(run_method(method, seed, prepared, held_out)))
            stored = json.loads(path.read_text())
            check_recipe(path, stored.get("recipe", {}), recipe_of(method))
            records.append(SceneRun(**{**stored, "curve": [tuple(point) for point in stored["curve"]]}))
            tqdm.write(f"{method}, seed {seed}: {records[-1].test:.1f} mAP")
    summarise(records, results)
    return results


def measure_teacher(teacher: CoCaTeacher, scenes: SceneBatch, results: Results) -> None:
    """Do the teacher's words point? At its default layer, by kind of phrase and over all."""
    found = localise(TeacherAnswerer(teacher), scenes)
    layer = teacher.default_layers[0]
    for kind in [*dict.fromkeys(found.kinds), "all"]:
        of = np.ones(len(found.kinds), bool) if kind == "all" else found.kinds == kind
        images = np.unique(found.images[of], return_inverse=True)[1]
        results.figures[f"teacher hit, {kind}"] = percent(over_clusters(found.hits[layer, of], images, "%"))
        between = over_clusters(found.centred[layer, of], images, "%")
        results.figures[f"teacher hit, {kind}, interpolated between patch centres"] = percent(between)
        results.figures[f"teacher energy, {kind}"] = over_clusters(found.energy[layer, of], images, "share of map")
        results.figures[f"area, {kind}"] = over_clusters(found.area[of], images, "share of image")
        if kind == "all":
            hit = 100 * float(found.hits[layer, of].mean())
            ratio = float(found.energy[layer, of].mean() / found.area[of].mean())
            results.goals["teacher hit, all"] = Goal(hit, 85.0, hit >= 85)
            results.goals["teacher energy over area, all"] = Goal(ratio, 4.0, ratio >= 4)


def percent(figure: Figure) -> Figure:
    return Figure(100 * figure.value, 100 * figure.low, 100 * figure.high, "%")


def run_method(method: str, seed: int, prepared: Prepared, held_out: SceneBatch) -> SceneRun:
    """Train one method with one seed and measure it."""
    assert isinstance(prepared.teacher, CoCaTeacher)
    config = replace(
        prepared.config,
        student=METHODS[method].student(prepared.config.student),
        objective=METHODS[method].objective,
        loop=replace(prepared.config.loop, seed=seed),
    )
    student, records = train_student(replace(prepared, config=config), title=f"{method}, seed {seed}")
    curve = [(int(record["step"]), record["mAP"]) for record in records if "mAP" in record]
    pointing: dict[str, float] = {}
    data = prepared.config.data
    choice = Scenes(POINTED // 2, data.validation_seed, data.size).load()
    shown = held_out.first(POINTED)
    kinds = ("shape", "colour", "colour and shape")
    if student.name is not None:
        queries = QueriesAnswerer("lfi", student, prepared.teacher)
        pointing["word-addressed query"], pointing["floor"] = hit_rates(queries, choice, shown, kinds)
    elif student.embed is not None:
        for explanation in EXPLANATIONS:
            explained = ExplainedAnswerer("baseline", student, explanation, prepared.teacher)
            pointing[explanation], pointing[f"{explanation}, floor"] = hit_rates(explained, choice, shown, kinds)
    score = validate(student, held_out.image_set("test"))["mAP"]
    return SceneRun(method, seed, score, curve, pointing, recipe_of(method))


def recipe_of(method: str) -> dict[str, Any]:
    """What decides how a student is trained, besides the teacher and the seed."""
    config = TrainConfig()
    return {**sections(asdict(METHODS[method])), "loop": asdict(config.loop), "data": asdict(config.data)}


def hit_rates(
    answerer: Answerer[Any], choice: SceneBatch, shown: SceneBatch, kinds: Sequence[str]
) -> tuple[float, float]:
    """Hits on `shown`, and those of another scene's maps, at the layer that does best on `choice`."""
    layer = localise(answerer, choice, kinds).best_layer()
    own, other = (localise(answerer, shown, kinds, floor=floor).hits[layer].mean() for floor in (False, True))
    return float(own), float(other)


def summarise(records: Sequence[SceneRun], results: Results) -> None:
    """Means over seeds, paired differences, convergence and the goals."""
    scores = {
        method: [run.test for run in records if run.method == method]
        for method in dict.fromkeys(r.method for r in records)
    }
    for method, values in scores.items():
        results.figures[f"mAP, {method}"] = over_seeds(values, "% mAP")
    if "LFI" not in scores:
        return
    lfi = np.array(scores["LFI"])
    result_oriented = [method for method in RESULT_ORIENTED if method in scores]
    best = max(result_oriented, key=lambda method: np.mean(scores[method]), default=None)
    rivals = {control: control for control in CONTROLS if control in scores}
    if best:
        rivals = {best: "best result-oriented", **rivals}
    for method, title in rivals.items():
        name = f"LFI minus {title}" + (f" ({method})" if title != method else "")
        results.figures[name] = over_seeds(lfi - np.array(scores[method]), "points of mAP")
        gain = results.figures[name].value
        results.goals[name] = Goal(gain, 3.3, gain >= 3.3)
    if best is None:
        return
    ratios = []
    for seed in dict.fromkeys(run.seed for run in records):
        ours = next(run for run in records if (run.method, run.seed) == ("LFI", seed))
        theirs = next(run for run in records if (run.method, run.seed) == (best, seed))
        ratios.append(theirs.curve[-1][0] / steps_to(ours.curve, theirs.curve[-1][1]))
    results.figures[f"convergence: steps of {best} over steps of LFI to its final score"] = over_seeds(
        ratios, "ratio of steps"
    )
    results.goals["convergence"] = Goal(float(np.mean(ratios)), 7.0, float(np.mean(ratios)) >= 7)
    pointing(records, results)


def pointing(records: Sequence[SceneRun], results: Results) -> None:
    """Word-addressed maps of LFI against the best explanation of the best-explained baseline.

    The best is the one that hits most on these very scenes, so no lead of LFI's is due to a poor choice. Runs of
    earlier versions have no floors of baselines; without one there is no ratio of what is above the floors.
    """
    rates: dict[str, list[float]] = {}
    for run in records:
        for kind, rate in run.pointing.items():
            rates.setdefault(f"{run.method}, {kind}", []).append(100 * rate)
    for name, values in rates.items():
        results.figures[f"hit: {name}"] = over_seeds(values, "% of word-addressed maps")
    ours = rates.get("LFI, word-addressed query")
    theirs = {
        name: values
        for name, values in rates.items()
        if name.split(", ")[0] in RESULT_ORIENTED and not name.endswith(", floor")
    }
    if ours and theirs:
        best = max(theirs, key=lambda name: np.mean(theirs[name]))
        results.figures[f"hit rate of LFI over that of {best}"] = over_seeds(
            np.array(ours) / np.array(theirs[best]), "ratio"
        )
        floors = rates.get(f"{best}, floor", [])
        if len(floors) == len(theirs[best]) and (np.array(theirs[best]) > floors).all():
            corrected = (np.array(ours) - rates["LFI, floor"]) / (np.array(theirs[best]) - floors)
            results.figures[f"the same, each less its floor ({best})"] = over_seeds(corrected.tolist(), "ratio")
