"""The loop: what a step computes, how fast it says it is, and what it refuses."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_run import TinyData, TinyTask, run
from torch import nn

from lfi.errors import ConfigError
from lfi.training import randomness
from lfi.training.config import LoopConfig
from lfi.training.distributed import Processes, micro_batches
from lfi.training.feeding import Feed
from lfi.training.loop import learning_rate, train
from lfi.training.progress import Meter, peak_flops, step_flops

ALONE = Processes(0, 1, torch.device("cpu"))
EXACT = {"autocast": False, "tensorboard": False, "evaluations": 0, "log_every": 1, "epochs": 1}


class Regression(nn.Module):
    """Mean squared error over images: a loss that is a mean."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 1)).double()

    def forward(self, batch):
        return {"loss": (self.layers(batch["images"].flatten(1))[:, 0] - batch["target"]).square().mean()}


class Points:
    """Ten points a step."""

    steps_per_epoch = 3

    def batch(self, step):
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(10, 3, 4, 4, generator=generator, dtype=torch.float64)
        return {"images": images, "target": images.mean((1, 2, 3)), "constant": torch.ones(2)}


@pytest.mark.parametrize("parts", [2, 3, 10])
def test_accumulated_micro_batches_give_the_gradient_of_the_whole_batch(parts):
    """Also where the parts differ in size: 10 images in 3 parts are 4, 3 and 3."""
    tasks = Regression(), Regression()
    logs = [
        train(task, Points(), LoopConfig(**EXACT, accumulate=accumulate, batch_size=10))
        for task, accumulate in zip(tasks, (1, parts), strict=True)
    ]
    for one, other in zip(*logs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-12)
        assert one["gradient norm"] == pytest.approx(other["gradient norm"], rel=1e-7)
    for one, other in zip(tasks[0].parameters(), tasks[1].parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_a_batch_is_cut_by_images_and_what_is_shared_is_not():
    batch = {"images": torch.arange(4), "bank": torch.arange(4), "pair": torch.arange(2), "scalar": torch.tensor(1)}
    parts = micro_batches(batch, 2, frozenset({"bank"}))
    assert [part["images"].tolist() for part in parts] == [[0, 1], [2, 3]]
    assert all(part["bank"].tolist() == [0, 1, 2, 3] and part["pair"].tolist() == [0, 1] for part in parts)
    with pytest.raises(ConfigError, match=r"loop.accumulate is 5; .* has only 4 images"):
        micro_batches(batch, 5, frozenset())


def test_every_process_takes_its_rows():
    batch = {"images": torch.arange(6), "bank": torch.arange(6)}
    shares = [Processes(rank, 3, torch.device("cpu")).rows(batch, frozenset({"bank"})) for rank in range(3)]
    assert [share["images"].tolist() for share in shares] == [[0, 3], [1, 4], [2, 5]]
    assert shares[2]["bank"].tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ConfigError, match="a batch has 6 images; a multiple of 4 processes"):
        Processes(0, 4, torch.device("cpu")).rows(batch)


def test_data_that_knows_processes_makes_their_rows_itself():
    class Own(Points):
        def batch(self, step, rank=0, world=1):
            return {"images": torch.tensor([step, rank, world])}

    assert Feed(Own(), Processes(1, 2, torch.device("cpu")), 5, 6).batch(5)["images"].tolist() == [5, 1, 2]


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_batches_prepared_ahead_are_the_same_in_the_same_order(ahead):
    feed = Feed(Points(), ALONE, 2, 6, ahead)
    assert [batch["images"].sum().item() for batch in feed] == [
        Points().batch(step)["images"].sum().item() for step in range(2, 6)
    ]


def test_an_error_in_the_data_reaches_the_loop_from_its_thread():
    with pytest.raises(KeyboardInterrupt):
        list(Feed(TinyData(8, stop=3), ALONE, 0, 6, ahead=2))


def test_the_first_gradient_step_is_that_of_adamw():
    """Against the formula of Loshchilov & Hutter (arXiv 1711.05101, algorithm 2) in its first step."""
    task, data = Regression(), Points()
    before = [parameter.detach().clone() for parameter in task.parameters()]
    loss = task(data.batch(0))["loss"]
    gradients = torch.autograd.grad(loss, list(task.parameters()))
    config = LoopConfig(**EXACT, batch_size=10, warmup=0.9, weight_decay=0.1, clip=0)
    data.steps_per_epoch = 1
    train(task, data, config)
    rate = learning_rate(config, 0, 1)
    for start, gradient, now in zip(before, gradients, task.parameters(), strict=True):
        decayed = start * (1 - rate * 0.1) if start.ndim > 1 else start
        assert torch.allclose(now, decayed - rate * gradient / (gradient.abs() + 1e-8), atol=1e-12)


def test_the_learning_rate_rises_then_falls_to_a_hundredth():
    config = LoopConfig(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.01 + 0.99 / 2)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_a_compiled_run_learns_the_same(monkeypatch):
    """Traced in full; the backend that writes C++ would take half a minute more."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain = train(Regression(), Points(), LoopConfig(**EXACT, batch_size=10))
    compiled = train(Regression(), Points(), LoopConfig(**EXACT, batch_size=10, compile=True))
    assert [r["loss"] for r in compiled] == pytest.approx([r["loss"] for r in plain], rel=1e-9)


def test_autocast_computes_in_bfloat16_where_that_is_faster(monkeypatch):
    seen = []

    class Watching(Regression):
        def forward(self, batch):
            out = self.layers.float()(batch["images"].float().flatten(1))
            seen.append(out.dtype)
            return {"loss": out.float().square().mean()}

    for able, asked in (("amx_bf16", True), ("avx512_bf16", True), ("avx512_f", True), ("amx_bf16", False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {able: True})
        train(Watching(), Points(), LoopConfig(**(EXACT | {"autocast": asked}), batch_size=10))
    assert seen == [torch.bfloat16] * 6 + [torch.float32] * 6


def test_the_deterministic_mode_refuses_what_is_not_and_ends_with_the_run():
    class Asking(Regression):
        def forward(self, batch):
            assert torch.are_deterministic_algorithms_enabled()
            return super().forward(batch)

    train(Asking(), Points(), LoopConfig(**EXACT, batch_size=10, deterministic=True))
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_seed_decides_everything_that_is_drawn(tmp_path):
    runs = [run(tmp_path / str(i), {"seed": seed, "epochs": 1}, noise=True)[1] for i, seed in enumerate((4, 4, 5))]
    losses = [[record["loss"] for record in records if "loss" in record] for records in runs]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_random_states_come_back_as_they_were():
    randomness.seed(3)
    random.gauss(0, 1)
    np.random.standard_normal()  # leaves one of a pair behind
    states = randomness.state(ALONE.device)

    def draw():
        return random.gauss(0, 1), random.random(), np.random.standard_normal(3).tolist(), torch.rand(2).tolist()

    first = draw()
    randomness.restore(states, ALONE.device)
    assert draw() == first
    randomness.restore(states, ALONE.device)
    with randomness.untouched(ALONE.device):
        assert draw() == first
    assert draw() == first


def test_processes_draw_apart():
    draws = []
    for rank in range(3):
        randomness.seed(0, rank)
        draws.append((torch.rand(1).item(), np.random.random(), random.random()))
    assert len({value for draw in draws for value in draw}) == 9


def test_flops_of_a_step_are_those_of_its_matrix_products():
    """Forward `2 b i o` per layer; backward the same twice, less the gradient of the images, which nobody asked for."""
    task, batch = Regression(), Points().batch(0)
    first, second = 2 * 10 * 48 * 16, 2 * 10 * 16 * 1
    assert step_flops(task, batch, autocast=False) == 2 * first + 3 * second
    assert all(parameter.grad is None for parameter in task.parameters())


def test_counting_flops_changes_nothing():
    task, batch = TinyTask(noise=True).train(), TinyData(8).batch(0)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    states = randomness.state(ALONE.device)
    assert step_flops(task, batch, autocast=True) > 1e6
    assert all(torch.equal(states[name], now) for name, now in randomness.state(ALONE.device).items())
    assert all(torch.equal(before[name], now) for name, now in task.state_dict().items())


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA L4", 121),
        ("NVIDIA RTX A4000", None),
        ("Tesla T4", None),
    ],
)
def test_the_peak_of_a_gpu_is_found_by_its_name(name, teraflops):
    assert peak_flops(name) == (teraflops * 1e12 if teraflops else None)


def test_the_meter_reads_rate_wait_and_utilisation_and_starts_anew(monkeypatch):
    clock = iter([0.0, 1.0, 1.0, 4.0, 10.0, 12.0, 12.0, 14.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    meter = Meter(utilisation=0.5)
    for expected in (
        {"images/s": 8 / 4, "data wait": 1 / 4, "MFU": 0.5 / 4},
        {"images/s": 8 / 4, "data wait": 2 / 4, "MFU": 0.5 / 4},
    ):
        with meter.waiting():
            pass
        with meter.working(8):
            pass
        assert meter.read() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "loop.epochs is 0; at least 1"),
        ({"accumulate": 0}, "loop.accumulate is 0; at least 1"),
        ({"ema": 1.0}, "loop.ema is 1.0; 0 or more and less than 1"),
        ({"clip": -1.0}, "loop.clip is -1.0; 0 or more"),
        ({"parallel": "dp"}, "loop.parallel is 'dp'; 'ddp' or 'fsdp'"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting, message):
    with pytest.raises(ConfigError, match=message):
        LoopConfig(**setting)


def test_the_loss_is_the_tasks_own():
    task, data = Regression(), Points()
    batch = data.batch(0)
    expected = F.mse_loss(task.layers(batch["images"].flatten(1))[:, 0], batch["target"]).item()
    assert train(task, data, LoopConfig(**EXACT, batch_size=10))[0]["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_run_resumes_bit_for_bit_and_knows_its_utilisation(tmp_path):
    settings = {"deterministic": True, "ema": 0.9, "epochs": 6}
    whole, records = run(tmp_path / "whole", settings, noise=True, device="cuda")
    run(tmp_path / "part", settings, noise=True, device="cuda", stop=11)
    part, _ = run(tmp_path / "part", settings, noise=True, device="cuda", resume=True)
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), part.parameters(), strict=True))
    known = peak_flops(torch.cuda.get_device_name()) is not None
    assert all(("MFU" in record) == known for record in records if "loss" in record)
