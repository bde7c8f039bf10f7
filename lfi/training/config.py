"""A training run as data: TOML in, validated dataclasses out."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from lfi.data.scenes import DOMAINS
from lfi.errors import ConfigError

T = typing.TypeVar("T")


@dataclass(frozen=True)
class DataConfig:
    """Which generated scenes to train and validate on."""

    count: int = 2000
    seed: int = 10
    validation: int = 1000
    validation_seed: int = 11
    size: int = 64
    domains: tuple[str, ...] = DOMAINS
    objects: tuple[int, int] = (2, 4)


@dataclass(frozen=True)
class TeacherSource:
    """Which teacher, and which of its maps are copied.

    Attributes:
        model: folder of a trained teacher.
        maps: `statements` (every object's name alone) or `captions` (its noun within the whole caption).
        layers: decoder layers whose maps are the targets, counted from 0; the student's taps are spread over them,
            first to first and last to last.
    """

    model: str = "static/models/scenes/teacher"
    maps: str = "statements"
    layers: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if self.maps not in ("statements", "captions"):
            raise ConfigError(f"teacher.maps is {self.maps!r}; 'statements' or 'captions' was expected")


@dataclass(frozen=True)
class StudentSource:
    """Architecture of the student; see `lfi.students.StudentConfig`. `by_name` needs a naming loss."""

    backbone: str = "vit_tiny_patch16_224"
    queries: int = 8
    taps: tuple[int, ...] = ()
    by_name: bool = True
    overrides: dict[str, Any] = field(
        default_factory=lambda: {"img_size": 64, "patch_size": 8, "embed_dim": 96, "depth": 6, "num_heads": 3}
    )


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the losses; a loss of weight 0 is not computed. `shuffle` hands every image another image's maps."""

    task: float = 1.0
    interaction: float = 0.0
    relation: float = 0.0
    naming: float = 0.0
    logit_kd: float = 0.0
    feature_kd: float = 0.0
    shuffle: bool = False

    @property
    def wants_maps(self) -> bool:
        return self.interaction > 0 or self.relation > 0


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train.

    Attributes:
        batch_size: images of one step, over all processes and micro-batches together.
        warmup: share of the steps in which the learning rate rises.
        clip: largest norm of the gradient; 0 for none.
        autocast: bfloat16 autocast, on CPU and GPU.
        seed: of every random generator; process `r` draws from `(seed, r)`.
        checkpoint_every, log_every: in steps.
        evaluations: how many in a run, evenly spread; 0 for none.
        accumulate: micro-batches that a step (of each process) is cut into, to save memory.
        ema: decay of the moving average of the weights, which is then what is evaluated and kept; 0 for none.
        compile: `torch.compile` the task.
        deterministic: refuse operations whose result depends on the order of threads; slower on a GPU.
        parallel: `ddp` (every process holds the model) or `fsdp` (each holds a share of it, FSDP2).
        prefetch: batches that a thread prepares ahead while a GPU works; on a CPU all cores are at work anyway.
        tensorboard: write scalars for TensorBoard into the run's folder.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    clip: float = 1.0
    autocast: bool = True
    seed: int = 0
    checkpoint_every: int = 200
    log_every: int = 10
    evaluations: int = 10
    accumulate: int = 1
    ema: float = 0.0
    compile: bool = False
    deterministic: bool = False
    parallel: str = "ddp"
    prefetch: int = 2
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "checkpoint_every", "log_every", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(f"loop.{name} is {getattr(self, name)}; at least 1 was expected")
        for name in ("clip", "evaluations", "prefetch", "weight_decay"):
            if getattr(self, name) < 0:
                raise ConfigError(f"loop.{name} is {getattr(self, name)}; 0 or more was expected")
        for name in ("ema", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"loop.{name} is {getattr(self, name)}; 0 or more and less than 1 was expected")
        if self.parallel not in ("ddp", "fsdp"):
            raise ConfigError(f"loop.parallel is {self.parallel!r}; 'ddp' or 'fsdp' was expected")


@dataclass(frozen=True)
class TrainConfig:
    """One run of `lfi train`."""

    data: DataConfig = field(default_factory=DataConfig)
    teacher: TeacherSource = field(default_factory=TeacherSource)
    student: StudentSource = field(default_factory=StudentSource)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """A configuration from a TOML file and `section.key=value` overrides, values written as in TOML.

    Raises:
        ConfigError: for an unreadable file, an unknown key (with the nearest known one) or a value of another type.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    for override in overrides:
        key, sign, value = override.partition("=")
        parts = key.strip().split(".")
        if not sign or not all(parts):
            raise ConfigError(f"cannot read the override {override!r}; section.key=value was expected")
        try:
            parsed = tomllib.loads(f"value = {value.strip()}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value.strip()
        section = raw
        for part in parts[:-1]:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{part} in {override!r} is a value, not a section")
        section[parts[-1]] = parsed
    return build(TrainConfig, raw)


def build(kind: type[T], raw: dict[str, Any], where: str = "") -> T:
    """A dataclass from plain values, checked name by name and type by type."""
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    values = {}
    for name, value in raw.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {where}{near[0]}?" if near else f"; known: {', '.join(known)}"
            raise ConfigError(f"unknown key {where}{name}{hint}")
        values[name] = _convert(hints[name], value, f"{where}{name}")
    missing = [
        name
        for name, entry in known.items()
        if name not in values and entry.default is entry.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"{where}{missing[0]} is missing")
    return kind(**values)


def _convert(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is {value!r}; a section was expected")
        return build(kind, value, f"{where}.")  # type: ignore[arg-type]
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is {value!r}; a list was expected")
        inner = typing.get_args(kind)
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise ConfigError(f"{where} has {len(value)} entries; {len(inner)} were expected")
        return tuple(_convert(inner[0], item, where) for item in value)
    if origin in (dict, types.GenericAlias) or kind is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is {value!r}; a table was expected")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where} is {value!r}; {kind.__name__} was expected")
    return value
