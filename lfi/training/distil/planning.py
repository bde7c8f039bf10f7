"""From a measurement to a plan: the largest student that fits, and what every stage takes.

The smallest student is measured first; which larger one may fit is told from the ratio of their sizes, and then
measured, too.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from lfi.data.imagecache import cache_folder
from lfi.data.listing import Listing
from lfi.devices import cores, memory_size
from lfi.errors import ConfigError
from lfi.teachers.base import BaseTeacher
from lfi.training.distil.measure import Measured, Shown, measure, show
from lfi.training.distil.plan import Plan, Stage, sized
from lfi.training.distil.request import Request, named, split
from lfi.training.distil.sizes import SIZES, Size, describe_size, size_of, work_of

READING, LAYER, ASKING = "reading images", "choosing the teacher's layer", "asking the teacher"
CHOOSING, PRESENCE, WRITING = "choosing layers and explanation", "calibrating presence", "writing the trio"
CANVASES = 300
_OF_MEMORY = 0.5
"""Share of main memory that training images may take."""


def training(method: str) -> str:
    """The name of the stage in which a method's student is trained."""
    return f"training {'LFI' if method == 'lfi' else method}"


def make_plan(request: Request, teacher: BaseTeacher, listing: Listing, device: str) -> Plan:
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
    sides = f"{teacher.image_size} px, {teacher.grid[0]} x {teacher.grid[1]} patches"
    size = sum(each.numel() for each in teacher.model.parameters())
    return Plan(
        request=request.record(),
        teacher=teacher.label,
        about=f"a {teacher.kind}, {size / 1e6:.0f} M parameters, {sides}",
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
        device=torch.cuda.get_device_name() if device.startswith("cuda") else f"{cores()} CPU cores",
    )


def canvases_for(held_out: int) -> int:
    """As many as there is something to compose them of."""
    return min(CANVASES, 4 * held_out)


def largest(shown: Shown, count: int, held: int, device: str) -> Measured:
    """The largest student that this many images warrant and that the time and the memory allow; else the smallest."""
    memory = _OF_MEMORY * memory_size()
    sizes = [
        size
        for size in SIZES
        if size.images <= count and _memory(size, count, held, shown.questions.teacher.image_size) < memory
    ]
    if not sizes:
        raise ConfigError(f"{count:,} images do not fit into half of the memory there is; take fewer")
    smallest = measure(shown, sizes[0], count - held, device)
    allowed = shown.request.hours * 3600
    for size in reversed(sizes[1:]):
        ratio = work_of(size) / work_of(sizes[0])
        guess = replace(smallest, size=size, steps={name: ratio * each for name, each in smallest.steps.items()})
        if sum(stage.seconds for stage in stages_of(shown, guess, count, held)) > allowed:
            continue
        found = measure(shown, size, count - held, device)
        if sum(stage.seconds for stage in stages_of(shown, found, count, held)) <= allowed:
            return found
    return smallest


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


def room(plan: Plan, runs: Path) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        ConfigError: it says what is needed and what is there.
    """
    needs = {cache_folder(): 0, runs: 0}
    for stage in plan.stages:
        needs[cache_folder() if stage.name == READING else runs] += stage.bytes
    for folder, wanted in needs.items():
        there = next(each for each in (folder, *folder.resolve().parents) if each.exists())
        free = shutil.disk_usage(there).free
        if wanted > free:
            raise ConfigError(f"{folder} needs {sized(wanted)}, and {sized(free)} are free there")
