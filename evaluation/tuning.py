"""`lfi benchmark tune`: the weights of every contender, chosen on source validation with as many trials each.

A fifth of the training images is held out of training; the test images are not read. The search is Optuna's TPE, which
begins with the scale's weights, or with those of `lfi/methods.py`, result-oriented ones at 1. A trial whose best score
so far is below the median that its method's whole trials had by then is cut short, and counts (Optuna's median pruner,
after three trials, at the second to fourth of five evaluations).

LFI has more settings (its weights, the number of queries, taps, feedback), but no more trials. Its second trial has the
weights that were found for its rival, the result-oriented contender that copies the same outputs, and the rival then
gets as many trials again: twice as many lie behind either.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from tqdm import tqdm

from evaluation.results import Results
from evaluation.runs import check_known, check_recipe, in_processes
from evaluation.transfer import (
    EVALUATIONS,
    SOURCE_VALIDATION,
    TransferSetup,
    prepared,
    setting_of,
    teacher_of,
    train_one,
)
from evaluation.transfer_scores import main_score
from lfi.errors import ConfigError
from lfi.methods import (
    BEST_HEAD,
    BEST_OWN_WORDS,
    BEST_QUERIES,
    BEST_SHUFFLED,
    METHODS,
    UNSHUFFLED,
    Method,
    raised,
    weighted,
)
from lfi.teachers import load_teacher
from lfi.training.config import ObjectiveConfig
from lfi.training.run import validate

WEIGHTS = ("interaction", "relation", "naming", "patch_words", "logit_kd", "feature_kd", "dist")
OUTPUTS = ("logit_kd", "feature_kd", "dist")
REACH = (0.1, 10.0)
"""A weight is searched between a tenth and ten times its start, evenly in its logarithm."""
SEED = 1000
"""Seed of the students in the search: none of the reported seeds."""
Parameters = dict[str, float | int | str | bool]
"""Of a trial, by name."""


@dataclass(frozen=True)
class SearchResult:
    """What the search found for one method.

    Attributes:
        start, best: scores on source validation, in percent.
        trials, cut: how many there were, and how many of them were cut short.
        inherited: score with the weights found for its rival; None if it has none.
    """

    name: str
    method: Method
    start: float
    best: float
    trials: int
    cut: int = 0
    inherited: float | None = None


CONTENDERS = (
    "logit + feature KD",
    "DIST + feature KD",
    "LFI + logit + feature KD",
    "LFI + DIST + feature KD",
    UNSHUFFLED,
)
"""What can be searched: the strongest of both kinds, with every loss their kind may use."""
UNCUT, CUT_FROM = 3, 2
"""Trials that are never cut short, and the evaluation from which later ones may be."""


def begun_with(setup: TransferSetup, name: str) -> Method:
    """Where a contender's search begins."""
    return weighted(METHODS[name], setup.at.weights) if setup.at.weights else raised(METHODS[name])


def rival_of(name: str) -> str:
    """The contender without queries that copies the same outputs as this one; "" for one without queries."""
    if not METHODS[name].queries:
        return ""
    rivals = (other for other in CONTENDERS if not METHODS[other].queries)
    return next((other for other in rivals if _copied(other) == _copied(name)), "")


def _copied(name: str) -> set[str]:
    """The outputs of the teacher that a contender copies."""
    return {loss for loss in OUTPUTS if getattr(METHODS[name].objective, loss)}


def tune(
    setup: TransferSetup, part: str, trials: int, workers: int, names: Sequence[str] = CONTENDERS
) -> list[SearchResult]:
    """Search for every contender, `workers` of them at a time; an interrupted search resumes.

    Args:
        trials: of every contender; twice as many of one with which an LFI among `names` begins.

    Raises:
        ConfigError: an unknown contender.
    """
    check_known("method", names, CONTENDERS)
    for each in (part, part + SOURCE_VALIDATION) if setup.at.unlabelled else (part + SOURCE_VALIDATION,):
        prepared(setup, each)  # caches are made once, here; images without labels need one
    prepared.cache_clear()
    rivals = [name for name in names if name in {rival_of(each) for each in names}]
    alone = [name for name in names if name not in rivals and rival_of(name) not in names]
    first = [(setup, part, name, trials, None) for name in (*rivals, *alone)]
    found = {each.name: each for each in in_processes(tune_one, first, workers, "tune", "method")}
    heirs = [(setup, part, name, trials, found[rival_of(name)]) for name in names if rival_of(name) in rivals]
    again = [(setup, part, name, 2 * trials, None) for name in rivals]
    found |= {each.name: each for each in in_processes(tune_one, [*heirs, *again], workers, "tune on", "method")}
    return [found[name] for name in names]


def tune_one(
    setup: TransferSetup, part: str, name: str, trials: int, rival: SearchResult | None = None
) -> SearchResult:
    """Search for one contender.

    Args:
        rival: with whose weights the second trial is made.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    inherited = start_of(rival.method) if rival else {}
    study = study_of(setup, part, name, inherited)
    ready, tests = prepared(setup, part + SOURCE_VALIDATION)

    start, measure = begun_with(setup, name), main_score(ready)

    def score(trial: optuna.Trial) -> float:
        method = varied(trial, start)
        title = f"{name}, trial {trial.number}"
        evaluations = count(1)

        def watch(step: int, figures: dict[str, float]) -> None:
            evaluation = next(evaluations)
            trial.report(figures[measure], evaluation)
            if evaluation < EVALUATIONS and trial.should_prune():
                tqdm.write(f"{title}: cut short at {figures[measure]:.2f} % after {step} steps, {trial.params}")
                raise optuna.TrialPruned

        student, _ = train_one(setup, part + SOURCE_VALIDATION, method, SEED, title, watch=watch)
        reached = validate(student, tests["test"])[measure]
        tqdm.write(f"{title}: {reached:.2f} %, {trial.params}")
        return reached

    study.optimize(score, max(0, trials - len(finished(study))))
    done = finished(study)[:trials]  # no more than the others have
    whole = [trial for trial in done if trial.state == TrialState.COMPLETE]
    best = max(whole, key=lambda trial: trial.value or 0)
    scores = [
        next(float(trial.value or 0) for trial in whole if trial.params == given)
        for given in begins_with(start_of(start), inherited)
    ]
    cut = len(done) - len(whole)
    return SearchResult(
        name, varied(best, start), scores[0], float(best.value or 0), len(done), cut, scores[1] if rival else None
    )


def study_of(setup: TransferSetup, part: str, name: str, inherited: Parameters | None = None) -> optuna.Study:
    """The search of a contender, kept in a file; a new one begins with the contender as it is.

    Args:
        inherited: parameters that its second trial has, too.

    Raises:
        ConfigError: the file's search began with other weights, another teacher or at another scale.
    """
    kept = setup.folder / "tuning" / f"{part}-{name}.journal".replace(" ", "_")
    kept.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(kept))),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )
    now = {
        "teacher": load_teacher(teacher_of(setup, part)).label,
        "scale": setting_of(setup, part),
        "pruner": {"uncut": UNCUT, "from": CUT_FROM},
    }
    if inherited:
        now["inherited"] = inherited
    if study.trials:
        check_recipe(kept, study.user_attrs.get("recipe", {}), now)
    else:
        study.set_user_attr("recipe", json.loads(json.dumps(now)))
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), n_startup_trials=5)
    study.pruner = optuna.pruners.MedianPruner(UNCUT, CUT_FROM)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):  # it was killed
        study.tell(trial.number, state=TrialState.FAIL)
    known = [trial.params for trial in finished(study)]
    known += [trial.system_attrs["fixed_params"] for trial in study.get_trials(states=(TrialState.WAITING,))]
    given = begins_with(start_of(begun_with(setup, name)), inherited)
    if finished(study) and not any(each in known for each in given):
        raise ConfigError(f"the search in {kept} started from other weights; move it away, or pass another --runs")
    for each in given:
        if each not in known:
            study.enqueue_trial(each)
    return study


def begins_with(start: Parameters, inherited: Parameters | None) -> list[Parameters]:
    """What the first trials of a search are made with: the contender as it is, and with its rival's weights."""
    return [start, start | inherited] if inherited else [start]


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials with a score, and those cut short; one that was killed is made again."""
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def start_of(method: Method) -> Parameters:
    """A contender as parameters of a trial."""
    objective = method.objective
    start: Parameters = {name: getattr(objective, name) for name in WEIGHTS if getattr(objective, name)}
    if objective.logit_kd:
        start["temperature"] = objective.temperature
    if method.queries:
        start |= {"queries": method.queries, "taps": method.taps, "feedback": method.feedback}
    return start


def varied(trial: optuna.Trial | optuna.trial.FrozenTrial, method: Method) -> Method:
    """The method that a trial names: of every loss that the contender has, another weight (three digits)."""
    objective: ObjectiveConfig = method.objective
    for name in WEIGHTS:
        weight = getattr(objective, name)
        if weight:
            sought = trial.suggest_float(name, weight * REACH[0], weight * REACH[1], log=True)
            changed: dict[str, Any] = {name: float(f"{sought:.3g}")}
            objective = replace(objective, **changed)
    if objective.logit_kd:
        objective = replace(objective, temperature=trial.suggest_categorical("temperature", (1.0, 2.0, 4.0)))
    if not method.queries:
        return Method(objective)
    return Method(
        objective,
        queries=trial.suggest_categorical("queries", (4, 8, 16)),
        taps=trial.suggest_categorical("taps", ("all", "every second", "last")),
        feedback=trial.suggest_categorical("feedback", (False, True)),
    )


def with_controls(found: Sequence[SearchResult]) -> dict[str, Method]:
    """Plain supervision, what was found, and the controls of the LFI that did best on source validation, if any."""
    ours = [each for each in found if each.method.queries]
    chosen = {"no distillation": Method(ObjectiveConfig()), **{each.name: each.method for each in found}}
    if not ours:
        return chosen
    best = max(ours, key=lambda each: each.best).method
    named = replace(best.objective, interaction=0.0, relation=0.0, patch_words=0.0)
    shuffled = replace(best.objective, shuffle=True)
    controls = {
        BEST_QUERIES: replace(named, naming=0.0),
        BEST_HEAD: named,
        BEST_SHUFFLED: shuffled,
        BEST_OWN_WORDS: replace(shuffled, own_words=True),
    }
    return chosen | {name: replace(best, objective=objective) for name, objective in controls.items()}


def write(found: Sequence[SearchResult], depth: int, results: Results, path: Path | None) -> None:
    """Fill `results`, and keep them with the methods for `lfi benchmark transfer --tuned`.

    Args:
        depth: blocks of the backbone.
    """
    for each in found:
        results.add(f"validation at the start: {each.name}", each.start, "%")
        if each.inherited is not None:
            results.add(f"validation with its rival's weights: {each.name}", each.inherited, "%")
        results.add(f"validation of the best trial: {each.name}", each.best, "%")
        results.add(f"trials: {each.name}", each.trials, "trials")
        results.add(f"trials cut short: {each.name}", each.cut, "trials")
        objective = each.method.objective
        for name in WEIGHTS:
            if getattr(objective, name):
                results.add(f"{name}: {each.name}", getattr(objective, name), "weight")
        if objective.logit_kd:
            results.add(f"temperature: {each.name}", objective.temperature, "")
        if each.method.queries:
            results.add(f"queries: {each.name}", each.method.queries, "")
            tapped = each.method.tapped(depth) or range(depth)
            results.add(f"blocks tapped: {each.name}", len(tapped), f"of {depth}")
            results.add(f"feedback: {each.name}", each.method.feedback, "")
    if path:
        chosen = {name: asdict(method) for name, method in with_controls(found).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results.record() | {"chosen": chosen}, indent=2) + "\n", encoding="utf-8")
