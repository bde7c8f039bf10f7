"""A plan: what will be done, in which sizes, how long each stage takes and how much it leaves. Kept beside the runs."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lfi.errors import CheckpointError, ConfigError
from lfi.training.config import LoopConfig
from lfi.writing import write_json

FILE = "plan.json"
_KILO, _MINUTE, _HOUR = 1000, 60, 3600


@dataclass(frozen=True)
class Stage:
    """A part of the work.

    Attributes:
        seconds: that it takes, by measurement on this machine. bytes: that it leaves on disk.
    """

    name: str
    seconds: float
    bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """What is decided before anything is trained.

    Attributes:
        request: `Request.record` of what was asked for.
        teacher: its label. about: what else is said of it.
        images, held_out: how many pictures. rows: of their captions, or as many as pictures.
        classes: of class folders; 0 where words of captions are classes.
        pixels: side at which the teacher is shown the images.
        student: one of `SIZES` by name. parameters: of its backbone. steps: of an epoch.
        methods: `lfi` and the baselines.
        canvases: composed of held-out images, to choose layers on.
        memory: bytes that training holds.
        device: what was measured.
    """

    request: dict[str, Any]
    teacher: str
    about: str
    images: int
    held_out: int
    rows: int
    classes: int
    pixels: int
    student: str
    parameters: int
    loop: LoopConfig
    steps: int
    methods: tuple[str, ...]
    canvases: int
    stages: tuple[Stage, ...]
    memory: int
    device: str

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def bytes(self) -> int:
        """Of all stages."""
        return sum(stage.bytes for stage in self.stages)

    @property
    def key(self) -> str:
        """16 hex digits over what was asked for and of which teacher, by which the trio made of it is known again."""
        asked = json.dumps([self.request, self.teacher, self.images], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()[:16]

    def lines(self, hours: float = math.inf) -> list[str]:
        """As it is printed.

        Args:
            hours: that it may take; a line says so where it takes longer.
        """
        loop, baselines = self.loop, [name for name in self.methods if name != "lfi"]
        width = max(len(stage.name) for stage in self.stages)
        kinds = f"{self.classes:,} classes" if self.classes else "words of their captions as classes"
        told = f" with {self.rows:,} captions" if self.rows > self.images else ""
        late = self.seconds > hours * _HOUR
        return [
            f"images    {self.images:,}{told}, of which {self.held_out:,} are held out to choose on; {kinds}",
            f"teacher   {self.teacher}: {self.about}",
            f"students  {self.student}: {self.parameters / 1e6:.1f} M parameters, {loop.epochs} epochs of "
            f"{self.steps:,} steps of {loop.batch_size} images; LFI, and as baselines {', '.join(baselines)}",
            *(f"{each.name:<{width}}  {spoken(each.seconds):>12}  {sized(each.bytes):>9}" for each in self.stages),
            f"{'in all':<{width}}  {spoken(self.seconds):>12}  {sized(self.bytes):>9}; memory {sized(self.memory)}",
            f"measured on this machine: {self.device}",
            *([f"longer than --hours {hours:g}: take fewer --epochs, or fewer images"] if late else []),
        ]

    def write(self, folder: Path) -> None:
        """Into a folder that is made if it is not there; whole or not at all.

        Raises:
            ConfigError: it cannot be written.
        """
        write_json(folder / FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """The plan of a folder; None where there is none.

        Raises:
            CheckpointError: it is there and cannot be read.
        """
        if not (folder / FILE).is_file():
            return None
        try:
            found = json.loads((folder / FILE).read_text(encoding="utf-8"))
            stages = tuple(Stage(**each) for each in found["stages"])
            loop = LoopConfig(**found["loop"])
            found.setdefault("rows", found["images"])  # plans of before told of rows alone
            found.setdefault("steps", max(1, (found["images"] - found["held_out"]) // loop.batch_size))
            return replace(cls(**{**found, "loop": loop, "stages": stages}), methods=tuple(found["methods"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"cannot read {folder / FILE}: {error!r}; --fresh starts again") from error

    def check(self, request: dict[str, Any], images: int, rows: int, teacher: str, folder: Path) -> None:
        """Refuse to go on with other data, another teacher or other wishes.

        Raises:
            ConfigError: it says in what they differ.
        """
        then = {**self.request, **_seen(self.images, self.rows, self.teacher)}
        for name, value in {**request, **_seen(images, rows, teacher)}.items():
            if then.get(name) != value:
                raise ConfigError(
                    f"{folder} was begun with {name} = {then.get(name)!r}, and it is {value!r} now; choose another "
                    "folder with --runs, or start again with --fresh"
                )


def _seen(images: int, rows: int, teacher: str) -> dict[str, Any]:
    return {"images of the folder": images, "captions of the images": rows, "the teacher's weights": teacher}


def spoken(seconds: float) -> str:
    """A time as people say it: `40 s`, `12 min`, `3.4 h`."""
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"


def sized(size: float) -> str:
    """Bytes as people say them: `3 MB`, `1.2 GB`."""
    if not size:
        return "-"
    if size < _KILO**3:
        return f"{max(1, round(size / _KILO**2))} MB"
    return f"{size / _KILO**3:.1f} GB"
