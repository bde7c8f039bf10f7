"""Several processes train as one: the same curve, checkpoints that move between them. Gloo on the CPU, by torchrun."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import finish, run, start

from lfi.training.logbook import read_records

EXACT = {"autocast": False, "epochs": 4}
TOLERANCE = 1e-5


def curve(folder: Path) -> list[float]:
    return [record["loss"] for record in read_records(folder / "metrics.jsonl") if "loss" in record]


def evaluations(folder: Path) -> list[float]:
    return [record["brightness"] for record in read_records(folder / "metrics.jsonl") if "brightness" in record]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run alone, and by two processes: the same run in several ways, and the end of one that began alone."""
    folder = tmp_path_factory.mktemp("runs")
    plain, average, fsdp = EXACT, EXACT | {"ema": 0.9}, EXACT | {"parallel": "fsdp"}
    muon = EXACT | {"optimizer": "muon"}
    run(folder / "one", plain)
    run(folder / "one-ema", average)
    run(folder / "one-muon", muon)
    for part in ("from-1-to-2", "from-1-to-fsdp"):
        run(folder / part, plain, stop=9)
    jobs = [
        {"call": "sign_in_turn", "folder": folder},
        {"folder": folder / "two", "loop": plain},
        {"folder": folder / "two-accumulated", "loop": plain | {"accumulate": 2}},
        {"folder": folder / "two-ema", "loop": average},
        {"folder": folder / "from-1-to-2", "loop": plain, "resume": True},
        {"folder": folder / "from-2-to-1", "loop": plain, "stop": 9},
        {"folder": folder / "two-noisy", "loop": plain, "noise": True},
        {"folder": folder / "two-noisy-resumed", "loop": plain, "noise": True, "stop": 9},
        {"folder": folder / "two-noisy-resumed", "loop": plain, "noise": True, "resume": True},
        {"folder": folder / "fsdp", "loop": fsdp},
        {"folder": folder / "fsdp-ema", "loop": fsdp | average | {"accumulate": 2}},
        {"folder": folder / "from-1-to-fsdp", "loop": fsdp, "resume": True},
        {"folder": folder / "from-fsdp-to-1", "loop": fsdp, "stop": 9},
        {"folder": folder / "two-muon", "loop": muon},
        {"folder": folder / "fsdp-muon", "loop": fsdp | muon},
    ]
    finish(start(jobs, processes=2))
    for part in ("from-2-to-1", "from-fsdp-to-1"):
        assert len(curve(folder / part)) == 9
        run(folder / part, plain, resume=True)
    return folder


WAYS = ["two", "two-ema", "from-1-to-2", "from-2-to-1", "fsdp", "from-1-to-fsdp", "from-fsdp-to-1"]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_processes_learn_as_one_with_the_same_global_batch(runs, way):
    """The same losses in every step, images and words unevenly spread as they are, and the same weights at the end."""
    alone = "one-ema" if "ema" in way else "one"
    assert curve(runs / way) == pytest.approx(curve(runs / alone), abs=TOLERANCE)
    assert evaluations(runs / way) == pytest.approx(evaluations(runs / alone), abs=TOLERANCE)
    one, other = (load_file(runs / name / "weights.safetensors") for name in (alone, way))
    assert one.keys() == other.keys()
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 20 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("way", ["two-muon", "fsdp-muon"])
def test_processes_learn_as_one_with_muon(runs, way):
    """Nearly: it makes updates orthogonal in bfloat16, which magnifies what the order of sums does to gradients."""
    assert curve(runs / way) == pytest.approx(curve(runs / "one-muon"), rel=0.01)
    assert curve(runs / way) != pytest.approx(curve(runs / "one"), rel=0.01)


@pytest.mark.slow
def test_parts_of_processes_weigh_words_by_their_part(runs):
    """The stated limit of accumulation: means over words are each part's own, so the curve is near, not the same."""
    assert curve(runs / "two-accumulated") == pytest.approx(curve(runs / "one"), rel=0.1)
    assert curve(runs / "two-accumulated") != pytest.approx(curve(runs / "one"), abs=TOLERANCE)
    assert curve(runs / "fsdp-ema") == pytest.approx(curve(runs / "two-accumulated"), abs=TOLERANCE)


@pytest.mark.slow
def test_two_processes_resume_bit_for_bit_with_their_own_random_numbers(runs):
    one, other = (load_file(runs / name / "weights.safetensors") for name in ("two-noisy", "two-noisy-resumed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    states = load_file(runs / "two-noisy/checkpoint.safetensors")
    assert not torch.equal(states["rng.0.torch"], states["rng.1.torch"])


@pytest.mark.slow
def test_a_sharded_run_writes_the_checkpoint_of_a_whole_one(runs):
    shapes = [
        {name: each.shape for name, each in load_file(runs / way / "checkpoint.safetensors").items()}
        for way in ("two", "fsdp")
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.slow
def test_the_others_find_what_the_first_process_stored(runs):
    assert (runs / "signed").read_text() == "01"
