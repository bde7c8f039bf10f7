"""The teacher for photographs: TinyImageNet, half of PACS, canvases of several photographs, and generated scenes.

It begins with the weights of the scenes teacher, whose words already point; what it must learn is what photographs
look like. Every second image of PACS stays unseen, for `lfi benchmark transfer`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lfi.data.domains import domain_folders
from lfi.data.scenes import Scenes
from lfi.data.tinyimagenet import tiny_imagenet
from lfi.images import MEAN, STD
from lfi.teachers import load_teacher, save_teacher
from lfi.training.config import LoopConfig
from lfi.training.loop import train
from lfi.training.photographs import Names, PhotoSentences
from lfi.training.teacher import TeacherConfig, TeacherTask, warm_start

SHARES = (72, 8, 36, 12)
"""Of a batch: photographs of TinyImageNet and of PACS, canvases, scenes."""
LOOP = LoopConfig(epochs=1, batch_size=sum(SHARES), learning_rate=1.2e-3, log_every=20, checkpoint_every=100)
SCENES, STATEMENTS = 8000, 4


class Fixed:
    """The batches of a number of steps."""

    shared = frozenset({"bank", "yes_no"})

    def __init__(self, sentences: PhotoSentences, steps: int):
        self.sentences, self.steps_per_epoch = sentences, steps

    def batch(self, step: int) -> dict[str, Tensor]:
        return self.sentences.batch(step)


def train_photo_teacher(
    tiny: Path,
    pacs: Path,
    scenes_teacher: Path,
    runs: Path,
    out: Path,
    *,
    steps: int = 1700,
    device: str = "cpu",
    resume: bool = True,
) -> None:
    """Train it and write it to `out` as open_clip reads it.

    Args:
        tiny: the folder with TinyImageNet's `wnids.txt`; pacs: the folder with PACS's domains.
        scenes_teacher: whose weights it begins with.
        runs: for checkpoints; an interrupted run goes on from there.
        steps: of 128 images each.
    """
    photographs, drawn = tiny_imagenet(tiny, "train"), domain_folders(pacs, size=64)
    half = drawn.take(np.arange(0, len(drawn), 2))
    names = Names((*photographs.classes, *half.classes))
    sentences = PhotoSentences(
        [photographs, half], Scenes(SCENES, 1).load(masks=False), names, SHARES, 0, statements=STATEMENTS
    )
    torch.manual_seed(0)
    task = TeacherTask(TeacherConfig(words=names.vocabulary, vocabulary=1.0, statements=STATEMENTS))
    warm_start(task, load_teacher(scenes_teacher))
    loop = replace(LOOP, autocast=device != "cpu", evaluations=0)
    train(task, Fixed(sentences, steps), loop, runs, resume=resume, device=device, title="teacher for photographs")
    card = {"name": "photographs CoCa", "vocabulary": list(names.vocabulary), "default_layers": [0]}
    save_teacher(
        out,
        task.cpu().eval().model,
        task.config.model_config(),
        mean=[MEAN] * 3,
        std=[STD] * 3,
        dtype=torch.float16,
        card=card,
    )
