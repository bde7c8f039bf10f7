"""Tiny real runs of the loop: a student with Interaction Queries on generated scenes, in this process or in others.

As a program: `tiny_run.py JOBS`, a JSON list of keyword arguments of `run`, or of what `call` names, done in turn.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.data.scenes import CLASSES, Scenes
from lfi.images import normalise
from lfi.objectives import assign, cross_entropy_cost, interaction_loss, pick
from lfi.students import Student, StudentConfig
from lfi.training import checkpoints
from lfi.training.config import LoopConfig
from lfi.training.distributed import connect, main_first
from lfi.training.logbook import read_records
from lfi.training.loop import train

GRID, WORDS, TEXT = 4, 3, 8
OVERRIDES = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
LOOP = {"epochs": 3, "batch_size": 8, "checkpoint_every": 2, "log_every": 1, "evaluations": 3, "tensorboard": False}
ROOT = Path(__file__).parents[3]


class TinyTask(nn.Module):
    """Classes and maps of scenes. With `noise`, all generators are drawn from in every step (dropout: torch's).

    `rare` is a parameter that only batches of even steps use.
    """

    def __init__(self, noise: bool):
        super().__init__()
        overrides = OVERRIDES | ({"proj_drop_rate": 0.2, "pos_drop_rate": 0.2} if noise else {})
        self.student = Student(
            StudentConfig(classes=len(CLASSES), queries=4, text_dim=TEXT, embed=True, overrides=overrides)
        )
        self.rare = nn.Parameter(torch.ones(len(CLASSES)))
        self.noise = noise

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        out = self.student(batch["images"])
        logits = out.logits.float() * (self.rare if batch["even"].all() else 1)
        if self.noise:
            logits = logits * (1 + 0.1 * random.random() + 0.1 * np.random.normal() + 0.1 * random.gauss(0, 1))
        losses = {"task": F.binary_cross_entropy_with_logits(logits, batch["labels"])}
        losses["feature"] = (1 - F.cosine_similarity(out.embedding.float(), batch["latents"])).mean()
        log_student = out.attention.clamp_min(1e-8).log()
        teacher = batch["maps"].expand(-1, log_student.shape[1], -1, -1)
        assignment = assign(cross_entropy_cost(teacher, log_student.detach()), batch["words"])
        matched = batch["words"] & (assignment >= 0)
        losses["interaction"] = interaction_loss(teacher, pick(log_student, assignment, 2), matched)
        return {"loss": losses["task"] + losses["feature"] + losses["interaction"], **losses}


class TinyData:
    """32 scenes with made-up maps of one to three words. `stop` is the step before which the power fails."""

    shared = ("axes",)

    def __init__(self, batch_size: int, stop: int | None = None):
        scenes = Scenes(32, 0, size=32).load(masks=False)
        generator = torch.Generator().manual_seed(5)
        self.images, self.labels = normalise(torch.from_numpy(scenes.images)), torch.from_numpy(scenes.labels)
        self.maps = torch.randn(32, 1, WORDS, GRID * GRID, generator=generator).mul(2).softmax(-1)
        self.words = torch.arange(WORDS) < torch.randint(1, WORDS + 1, (32, 1), generator=generator)
        self.latents = torch.randn(32, TEXT, generator=generator)
        self.batch_size, self.stop = batch_size, stop

    @property
    def steps_per_epoch(self) -> int:
        return len(self.images) // self.batch_size

    def batch(self, step: int) -> dict[str, Tensor]:
        if step == self.stop:
            raise KeyboardInterrupt
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((7, epoch)).permutation(len(self.images))
        rows = torch.from_numpy(order[position * self.batch_size : (position + 1) * self.batch_size])
        return {
            "images": self.images[rows],
            "labels": self.labels[rows],
            "maps": self.maps[rows],
            "words": self.words[rows],
            "latents": self.latents[rows],
            "even": torch.full((len(rows),), step % 2 == 0),
            "axes": torch.eye(self.batch_size),
        }


def run(
    folder: str | Path,
    loop: dict[str, Any] | None = None,
    noise: bool = False,
    resume: bool = False,
    stop: int | None = None,
    device: str = "cpu",
) -> tuple[TinyTask, list[dict[str, float]]]:
    """Train, and write the weights that the caller gets to `folder/weights.safetensors`; `stop` breaks off."""
    torch.set_num_threads(1)
    folder, config = Path(folder), LoopConfig(**(LOOP | (loop or {})))
    torch.manual_seed(3)
    task = TinyTask(noise)
    data = TinyData(config.batch_size, stop)
    probe = data.images[:8]

    def evaluate(step: int) -> dict[str, float]:
        torch.rand(step)  # must not matter
        return {"brightness": float(task.student(probe.to(device)).logits.mean())}

    try:
        records = train(task, data, config, folder, resume=resume, device=device, evaluate=evaluate, title="tiny")
    except KeyboardInterrupt:
        return task, []
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        checkpoints.save(folder / "weights.safetensors", task.state_dict(), {})
    return task, records


def run_killed(killed: list[int], **job: Any) -> None:
    """`run` in a process that dies by kill -9 soon after each of these steps and is started again.

    The processes are forked from this one, which has imported everything and computed nothing.
    """
    log = Path(job["folder"]) / "metrics.jsonl"
    for goal in killed:
        victim = fork(job)
        while len(read_records(log)) < goal:
            assert os.waitpid(victim, os.WNOHANG) == (0, 0), "it ended before it was killed"
            time.sleep(0.005)
        time.sleep(0.05 * random.random())
        os.kill(victim, signal.SIGKILL)
        assert os.waitpid(victim, 0)[1] == signal.SIGKILL, "it ended before it was killed"
    assert os.waitpid(fork(job), 0)[1] == 0


def sign_in_turn(folder: str) -> None:
    """Every process writes its number; the others write what they find as well."""
    processes = connect()

    def sign() -> None:
        path = Path(folder) / "signed"
        found = path.read_text() if path.exists() else ""
        time.sleep(0.2 if processes.main else 0)
        path.write_text(found + str(processes.rank))

    main_first(sign, processes)


def fork(job: dict[str, Any]) -> int:
    """The id of a process that does the job."""
    if (child := os.fork()) == 0:
        try:
            run(**job)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def start(jobs: list[dict[str, Any]], processes: int = 1) -> subprocess.Popen[bytes]:
    """The jobs in a process of their own, or in several that torchrun starts."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    return subprocess.Popen(
        [sys.executable, *launcher, str(Path(__file__)), json.dumps(jobs, default=str)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[bytes]) -> str:
    """What the process printed; fails unless it ends well."""
    output = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 0, output
    return output


if __name__ == "__main__":
    for job in json.loads(sys.argv[1]):
        globals()[job.pop("call", "run")](**job)
