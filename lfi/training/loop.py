"""The training loop. It knows steps, schedules, checkpoints and progress; what is learnt is the task's business.

Exact resume comes from data that is a function of the step: a `Data` object has no position to restore.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lfi.training import checkpoints
from lfi.training.config import LoopConfig


class Data(Protocol):
    """A source of batches that are a function of the step."""

    @property
    def steps_per_epoch(self) -> int: ...

    def batch(self, step: int) -> dict[str, Tensor]: ...


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; vectors, scalars and embeddings of positions and queries do not."""
    decay: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            small = parameter.ndim < 2 or any(
                part in name for part in ("pos_embed", "positional", "cls_", "queries.start")
            )
            (rest if small else decay).append(parameter)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def learning_rate(config: LoopConfig, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    warmup = max(1, int(config.warmup * steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)


def train(
    task: nn.Module,
    data: Data,
    config: LoopConfig,
    folder: Path | None = None,
    *,
    resume: bool = False,
    device: str | torch.device = "cpu",
    evaluate: Callable[[int], dict[str, float]] | None = None,
    title: str = "training",
) -> list[dict[str, float]]:
    """Train `task` in place for `config.epochs` epochs.

    Args:
        task: `forward(batch)` returns named scalars with `loss` among them.
        folder: where `metrics.jsonl` and `checkpoint.safetensors` go; nothing is written without it.
        resume: go on from the folder's checkpoint if there is one.
        evaluate: called `config.evaluations` times, evenly spread, with the steps done; its figures are logged.

    Returns:
        The records of the log, one dictionary each, `step` first.
    """
    steps = config.epochs * data.steps_per_epoch
    evaluate_every = max(1, steps // config.evaluations) if config.evaluations else 0
    torch.manual_seed(config.seed)
    task.to(device).train()
    optimizer = torch.optim.AdamW(
        parameter_groups(task, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
    )
    records: list[dict[str, float]] = []
    start = 0
    path = folder / "checkpoint.safetensors" if folder else None
    if path and resume and (path.exists() or checkpoints.previous(path).exists()):
        tensors, meta, warning = checkpoints.load_latest(path)
        if warning:
            tqdm.write(warning)
        checkpoints.unpack(tensors, task, optimizer)
        start, records = meta["step"], meta["records"]
    bar = tqdm(
        range(start, steps),
        initial=start,
        total=steps,
        desc=title,
        unit="step",
        dynamic_ncols=True,
        mininterval=2,
    )
    waited = worked = 0.0
    for step in bar:
        before = time.perf_counter()
        batch = {name: value.to(device, non_blocking=True) for name, value in data.batch(step).items()}
        ready = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, steps)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=config.autocast):
            losses = task(batch)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(task.parameters(), config.clip)
        optimizer.step()
        done = step + 1
        waited, worked = waited + ready - before, worked + time.perf_counter() - ready
        last = done == steps
        if done % config.log_every == 0 or last:
            rate = len(next(iter(batch.values()))) * (done - start) / (waited + worked)
            figures = {name: float(value.detach()) for name, value in losses.items()}
            if not math.isfinite(figures["loss"]):
                raise FloatingPointError(f"the loss is {figures['loss']} at step {done}")
            records.append({"step": done, "images/s": rate, "data wait": waited / (waited + worked), **figures})
            bar.set_postfix(
                {
                    "loss": f"{figures['loss']:.3f}",
                    "img/s": f"{rate:.0f}",
                    "data": f"{waited / (waited + worked):.0%}",
                }
            )
        if evaluate and evaluate_every and (done % evaluate_every == 0 or last):
            task.eval()
            with torch.inference_mode():
                records.append({"step": done, **evaluate(done)})
            task.train()
        if path and (done % config.checkpoint_every == 0 or last):
            meta = {"step": done, "records": records, "config": asdict(config)}
            checkpoints.save(path, checkpoints.pack(task, optimizer), meta)
            (path.parent / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return records
