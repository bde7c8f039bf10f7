"""A run that is killed, at any moment and any number of times, ends with the weights of one that was not."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import TinyData, TinyTask, finish, run, start

from lfi.errors import CheckpointError, TrainingError
from lfi.training import checkpoints
from lfi.training.config import LoopConfig
from lfi.training.ema import Average
from lfi.training.logbook import read_records
from lfi.training.loop import train

EVERYTHING = {
    "epochs": 30,
    "accumulate": 3,
    "ema": 0.95,
    "checkpoint_every": 3,
    "tensorboard": True,
    "deterministic": True,
}
STEPS = 120


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def assert_identical(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def of_training(folder: Path) -> list[dict[str, float]]:
    """The records without what a clock says."""
    timed = {"images/s", "data wait"}
    return [
        {name: each for name, each in record.items() if name not in timed}
        for record in read_records(folder / "metrics.jsonl")
    ]


@pytest.mark.slow
def test_kill_9_at_random_moments_changes_no_bit(tmp_path):
    """Dropout, numpy's and Python's generators, accumulation, the average: all of it goes on where it was."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    job = {"loop": EVERYTHING, "noise": True, "resume": True}
    moments = random.Random(time.time_ns())
    killed = [moments.randrange(4, 20), moments.randrange(24, 35), moments.randrange(39, 50), moments.randrange(54, 70)]
    finish(start([{"call": "run_killed", "folder": part, "killed": killed, **job}, {"folder": whole, **job}]))
    assert_identical(weights(whole), weights(part))
    assert of_training(whole) == of_training(part)
    assert [record["step"] for record in of_training(part) if "loss" in record] == list(range(1, STEPS + 1))


def test_the_average_is_what_is_evaluated_and_kept(tmp_path):
    task, records = run(tmp_path, {"ema": 0.9})
    tensors, _ = checkpoints.load(tmp_path / "checkpoint.safetensors")
    name = "student.head.weight"
    assert torch.equal(task.state_dict()[name], tensors[f"ema.{name}"])
    assert not torch.equal(tensors[f"ema.{name}"], tensors[f"model.{name}"])
    read = TinyTask(noise=False)
    read.load_state_dict(checkpoints.part(tensors, "model.") | checkpoints.part(tensors, "ema."))
    assert_identical(read.state_dict(), task.state_dict())
    with torch.inference_mode():
        brightness = float(task.eval().student(TinyData(8).images[:8]).logits.mean())
    assert records[-1] == {"step": 12, "brightness": brightness}


def test_the_average_weighs_later_steps_more():
    module = torch.nn.Linear(1, 1, bias=False).double()
    module.weight.data.fill_(4.0)
    average = Average(module, 0.2)
    for step, value in enumerate((1.0, 2.0, 3.0), start=1):
        module.weight.data.fill_(value)
        average.update(step)
    expected = 4.0
    for decay, value in ((1 / 10, 1.0), (2 / 11, 2.0), (0.2, 3.0)):
        expected = decay * expected + (1 - decay) * value
    assert average.weights["weight"].item() == pytest.approx(expected, abs=1e-12)


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_the_end_is_the_same(tmp_path, capsys):
    whole, _ = run(tmp_path / "whole", noise=True)
    run(tmp_path / "part", noise=True, stop=9)
    path = tmp_path / "part/checkpoint.safetensors"
    assert checkpoints.load(path)[1]["step"] == 8
    path.write_bytes(path.read_bytes()[:-100])
    resumed, records = run(tmp_path / "part", noise=True, resume=True)
    assert "going on from the one before it" in capsys.readouterr().out
    assert_identical(whole.state_dict(), resumed.state_dict())
    assert [record["step"] for record in records if "loss" in record] == list(range(1, 13))


def test_a_page_of_zeros_in_a_checkpoint_of_the_right_length_is_noticed(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    checkpoints.save(path, {"x": torch.ones(5000)}, {"step": 1})
    content = bytearray(path.read_bytes())
    content[-4096:] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum"):
        checkpoints.load(path)


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path):
    run(tmp_path, stop=5)
    tensors, _ = checkpoints.load(tmp_path / "checkpoint.safetensors")
    task = TinyTask(noise=False)
    task.student.head = torch.nn.Linear(32, 7)
    with pytest.raises(CheckpointError, match=r"student.head.bias is \[80\] in the checkpoint and \[7\] in the model"):
        checkpoints.unpack(tensors, task, torch.optim.AdamW(task.parameters()))


def test_tied_weights_can_be_saved(tmp_path):
    shared = torch.arange(6.0)
    checkpoints.save(tmp_path / "c.safetensors", {"one": shared, "other": shared.view(2, 3)}, {})
    tensors, _ = checkpoints.load(tmp_path / "c.safetensors")
    assert torch.equal(tensors["other"].flatten(), shared)


def test_a_new_run_in_an_old_folder_does_not_fall_back_on_the_old_run(tmp_path):
    run(tmp_path)
    run(tmp_path, stop=3)
    path = tmp_path / "checkpoint.safetensors"
    assert checkpoints.load(path)[1]["step"] == 2
    assert not checkpoints.previous(path).exists()
    assert [record["step"] for record in of_training(tmp_path)] == [1, 2, 3]


def test_other_settings_than_the_checkpoints_are_named(tmp_path, capsys):
    run(tmp_path, stop=5)
    run(tmp_path, {"learning_rate": 2e-3, "log_every": 2}, resume=True)
    printed = capsys.readouterr().out
    assert "loop.learning_rate was 0.001 and is 0.002" in printed
    assert "log_every" not in printed


def test_how_often_one_evaluates_does_not_change_the_weights(tmp_path):
    often, _ = run(tmp_path / "often", {"evaluations": 12}, noise=True)
    never, _ = run(tmp_path / "never", {"evaluations": 0}, noise=True)
    assert_identical(often.state_dict(), never.state_dict())


def test_a_torn_last_line_of_the_log_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert read_records(path) == [{"step": 1, "loss": 2.0}]


def test_a_run_leaves_curves_and_scalars(tmp_path):
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, {"tensorboard": True}, stop=9)
    _, records = run(tmp_path, {"tensorboard": True}, resume=True)
    assert Image.open(tmp_path / "loss.png").width > 500
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    logged = {event.step: event.value for event in events.Scalars("loss")}
    assert logged == pytest.approx({r["step"]: r["loss"] for r in records if "loss" in r}, rel=1e-6)
    assert "images per s" in events.Tags()["scalars"]


def test_a_loss_that_is_no_number_stops_the_run_before_it_is_saved(tmp_path):
    data = TinyData(8)
    data.latents[:] = torch.nan
    config = LoopConfig(epochs=2, batch_size=8, log_every=5, checkpoint_every=3)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 3; try a lower loop.learning_rate"):
        train(TinyTask(False), data, config, tmp_path)
    assert not checkpoints.exists(tmp_path / "checkpoint.safetensors")
