"""The training loop: steps, schedules, processes, checkpoints and progress. What is learned is the task's business.

Exact resume comes from data that is a function of the step: a `Data` object has no position to restore. What else a
run depends on is in its checkpoint: weights, their average, the optimiser, every random generator of every process.

A step's batch is cut twice, into the processes' shares and each share into micro-batches. The gradient of a loss that
is a mean over images is that of the whole batch, whatever the cut. Over processes, means over *words* are exact too
(`lfi.objectives.counting`); over micro-batches they are each part's own mean, weighted by its images, since a part's
backward pass runs before the words of the next part are counted. A loss that compares the images of a batch with each
other sees a micro-batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from tqdm import tqdm

from lfi.devices import faster_in_bfloat16
from lfi.errors import CheckpointError, TrainingError
from lfi.training import checkpoints, randomness
from lfi.training.config import LoopConfig
from lfi.training.distributed import Processes, connect, micro_batches, rows_of
from lfi.training.ema import Average
from lfi.training.feeding import Data, Feed
from lfi.training.logbook import Logbook
from lfi.training.optimizers import optimizer
from lfi.training.parallel import Parallel, whole
from lfi.training.progress import Meter, peak_flops, step_flops
from lfi.training.tracking import Tracker

__all__ = ["Data", "learning_rate", "parameter_groups", "train"]

Groups = Callable[[nn.Module, float], list[dict[str, Any]]]
_NOT_DECAYED = ("*pos_embed*", "*positional*", "*cls_token*", "*cls_emb*", "*queries.start*")
_HARMLESS = ("checkpoint_every", "log_every", "evaluations", "prefetch", "tensorboard", "tracker", "parallel")


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; vectors, scalars and embeddings of positions and queries do not, and are never Muon's.

    Those that decay come first, as in every checkpoint: the optimiser's state is kept by position.
    """
    groups = param_groups_weight_decay(module, 1.0, no_weight_decay_list=_NOT_DECAYED)  # at 0 timm would join them
    return [
        {**group, "weight_decay": weight_decay * group["weight_decay"], "use_fallback": group["weight_decay"] == 0}
        for group in reversed(groups)
    ]


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
    groups: Groups = parameter_groups,
) -> list[dict[str, float]]:
    """Train `task` in place for `config.epochs` epochs, alone or as one of the processes of a launcher.

    Args:
        task: `forward(batch)` returns named scalars with `loss` among them. Everything trainable is used there.
        folder: where `metrics.jsonl`, `checkpoint.safetensors`, `loss.png` and `tensorboard/` go; nothing is written
            without it. All processes must see it.
        resume: continue from the folder's checkpoint if there is one.
        evaluate: called `config.evaluations` times (after every step, if those are fewer), evenly spread and after the
            last one, with the steps done; its figures are logged. Only process 0 calls it, with the averaged weights
            where `config.ema` is on.
        groups: the optimiser's groups of a module with a weight decay; a group's learning rate is the schedule's times
            its `scale`, where it has one.

    Returns:
        The records of the log, one dictionary each, `step` first; in process 0 those of a resumed run's beginning and
        of evaluations too. `task` then has the trained (with `config.ema`: averaged) weights in every process.

    Raises:
        CheckpointError: neither the checkpoint nor the one before it can be read, or they are of another model or
            optimiser.
        TrainingError: the loss is not a number, or processes disagree.
    """
    processes = connect(device)
    with randomness.deterministic(config.deterministic):
        run = Run(task, data, config, folder if processes.main else None, processes, groups)
        path = folder / checkpoints.CHECKPOINT if folder else None
        found = path is not None and resume and checkpoints.exists(path)
        processes.agree(found, "whether there is a checkpoint")
        if path and found:
            run.resume(path)
        elif path and processes.main:
            checkpoints.discard(path)
        processes.wait()
        run.go(path, evaluate, title)
    return run.records


class Run:
    """The state of one call of `train`: what a step changes."""

    def __init__(
        self,
        task: nn.Module,
        data: Data,
        config: LoopConfig,
        folder: Path | None,
        processes: Processes,
        groups: Groups = parameter_groups,
    ) -> None:
        self.task, self.data, self.config, self.folder, self.processes = task, data, config, folder, processes
        self.device = processes.device
        self.autocast = config.autocast and faster_in_bfloat16(self.device.type)
        self.steps = config.epochs * data.steps_per_epoch
        self.start = 0
        self.records: list[dict[str, float]] = []
        randomness.seed(config.seed, processes.rank)
        task.to(self.device).train()
        self.meter = Meter(self._seconds_at_peak())
        self.parallel = Parallel(task, processes, config.parallel, config.compile)
        self.optimizer = optimizer(groups(self.parallel.module, config.weight_decay), config)
        self.average = Average(self.parallel.module, config.ema) if config.ema else None

    def resume(self, path: Path) -> None:
        """Resume the run that the checkpoint at `path`, or the one before it, belongs to."""
        tensors, meta, warning = checkpoints.load_latest(path)
        self.processes.agree(meta["step"], "the step to resume from")
        began = meta.get("config", {}).get("optimizer", "adamw")  # checkpoints from before there was a choice
        if began != self.config.optimizer:
            raise CheckpointError(
                f"{path} is of a run with loop.optimizer {began!r}, and {self.config.optimizer!r} was asked for; "
                "resume with the former, or start again without --resume"
            )
        checkpoints.unpack(tensors, self.parallel.module, self.optimizer, self.average)
        own = f"rng.{self.processes.rank}."
        randomness.restore(
            {name[len(own) :]: each for name, each in tensors.items() if name.startswith(own)}, self.device
        )
        self.start = meta["step"]
        if self.processes.main:
            for line in (warning, _changed(meta.get("config", {}), asdict(self.config))):
                if line:
                    tqdm.write(line)

    def go(self, path: Path | None, evaluate: Callable[[int], dict[str, float]] | None, title: str) -> None:
        """All steps that are left, with records, evaluations and checkpoints between them."""
        config, processes = self.config, self.processes
        tracker = None
        if config.tracker and self.folder is not None and processes.main:
            tracker = Tracker(config.tracker, self.folder, asdict(config), resumed=self.start > 0)
        book = Logbook(self.folder, self.start, config.tensorboard, tracker)
        feed = Feed(self.data, processes, self.start, self.steps, config.prefetch if self.device.type == "cuda" else 0)
        times = config.evaluations if evaluate else 0
        progress = tqdm(
            range(self.start, self.steps),
            initial=self.start,
            total=self.steps,
            desc=title,
            unit="step",
            dynamic_ncols=True,
            mininterval=2,
            disable=not processes.main,
        )
        with closing(iter(feed)) as batches, progress as bar:
            for step in bar:
                done = step + 1
                logged, saved = self.due(done, config.log_every), path and self.due(done, config.checkpoint_every)
                with self.meter.waiting():
                    batch = next(batches)
                with self.meter.working(rows_of(batch) * processes.world):
                    figures = self.step(step, batch, feed.shared)
                    means = processes.mean(figures) if logged or saved else {}  # waits for the GPU, which counts
                _refuse_nonsense(means, done)
                if logged:
                    speed = self.meter.read()
                    book.add({"step": done, **speed, "learning rate": learning_rate(config, step, self.steps), **means})
                    bar.set_postfix(_shown(speed, means["loss"]))
                if evaluate and done * times // self.steps > step * times // self.steps:
                    with self.evaluating():
                        if processes.main:
                            book.add({"step": done, **evaluate(done)})
                    processes.wait()
                if path and saved:
                    self.save(path, done, book)
        self.finish()
        self.records = book.records
        if processes.main:
            book.close(title)
        processes.wait()

    def due(self, done: int, every: int) -> bool:
        """Whether something due every `every` steps (0: never), and after the last step, is due now."""
        return every > 0 and (done % every == 0 or done == self.steps)

    def step(self, step: int, batch: dict[str, Tensor], shared: frozenset[str]) -> dict[str, Tensor]:
        """One update of the weights; the figures of this process's share of the batch."""
        config, rows = self.config, rows_of(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, step, self.steps) * group.get("scale", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        parts = micro_batches(batch, config.accumulate, shared)
        figures: dict[str, Tensor] = {}
        for index, part in enumerate(parts):
            share = rows_of(part) / rows
            with self.parallel.synchronised(index == len(parts) - 1):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                    loss, values = self.parallel(part)
                (loss * share if len(parts) > 1 else loss).backward()
            if len(parts) > 1:
                values = {name: figures.get(name, 0) + value * share for name, value in values.items()}
            figures = values
        norm = nn.utils.clip_grad_norm_(self.parallel.module.parameters(), config.clip or math.inf)
        self.optimizer.step()
        if self.average:
            self.average.update(step + 1)
        return {**figures, "gradient norm": whole(norm)}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within, `task` is whole, in eval mode, and has the weights that the run is for.

        What is drawn at random there does not change what the run draws.
        """
        if self.parallel.sharded:
            self.parallel.publish(self.average.weights if self.average else {})
        averaged = self.average.applied() if self.average and not self.parallel.sharded else nullcontext()
        self.task.eval()
        with averaged, randomness.untouched(self.device), torch.inference_mode():
            yield
        self.task.train()

    def save(self, path: Path, done: int, book: Logbook) -> None:
        """A checkpoint after `done` steps. Every process brings its part; process 0 writes."""
        tensors = checkpoints.pack(self.parallel.module, self.optimizer, self.average)
        for name, own in sorted(randomness.state(self.device).items()):
            for rank, state in enumerate(self.processes.collect(own)):
                tensors[f"rng.{rank}.{name}"] = state
        if self.processes.main:
            book.sync()
            meta = {"step": done, "processes": self.processes.world, "config": asdict(self.config)}
            checkpoints.save(path, tensors, meta)

    def finish(self) -> None:
        """Give the caller's task the weights that the run is for."""
        if self.parallel.sharded:
            self.parallel.publish(self.average.weights if self.average else {})
        elif self.average:
            self.average.keep()

    def _seconds_at_peak(self) -> float | None:
        """Seconds of a step at the GPU's full speed; None on a CPU and where that speed is not known."""
        peak = peak_flops(torch.cuda.get_device_name(self.device)) if self.device.type == "cuda" else None
        if peak is None or not self.config.autocast or not self.steps:
            return None
        feed = Feed(self.data, self.processes, 0, 1)
        batch = next(iter(feed))
        part = micro_batches(batch, self.config.accumulate, feed.shared)[0]
        return step_flops(self.task, part, self.config.autocast) * rows_of(batch) / rows_of(part) / peak


def _refuse_nonsense(figures: dict[str, float], done: int) -> None:
    if not math.isfinite(figures.get("loss", 0.0)):
        raise TrainingError(
            f"the loss is {figures['loss']} at step {done}; try a lower loop.learning_rate or loop.autocast=false"
        )


def _shown(speed: dict[str, float], loss: float) -> dict[str, str]:
    shown = {"loss": f"{loss:.3f}", "img/s": f"{speed['images/s']:.0f}", "data": f"{speed['data wait']:.0%}"}
    return shown | ({"MFU": f"{speed['MFU']:.0%}"} if "MFU" in speed else {})


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """A line about settings that are not those of the checkpoint: the run goes on, but not as it would have."""
    names = [name for name in now if name in before and name not in _HARMLESS and before[name] != now[name]]
    changes = ", ".join(f"loop.{name} was {before[name]!r} and is {now[name]!r}" for name in names)
    return f"going on with other settings than the checkpoint's: {changes}" if changes else None
