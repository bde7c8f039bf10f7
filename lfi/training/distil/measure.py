"""A short measurement on this machine, and the plan that follows from it.

A few of the images are read, the teacher is asked about them, and a student takes some steps on what it says: the same
code as later, on the same device. The smallest student is measured first; which larger one may fit is told from the
ratio of their sizes, and then measured, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lfi.answerers import Answerer, ask, line_up
from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.errors import ConfigError
from lfi.methods import Method
from lfi.students import Student
from lfi.students.explanations import explanations_of
from lfi.teachers import CoCaTeacher
from lfi.teachers.openclip import OpenClipTeacher
from lfi.training.cache.compression import compress
from lfi.training.config import LoopConfig, TrainConfig
from lfi.training.distil.plan import Plan, Stage
from lfi.training.distil.request import Request, named, split, to_learn_from
from lfi.training.distil.sizes import (
    SIZES,
    Size,
    describe_size,
    loop_for,
    methods_for,
    saving,
    size_of,
    work_of,
)
from lfi.training.run import Prepared, train_student
from lfi.training.targets import InMemory, Questions, judges_presence

READING, LAYER, ASKING = "reading images", "choosing the teacher's layer", "asking the teacher"
CHOOSING, PRESENCE, WRITING = "choosing layers and explanation", "calibrating presence", "writing the trio"
SAMPLE, CANVASES, STEPS = 32, 300, 4
_MOST_PARTS = 16
_OF_MEMORY = 0.5
"""Share of main memory that training images may take."""


def training(method: str) -> str:
    """The name of the stage in which a method's student is trained."""
    return f"training {'LFI' if method == 'lfi' else method}"


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


def fields_for(teacher: OpenClipTeacher, images: ImageSet) -> tuple[str, ...]:
    """What can be asked of a teacher about images with such labels."""
    logits = not images.multilabel or judges_presence(teacher)
    return ("maps", "logits", "latents") if logits else ("maps", "latents")


def make_plan(request: Request, teacher: OpenClipTeacher, listing: Listing, device: str) -> Plan:
    """Measure and decide. Nothing is written.

    Raises:
        ConfigError: not even the smallest student fits the machine.
        DataError, UnknownWordError: the images cannot be read or asked about.
    """
    count, held = len(listing), len(split(listing.files, request.seed)[1])
    shown = show(request, teacher, listing)
    if request.student:
        found = measure(shown, size_of(request.student), count - held, device)
    else:
        found = largest(shown, count, held, device)
    stages = stages_of(shown, found, count, held)
    parameters, _ = describe_size(found.size)
    kind = "CoCa" if isinstance(teacher, CoCaTeacher) else "CLIP"
    sides = f"{teacher.image_size} px, {teacher.grid[0]} x {teacher.grid[1]} patches"
    size = sum(each.numel() for each in teacher.model.parameters())
    return Plan(
        request=request.record(),
        teacher=teacher.label,
        about=f"a {kind}, {size / 1e6:.0f} M parameters, {sides}",
        images=count,
        held_out=held,
        classes=len(listing.classes),
        pixels=teacher.image_size,
        student=found.size.name,
        parameters=parameters,
        loop=found.loop,
        methods=tuple(shown.methods),
        canvases=canvases_for(held),
        stages=stages,
        memory=_memory(found.size, count, held, teacher.image_size) + 4 * size,
        device=torch.cuda.get_device_name() if device.startswith("cuda") else f"{_cores()} CPU cores",
    )


def canvases_for(held_out: int) -> int:
    """As many as there is something to compose them of."""
    return min(CANVASES, 4 * held_out)


def show(request: Request, teacher: OpenClipTeacher, listing: Listing) -> Shown:
    """Read a few images and ask the teacher about them."""
    rows = np.unique(np.linspace(0, len(listing) - 1, min(SAMPLE, len(listing))).astype(int))
    some = listing.take(rows)
    before = time.perf_counter()
    images = some.load(teacher.image_size, limit=1.0)
    decode = (time.perf_counter() - before) / len(rows) / _cores()
    images = to_learn_from(images, teacher, fewest=1)
    questions = Questions(teacher, request.source(teacher, ""), images, fields_for(teacher, images))
    questions.ask(np.arange(2))  # warm
    before = time.perf_counter()
    answers = questions.all(batch=16)
    seconds = (time.perf_counter() - before) / len(images)
    kept = [compress(name, values.float().numpy(), "float16") for name, values in answers.fields.items()]
    size = sum(array.nbytes for arrays in kept for array in arrays.values()) // len(images)
    return Shown(request, some, questions, answers, decode, seconds, size)


def largest(shown: Shown, count: int, held: int, device: str) -> Measured:
    """The largest student that this many images warrant and that the time and the memory allow; else the smallest."""
    memory = _OF_MEMORY * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    sizes = [
        size
        for size in SIZES
        if size.images <= count and _memory(size, count, held, shown.questions.teacher.image_size) < memory
    ]
    if not sizes:
        raise ConfigError(f"{count:,} images do not fit into half of this machine's memory; take fewer")
    smallest = best = measure(shown, sizes[0], count - held, device)
    allowed = shown.request.hours * 3600
    for size in reversed(sizes[1:]):
        ratio = work_of(size) / work_of(sizes[0])
        guess = replace(smallest, size=size, steps={name: ratio * each for name, each in smallest.steps.items()})
        if sum(stage.seconds for stage in stages_of(shown, guess, count, held)) > allowed:
            continue
        found = measure(shown, size, count - held, device)
        if sum(stage.seconds for stage in stages_of(shown, found, count, held)) <= allowed:
            return found
    return best


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


def _asking(teacher: OpenClipTeacher, lfi: Student, baseline: Student, images: ImageSet) -> tuple[float, float]:
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
    )


def stages_of(shown: Shown, found: Measured, count: int, held: int) -> tuple[Stage, ...]:
    """Every stage with its time and what it leaves on disk."""
    teacher, size, loop = shown.questions.teacher, found.size, found.loop
    parameters, _ = describe_size(size)
    weights = 4 * sum(each.numel() for each in teacher.model.parameters())
    _, tag = named(shown.request.teacher)
    canvases, judged = canvases_for(held), min(2 * held, CANVASES)
    steps = loop.epochs * max(1, (count - held) // loop.batch_size)
    validating = loop.evaluations * held / loop.batch_size / 3  # a forward pass is a third of a step
    sides = (teacher.image_size, size.pixels)
    return (
        Stage(READING, len(sides) * count * shown.decode, count * 3 * sum(side**2 for side in sides)),
        Stage(LAYER, canvases * shown.ask, weights if tag else 0),
        Stage(ASKING, count * shown.ask, count * shown.row_bytes),
        *(
            # weights and the optimiser's two moments, in two checkpoints, and the student
            Stage(training(name), (steps + validating) * seconds, parameters * 4 * 7)
            for name, seconds in found.steps.items()
        ),
        Stage(CHOOSING, canvases * found.choose),
        Stage(PRESENCE, judged * found.judge),
        Stage(WRITING, weights / 2e8, weights + 2 * 4 * parameters),
    )


def _memory(size: Size, count: int, held: int, pixels: int) -> int:
    return 3 * ((count - held) * size.pixels**2 + held * (pixels**2 + size.pixels**2))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def room(plan: Plan, runs: Path) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        ConfigError: it says what is needed and what is there.
    """
    import shutil

    from lfi.data.imagecache import cache_folder
    from lfi.training.distil.plan import sized

    needs = {cache_folder(): 0, runs: 0}
    for stage in plan.stages:
        needs[cache_folder() if stage.name == READING else runs] += stage.bytes
    for folder, wanted in needs.items():
        there = next(each for each in (folder, *folder.resolve().parents) if each.exists())
        free = shutil.disk_usage(there).free
        if wanted > free:
            raise ConfigError(f"{folder} needs {sized(wanted)}, and {sized(free)} are free there")
