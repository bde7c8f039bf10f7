"""Ratios of steps and of seconds, from runs of `lfi train` and from records of `lfi benchmark transfer`."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluation.convergence import Curve, converge, plot, ratios, read_curve
from evaluation.results import Results
from lfi.errors import ConfigError, DataError


def curve(method: str, seed: int, scores: list[float], second: float = 1.0) -> Curve:
    steps = 10.0 * np.arange(1, len(scores) + 1)
    return Curve(method, seed, steps, second * steps, np.array(scores), "% top-1")


def record(folder, method: str, seed: int, scores: list[float], step: float):
    found = {"method": method, "seed": seed, "step": step, "scores": {"top-1": scores[-1]}}
    path = folder / f"{method}-{seed}.json"
    path.write_text(json.dumps({**found, "curve": [[10 * (n + 1), score] for n, score in enumerate(scores)]}))
    return path


def run(folder, seed: int, scores: list[float], speed: float = 64.0):
    """Batches of 32 at `speed` images a second, evaluated every 10 steps."""
    folder.mkdir()
    lines = []
    for number, score in enumerate(scores, start=1):
        lines += [{"step": 10 * number, "images/s": speed, "loss": 1.0}, {"step": 10 * number, "top-1": score}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.json").write_text(json.dumps({"loop": {"seed": seed, "batch_size": 32}}))
    return folder


def test_twice_as_soon_in_steps_is_as_soon_in_seconds_where_steps_take_twice_as_long():
    ours, theirs = curve("LFI", 0, [10, 20, 30, 40], second=2.0), curve("logit KD", 0, [5, 10, 15, 20])
    assert ratios(ours, theirs) == ((2.0, 1.0), (2.0, 1.0))


def test_a_baseline_that_is_flat_at_the_end_has_its_score_sooner_than_it_ends():
    ours, theirs = curve("LFI", 0, [10, 20, 30, 40]), curve("logit KD", 0, [15, 20, 20, 20])
    assert ratios(ours, theirs) == ((2.0, 2.0), (1.0, 1.0))
    results = Results("x", [0], {})
    converge([ours, theirs], "LFI", [], results)
    assert results.figures["steps of logit KD over those of LFI to the same score"].value == 2.0
    assert results.figures["steps of logit KD over those of LFI, each until it first has that score"].value == 1.0


def test_a_method_that_never_gets_there_has_the_ratio_0():
    assert ratios(curve("LFI", 0, [5, 6]), curve("logit KD", 0, [5, 10])) == ((0.0, 0.0), (0.0, 0.0))


def test_seeds_are_paired_and_the_best_baseline_is_the_one_that_ends_highest():
    curves = [
        *(curve("LFI", seed, [10, 20, 30, 40]) for seed in (0, 1)),
        curve("logit KD", 0, [5, 10, 15, 20]),
        curve("logit KD", 1, [5, 20, 30, 40]),
        *(curve("feature KD", seed, [1, 2, 3, 4]) for seed in (0, 1)),
        *(curve("shuffled maps", seed, [50, 60, 70, 80]) for seed in (0, 1)),
    ]
    results = Results("x", [0, 1], {})
    assert converge(curves, "LFI", [], results) == "logit KD"
    figure = results.figures["steps of logit KD over those of LFI to the same score"]
    assert figure.value == pytest.approx((2.0 + 1.0) / 2)
    assert figure.low < figure.value < figure.high
    assert results.goals["steps of logit KD over those of LFI to the same score"].goal == 7
    assert converge(curves, "LFI", ["feature KD"], results) == "feature KD"


def test_curves_of_different_scores_are_not_compared():
    one, other = curve("LFI", 0, [1, 2]), replace(curve("logit KD", 0, [1, 2]), unit="% mAP")
    with pytest.raises(ConfigError, match="'LFI' is measured in % top-1 and 'logit KD' in % mAP"):
        converge([one, other], "LFI", [], Results("x", [0], {}))


@pytest.mark.parametrize(
    ("ours", "against", "message"),
    [
        ("LFI2", [], "no run of 'LFI2'; there are runs of LFI, logit KD"),
        ("LFI", ["DIST"], "no run of 'DIST'"),
        ("LFI", [], "no seed in common"),
    ],
)
def test_what_cannot_be_compared_is_refused(ours, against, message):
    curves = [curve("LFI", 0, [1, 2]), curve("logit KD", 1, [1, 2])]
    with pytest.raises(ConfigError, match=message):
        converge(curves, ours, against, Results("x", [0], {}))


def test_one_method_alone_has_nothing_to_be_compared_with():
    with pytest.raises(ConfigError, match="all runs are of 'LFI'"):
        converge([curve("LFI", 0, [1, 2])], "LFI", [], Results("x", [0], {}))


def test_a_folder_of_lfi_train_is_a_curve(tmp_path):
    found = read_curve(run(tmp_path / "ours", 3, [10.0, 20.0]))
    assert (found.method, found.seed, found.unit) == ("ours", 3, "% top-1")
    assert found.steps.tolist() == [10, 20]
    assert found.seconds.tolist() == [5, 10], "10 batches of 32 at 64 images a second"
    assert found.scores.tolist() == [10, 20]
    assert read_curve(tmp_path / "ours", "LFI", "top-1").method == "LFI"


def test_a_record_of_the_transfer_benchmark_is_a_curve(tmp_path):
    found = read_curve(record(tmp_path, "LFI", 1, [10.0, 20.0], step=0.5))
    assert (found.method, found.seed, found.unit) == ("LFI", 1, "% top-1")
    assert found.seconds.tolist() == [5, 10]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a run of `lfi train`"):
        read_curve(tmp_path)
    with pytest.raises(DataError, match="has no evaluations of 'mAP'; of top-1"):
        read_curve(run(tmp_path / "ours", 0, [1.0]), score="mAP")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="not a record of `lfi benchmark transfer`"):
        read_curve(tmp_path / "x.json")


def test_curves_are_drawn(tmp_path):
    curves = [curve(name, seed, [10 + seed, 20]) for name in ("LFI", "logit KD") for seed in (0, 1)]
    plot(curves, "LFI", "logit KD", tmp_path / "new" / "curves.png", "a title")
    assert (tmp_path / "new" / "curves.png").stat().st_size > 10_000
