"""From a measurement to a plan: the largest student that fits, and what every stage takes.

The smallest student is measured first; which larger one may fit is told from the ratio of their sizes, and then
measured, too.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lfi.data.imagecache import cache_folder
from lfi.data.listing import Listing
from lfi.devices import cores, memory_size
from lfi.errors import ConfigError
from lfi.teachers.base import BaseTeacher
from lfi.training.distil.folder import nearest
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


@dataclass(frozen=True)
class Counts:
    """How much there is.

    Attributes:
        images, held_out: pictures, all and those that are held out.
        rows, held_rows: of the listing: as many as pictures, or more where some have several captions.
    """

    images: int
    held_out: int
    rows: int
    held_rows: int

    @classmethod
    def of(cls, listing: Listing, seed: int) -> Counts:
        """Of a listing that is split with this seed."""
        held = split(listing.files, seed)[1]
        return cls(len(listing.once), len({listing.files[row] for row in held}), len(listing), len(held))

    @property
    def learned(self) -> int:
        """Rows that students learn from."""
        return self.rows - self.held_rows


def make_plan(request: Request, teacher: BaseTeacher, listing: Listing, device: str) -> Plan:
    """Measure and decide. Nothing is written.

    Raises:
        ConfigError: not even the smallest student fits the machine.
        DataError, UnknownWordError: the images cannot be read or asked about.
    """
    counts = Counts.of(listing, request.seed)
    shown = show(request, teacher, listing)
    if request.student:
        found = measure(shown, size_of(request.student), counts.learned, device)
    else:
        found = largest(shown, counts, device)
    parameters, _ = describe_size(found.size)
    sides = f"{teacher.image_size} px, {teacher.grid[0]} x {teacher.grid[1]} patches"
    size = sum(each.numel() for each in teacher.model.parameters())
    return Plan(
        request=request.record(),
        teacher=teacher.label,
        about=f"a {teacher.kind}, {size / 1e6:.0f} M parameters, {sides}",
        images=counts.images,
        held_out=counts.held_out,
        rows=counts.rows,
        classes=len(listing.classes),
        pixels=teacher.image_size,
        student=found.size.name,
        parameters=parameters,
        loop=found.loop,
        steps=_steps(found, counts),
        methods=tuple(shown.methods),
        canvases=canvases_for(counts.held_out),
        stages=stages_of(shown, found, counts),
        memory=_memory(found.size, counts, teacher.image_size) + 4 * size,
        device=torch.cuda.get_device_name() if device.startswith("cuda") else f"{cores()} CPU cores",
    )


def canvases_for(held_out: int) -> int:
    """As many as there is something to compose them of."""
    return min(CANVASES, 4 * held_out)


def largest(shown: Shown, counts: Counts, device: str) -> Measured:
    """The largest student that this many images warrant and that the time and the memory allow; else the smallest."""
    memory = _OF_MEMORY * memory_size()
    sizes = [
        size
        for size in SIZES
        if size.images <= counts.images and _memory(size, counts, shown.questions.teacher.image_size) < memory
    ]
    if not sizes:
        raise ConfigError(f"{counts.images:,} images do not fit into half of the memory there is; take fewer")
    smallest = measure(shown, sizes[0], counts.learned, device)
    allowed = shown.request.hours * 3600
    for size in reversed(sizes[1:]):
        ratio = work_of(size) / work_of(sizes[0])
        guess = replace(smallest, size=size, steps={name: ratio * each for name, each in smallest.steps.items()})
        if sum(stage.seconds for stage in stages_of(shown, guess, counts)) > allowed:
            continue
        found = measure(shown, size, counts.learned, device)
        if sum(stage.seconds for stage in stages_of(shown, found, counts)) <= allowed:
            return found
    return smallest


def stages_of(shown: Shown, found: Measured, counts: Counts) -> tuple[Stage, ...]:
    """Every stage with its time and what it leaves on disk."""
    teacher, size, loop = shown.questions.teacher, found.size, found.loop
    parameters, _ = describe_size(size)
    weights = 4 * sum(each.numel() for each in teacher.model.parameters())
    _, tag = named(shown.request.teacher)
    canvases, judged = canvases_for(counts.held_out), min(2 * counts.held_rows, CANVASES)
    steps = loop.epochs * _steps(found, counts)
    validating = loop.evaluations * counts.held_rows / loop.batch_size / 3  # a forward pass is a third of a step
    sides = (teacher.image_size, size.pixels)
    return (
        Stage(READING, len(sides) * counts.images * shown.decode, counts.images * 3 * sum(side**2 for side in sides)),
        Stage(LAYER, canvases * shown.ask, weights if tag else 0),
        Stage(ASKING, counts.rows * shown.ask, counts.rows * shown.row_bytes),
        *(
            # weights and the optimiser's two moments, in two checkpoints, and the student
            Stage(training(name), (steps + validating) * seconds, parameters * 4 * 7)
            for name, seconds in found.steps.items()
        ),
        Stage(CHOOSING, canvases * found.choose),
        Stage(PRESENCE, judged * found.judge),
        Stage(WRITING, weights / 2e8, weights + 2 * 4 * parameters),
    )


def _steps(found: Measured, counts: Counts) -> int:
    """Of an epoch."""
    return max(1, counts.learned // found.loop.batch_size)


def _memory(size: Size, counts: Counts, pixels: int) -> int:
    return 3 * (counts.learned * size.pixels**2 + counts.held_rows * (pixels**2 + size.pixels**2))


def room(plan: Plan, out: Path, runs: Path) -> None:
    """Refuse to begin what a disk cannot hold; folders on the same one share what is free there.

    Raises:
        ConfigError: it says what is needed and what is there.
    """
    folders = {READING: cache_folder(), WRITING: out}
    needs: dict[int, dict[Path, int]] = {}
    for stage in plan.stages:
        folder = folders.get(stage.name, runs)
        wanted = needs.setdefault(nearest(folder).stat().st_dev, {})
        wanted[folder] = wanted.get(folder, 0) + stage.bytes
    for wanted in needs.values():
        size, free = sum(wanted.values()), shutil.disk_usage(nearest(next(iter(wanted)))).free
        if size > free:
            where = ", ".join(f"{folder} ({sized(each)})" for folder, each in wanted.items() if each)
            raise ConfigError(f"{sized(size)} are needed on one disk, and {sized(free)} are free there: {where}")
