"""The search gives every contender its trials, goes on where it was killed, and hands on what it found."""

from dataclasses import replace

import pytest

from evaluation import tuning
from evaluation.report import markdown
from evaluation.results import Results
from evaluation.transfer import SOURCE_VALIDATION, prepared, record_of, run_one
from evaluation.transfer_scales import SCALES
from evaluation.transfer_table import summarise
from evaluation.tuning import (
    CONTENDERS,
    SearchResult,
    begun_with,
    finished,
    start_of,
    study_of,
    tune,
    tune_one,
    with_controls,
    write,
)
from lfi.errors import ConfigError
from lfi.methods import CONTROLS_OF_THE_BEST, METHODS, UNSHUFFLED, weighted

DRAWN = "scenes without sketch"


def test_a_search_that_began_with_other_weights_is_refused(setup, tmp_path):
    here = replace(setup, runs=str(tmp_path))
    study = study_of(here, DRAWN, "LFI + DIST + feature KD")
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(ConfigError, match="started from other weights") as refused:
        study_of(here, DRAWN, "LFI + DIST + feature KD")
    assert str(tmp_path) in str(refused.value)


def test_a_search_at_another_scale_or_with_another_optimizer_is_refused(setup, tmp_path, monkeypatch):
    here = replace(setup, runs=str(tmp_path))
    study_of(here, DRAWN, "LFI + DIST + feature KD")
    study_of(here, DRAWN, "LFI + DIST + feature KD")  # it is gone on with
    monkeypatch.setitem(SCALES, "tiny", replace(SCALES["tiny"], optimizer="muon"))
    with pytest.raises(ConfigError, match=r"journal was made with scale\.optimizer 'adamw', which is 'muon' now"):
        study_of(here, DRAWN, "LFI + DIST + feature KD")


@pytest.mark.parametrize("killed", [0, 1, 2])
def test_a_search_that_was_killed_makes_that_trial_again_and_all_others_once(setup, tmp_path, monkeypatch, killed):
    class Killed(BaseException):
        """Unlike an exception, it leaves a trial that is under way."""

    here, trained = replace(setup, runs=str(tmp_path)), []
    rival = SearchResult("DIST + feature KD", weighted(METHODS["DIST + feature KD"], {"dist": 3.0}), 0.0, 0.0, 4, 0)

    def train(setup, part, method, seed, title, watch):
        trained.append(method)
        if len(trained) == killed + 1:
            raise Killed
        return method, []

    monkeypatch.setattr(tuning, "train_one", train)
    monkeypatch.setattr(tuning, "validate", lambda method, _: dict.fromkeys(("mAP", "top-1"), method.objective.dist))
    with pytest.raises(Killed):
        tune_one(here, DRAWN, UNSHUFFLED, 4, rival)
    found = tune_one(here, DRAWN, UNSHUFFLED, 4, rival)
    begun = begun_with(here, UNSHUFFLED)
    assert (found.trials, found.start, found.inherited) == (4, begun.objective.dist, 3.0)
    whole = [method for number, method in enumerate(trained) if number != killed]
    assert len(whole) == 4
    assert begun in whole
    assert [method.objective.dist for method in whole].count(3.0) == 1


@pytest.mark.slow
def test_lfi_inherits_what_was_found_for_its_rival_which_gets_as_many_trials_again(setup, tmp_path, monkeypatch):
    ours, theirs = UNSHUFFLED, "DIST + feature KD"
    here, trained = replace(setup, runs=str(tmp_path)), []

    def train(setup, part, method, seed, title, watch):
        trained.append((title.split(",")[0], method))
        return method, []

    monkeypatch.setattr(tuning, "train_one", train)
    monkeypatch.setattr(
        tuning, "validate", lambda method, _: dict.fromkeys(("mAP", "top-1"), 50 - method.objective.feature_kd)
    )
    monkeypatch.setattr(tuning, "in_processes", lambda work, jobs, *_: [work(*job) for job in jobs])
    found = {each.name: each for each in tune(here, DRAWN, 4, 1, [ours, theirs])}
    assert [name for name, _ in trained] == [theirs] * 4 + [ours] * 4 + [theirs] * 4
    first = min((method for _, method in trained[:4]), key=lambda method: method.objective.feature_kd)
    start, second = trained[4][1], trained[5][1]
    assert start == begun_with(here, ours)
    assert second == replace(
        start, objective=replace(start.objective, dist=first.objective.dist, feature_kd=first.objective.feature_kd)
    )
    assert found[ours].inherited == 50 - first.objective.feature_kd
    assert {name: (each.trials, each.inherited is None) for name, each in found.items()} == {
        ours: (4, False), theirs: (8, True),
    }  # fmt: skip
    assert {each.name: each for each in tune(here, DRAWN, 4, 1, [ours, theirs])} == found, "as it was"
    assert len(trained) == 12, "nothing is left to train"
    assert [each.trials for each in tune(here, DRAWN, 4, 1, [theirs])] == [4], "alone it needs no more"
    results = Results("c", [0], {"trials": 12})
    write(list(found.values()), 2, results, None)
    assert results.figures[f"validation with its rival's weights: {ours}"].value == found[ours].inherited


def test_a_trial_below_the_median_is_cut_short_and_counts(setup, tmp_path, monkeypatch):
    """Three whole trials with rising scores; of the next two one is better than their median, one is not."""
    here, begun = replace(setup, runs=str(tmp_path)), []

    def trained(setup, part, method, seed, title, watch):
        begun.append(title)
        slope = (10, 20, 15, 18, 14)[len(begun) - 1]
        for evaluation in range(1, 5):
            watch(evaluation, {"mAP": slope * evaluation, "top-1": slope * evaluation})
            reached.append((len(begun), evaluation))
        return None, []

    reached: list[tuple[int, int]] = []
    monkeypatch.setattr(tuning, "train_one", trained)
    monkeypatch.setattr(tuning, "validate", lambda *_: dict.fromkeys(("mAP", "top-1"), 10.0 + len(begun)))
    found = tune_one(here, DRAWN, "DIST + feature KD", 5)
    assert (len(begun), found.cut, found.start, found.best) == (5, 1, 11, 14)
    assert [sum(trial == number for trial, _ in reached) for number in range(1, 6)] == [4, 4, 4, 4, 1]
    assert len(finished(study_of(here, DRAWN, "DIST + feature KD"))) == 5
    assert tune_one(here, DRAWN, "DIST + feature KD", 5) == found
    assert len(begun) == 5, "nothing is left to train"
    assert list(with_controls([found])) == ["no distillation", "DIST + feature KD"], "no LFI, no controls of it"
    with pytest.raises(ConfigError, match="unknown method 'LFX'; one of logit"):
        tune(here, DRAWN, 5, 1, ["LFX"])


def test_a_search_begins_with_the_weights_of_its_scale(setup):
    name = "LFI + patch words + DIST + feature KD"
    assert (
        start_of(begun_with(replace(setup, scale="photographs"), name)).items() >= SCALES["photographs"].weights.items()
    )
    assert start_of(begun_with(setup, name))["feature_kd"] == 1


@pytest.mark.slow
def test_every_contender_is_tuned_on_source_validation_with_as_many_trials_and_goes_on(setup, tmp_path, monkeypatch):
    part, path = setup.parts[0], tmp_path / "tuning.json"
    held, tests = prepared(setup, part + SOURCE_VALIDATION)
    assert not set(held.images.ids) & set(tests["test"].ids)
    assert all(name.startswith("train") for name in tests["test"].ids), "of the training images, none of the test's"
    found = [tune_one(setup, part, name, 2) for name in CONTENDERS]
    monkeypatch.setattr(tuning, "train_one", None)  # nothing is left to train
    assert [tune_one(setup, part, name, 2) for name in CONTENDERS] == found
    for each in found:
        study = study_of(setup, part, each.name)
        assert len(finished(study)) == 2
        assert study.trials[0].params == start_of(begun_with(setup, each.name))
        assert list(study.trials[0].intermediate_values) == [1], "its only step is evaluated and reported"
        assert each.best >= each.start >= 0
    results = Results("c", [0], {"trials": 8})
    write(found, 2, results, path)
    assert "| LFI + DIST + feature KD |" in markdown(results.record())

    kept = replace(setup, tuned=str(path))
    best = max((each for each in found if each.method.queries), key=lambda each: each.best)
    assert kept.methods[best.name] == best.method
    alone, named, shuffled, own_words = (kept.methods[name] for name in CONTROLS_OF_THE_BEST)
    assert shuffled == replace(best.method, objective=replace(best.method.objective, shuffle=True))
    assert own_words == replace(best.method, objective=replace(shuffled.objective, own_words=True))
    assert named == replace(alone, objective=replace(alone.objective, naming=best.method.objective.naming))
    assert (alone.queries, alone.objective.naming, alone.objective.feature_kd) == (
        best.method.queries, 0, best.method.objective.feature_kd,
    )  # fmt: skip
    assert record_of(kept, part, best.name, 0).parent != record_of(setup, part, best.name, 0).parent
    results.figures.clear()
    summarise([run_one(kept, part, name, 0) for name in kept.methods], results)
    assert any(name.endswith("less the best LFI, shuffled maps") for name in results.figures)


def test_a_file_that_is_no_record_of_tuning_is_refused(setup, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*no\.json: no such file or directory"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(ConfigError, match="is not a record of `lfi benchmark tune`"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods
    (tmp_path / "no.json").write_text('{"chosen": {"LFI": {"objective": {"warp": 1.0}, "queries": 8}}}')
    with pytest.raises(ConfigError, match=r"no\.json holds methods that this version cannot train \(.*warp"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods
    (tmp_path / "no.json").write_text('{"chosen": [1]}')
    with pytest.raises(ConfigError, match="holds methods that this version cannot train"):
        _ = replace(setup, tuned=str(tmp_path / "no.json")).methods
