"""A short measurement on this machine, for a plan.

A few of the images are read, the teacher is asked about them, and a student takes some steps on what it says: the same
code as later, on the same device.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from lfi.answerers import Answerer, ask, line_up
from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.devices import cores
from lfi.errors import ConfigError
from lfi.methods import Method
from lfi.students import Student
from lfi.students.explanations import explanations_of
from lfi.teachers.base import BaseTeacher
from lfi.training.cache.compression import compress
from lfi.training.config import LoopConfig, TrainConfig
from lfi.training.distil.request import Request, to_learn_from
from lfi.training.distil.sizes import (
    Size,
    loop_for,
    methods_for,
    saving,
)
from lfi.training.run import Prepared, train_student
from lfi.training.targets import InMemory, Questions, judges_presence

SAMPLE, STEPS = 32, 4
_MOST_PARTS = 16


@dataclass(frozen=True, eq=False)
class Shown:
    """What was measured of the images and the teacher.

    Attributes:
        listing: of the sample. questions, answers: about it.
        decode: seconds to read an image at one size, on all cores. ask: seconds for the teacher to answer about one.
        row_bytes: that a cache keeps of one.
    """

    request: Request
    listing: Listing
    questions: Questions
    answers: InMemory
    decode: float
    ask: float
    row_bytes: int

    @property
    def methods(self) -> dict[str, Method]:
        """By name, `lfi` first."""
        return methods_for("logits" in self.questions.wanted)


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of a student.

    Attributes:
        steps: seconds of a step by method. choose, judge: seconds an image, of all ways to ask, and of the models.
    """

    size: Size
    loop: LoopConfig
    steps: dict[str, float]
    choose: float
    judge: float


def fields_for(teacher: BaseTeacher, multilabel: bool) -> tuple[str, ...]:
    """What can be asked of a teacher: of images with several labels logits only if it says what is absent."""
    logits = not multilabel or judges_presence(teacher)
    return ("maps", "logits", "latents") if logits else ("maps", "latents")


def show(request: Request, teacher: BaseTeacher, listing: Listing) -> Shown:
    """Read a few images and ask the teacher about them."""
    rows = np.unique(np.linspace(0, len(listing) - 1, min(SAMPLE, len(listing))).astype(int))
    some = listing.take(rows)
    before = time.perf_counter()
    images = some.load(teacher.image_size, limit=1.0)
    decode = (time.perf_counter() - before) / len(rows) / cores()
    images = to_learn_from(images, teacher, fewest=1)
    questions = Questions(teacher, request.source(teacher, ""), images, fields_for(teacher, images.multilabel))
    questions.ask(np.arange(2))  # warm
    before = time.perf_counter()
    answers = questions.all(batch=16)
    seconds = (time.perf_counter() - before) / len(images)
    kept = [compress(name, values.float().numpy(), "float16") for name, values in answers.fields.items()]
    size = sum(array.nbytes for arrays in kept for array in arrays.values()) // len(images)
    return Shown(request, some, questions, answers, decode, seconds, size)


def measure(shown: Shown, size: Size, images: int, device: str) -> Measured:
    """Train students of a size for a few steps, in smaller parts where the GPU's memory is short, and ask them."""
    loop = loop_for(size, images, shown.request.epochs, device, shown.request.seed)
    teacher = shown.questions.teacher
    small = to_learn_from(shown.listing.load(size.pixels, limit=1.0), teacher, fewest=1)
    rows = np.resize(np.arange(len(small)), loop.batch_size)
    answers = InMemory({name: values[torch.from_numpy(rows)] for name, values in shown.answers.fields.items()})
    config = TrainConfig(data=shown.request.data(size.pixels), teacher=shown.questions.source, student=size.source)
    prepared = Prepared(config, teacher, repeated(small, rows), small, shown.questions, answers)
    steps, students = {}, {}
    for name, method in shown.methods.items():
        while True:
            try:
                steps[name], students[name] = _few_steps(prepared, size, method, loop, device)
                break
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
                if loop.accumulate >= _MOST_PARTS:
                    raise ConfigError(f"a student of the size {size.name!r} does not fit the GPU") from None
                loop = replace(loop, accumulate=2 * loop.accumulate)
    baseline = next(name for name in students if name != "lfi")
    choose, judge = _asking(teacher, students["lfi"], students[baseline], small)
    return Measured(size, saving(loop, max(steps.values())), steps, choose, judge)


def _few_steps(prepared: Prepared, size: Size, method: Method, loop: LoopConfig, device: str) -> tuple[float, Student]:
    """Seconds of a step, the median of all but the first, and a student that has hardly begun."""
    short = replace(loop, epochs=STEPS, log_every=1, evaluations=0, tensorboard=False)
    config = replace(prepared.config, student=method.student(size.source), objective=method.objective, loop=short)
    title = f"measuring {size.name}"
    student, records = train_student(replace(prepared, config=config), device=device, title=title)
    speeds = [record["images/s"] for record in records if "images/s" in record]
    return loop.batch_size / float(np.median(speeds[1:])), student.to(device)


def _asking(teacher: BaseTeacher, lfi: Student, baseline: Student, images: ImageSet) -> tuple[float, float]:
    """Seconds an image: of every answer that a trio has, and of its three models."""
    answerers = line_up(teacher, lfi, baseline, explanations_of(baseline)[0])
    pictures = [Image.fromarray(image) for image in np.asarray(images.images[:2])]
    word = next(word for row in images.words for word in row)
    seconds = {name: _seconds_of(answerer, pictures, word) for name, answerer in answerers.items()}
    return sum(seconds.values()), sum(seconds[name] for name in ("teacher", "lfi", "baseline"))


def _seconds_of(answerer: Answerer, pictures: Sequence[Image.Image], word: str) -> float:
    before = time.perf_counter()
    ask(answerer, pictures, [[word]] * len(pictures))
    return (time.perf_counter() - before) / len(pictures)


def repeated(images: ImageSet, rows: np.ndarray) -> ImageSet:
    """Rows of a set, some of them several times, under names of their own."""
    ids = tuple(f"{images.ids[row]} {place}" for place, row in enumerate(rows))
    return replace(
        images,
        images=images.images[rows],
        ids=ids,
        labels=images.labels[rows],
        captions=tuple(images.captions[row] for row in rows),
        words=tuple(images.words[row] for row in rows),
        pictures=(),
    )
