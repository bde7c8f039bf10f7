"""A training run as data: dataclasses that refuse values out of range. `config_file.py` reads them from TOML."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from lfi.data.scenes import DOMAINS
from lfi.errors import ConfigError
from lfi.training.detection_config import DetectionConfig
from lfi.training.objective_config import ObjectiveConfig
from lfi.training.teacher_config import TeacherConfig
from lfi.training.tracking import TRACKERS

SOURCES = ("scenes", "tiny-imagenet", "domains", "folders", "coco", "captions", "shards")
TASKS = ("student", "teacher", "detection")
OPTIMIZERS = ("adamw", "muon")
MAPS = ("statements", "captions", "seen")


@dataclass(frozen=True)
class DataConfig:
    """What to train and validate on.

    Attributes:
        source: `scenes` (generated; nothing to download), or data on disk: `tiny-imagenet`, `domains` (PACS, VLCS and
            any `DOMAIN/CLASS/*`), `folders` (any `CLASS/*`), `coco` (instances, and captions if there are),
            `captions` (a CSV, TSV or JSONL table of images and captions), `shards` (WebDataset).
        root: folder of the data; for `coco` the folder of the images, for `captions` the table.
        annotations: for `coco`: the file of instances; captions: for `coco`: the file of captions.
        validation_root: data of the same layout to validate on; without it `validation_share` of `root` is held out
            (TinyImageNet has a split of its own, and a detector is then not validated).
        validation_annotations, validation_captions: for `coco`: the files of `validation_root`; `annotations` and
            `captions` without them.
        most_classes: of captions, whose content words are the labels: the most frequent ones are.
        size: side of the images in pixels.
        fraction: share of the training images of every class that is used.
        labelled: of those, the share whose class, caption and words are known; the others are learnt from by what the
            teacher itself says of them (`teacher.maps = "seen"`).
        held_out: for `domains`: the domain that is not trained on (leave-one-domain-out).
        limit: largest share of files that may be unreadable.
        crop: smallest share of an image that a random crop keeps; 1 for no crops.
        flip: share of the images that are mirrored.
        seed: of what is drawn: scenes, splits, fractions, the order of a stream.
        stream: for `shards`: read them while training instead of before; needs `length` and a `validation_root`, whose
            classes and words are then the stream's.
        length: of a stream: samples an epoch, over all processes.
        workers: of a stream: processes that decode, for each process that trains; 0 to decode in between.
        count, validation, validation_seed, domains, objects: of generated scenes.
    """

    source: str = "scenes"
    root: str = ""
    annotations: str = ""
    captions: str = ""
    validation_root: str = ""
    validation_annotations: str = ""
    validation_captions: str = ""
    most_classes: int = 1000
    validation_share: float = 0.2
    size: int = 64
    fraction: float = 1.0
    labelled: float = 1.0
    held_out: str = ""
    limit: float = 0.01
    crop: float = 1.0
    flip: float = 0.5
    seed: int = 10
    stream: bool = False
    length: int = 0
    workers: int = 0
    count: int = 2000
    validation: int = 1000
    validation_seed: int = 11
    domains: tuple[str, ...] = DOMAINS
    objects: tuple[int, int] = (2, 4)

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ConfigError(f"data.source is {self.source!r}; one of {', '.join(SOURCES)} was expected")
        if self.source != "scenes" and not self.root:
            raise ConfigError(f"data.root is missing; {self.source!r} needs the folder of its data")
        if self.source == "coco" and not self.annotations:
            raise ConfigError("data.annotations is missing: the JSON file of COCO instances")
        if self.validation_root and self.source in ("scenes", "tiny-imagenet", "domains"):
            raise ConfigError(f"data.validation_root is not used: {self.source!r} has its own validation split")
        if self.stream:
            self._check_stream()
        if self.source == "domains" and not self.held_out:
            raise ConfigError("data.held_out is missing: the domain to leave out of training")
        for name in ("count", "validation"):
            if self.source == "scenes" and getattr(self, name) < 1:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; at least 1 scene was expected")
        for name in ("seed", "validation_seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; 0 or more was expected")
        for name in ("fraction", "labelled", "crop"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; more than 0 and at most 1 was expected")
        for name in ("flip", "limit", "validation_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; 0 to 1 was expected")

    def _check_stream(self) -> None:
        if self.source != "shards":
            raise ConfigError(f"data.stream is true and data.source is {self.source!r}; only 'shards' are streamed")
        if self.length < 1:
            raise ConfigError(
                f"data.length is {self.length}; a stream needs the number of samples per epoch, at least 1"
            )
        if self.workers < 0:
            raise ConfigError(f"data.workers is {self.workers}; 0 or more was expected")
        if not self.validation_root:
            raise ConfigError("data.validation_root is missing: no share of a stream can be held out")
        for name in ("fraction", "labelled"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name} is {getattr(self, name)}; no share can be taken of a stream")


@dataclass(frozen=True)
class TeacherSource:
    """Which teacher, and which of its maps are copied.

    Attributes:
        model: folder of a trained teacher, of a BLIP or of a LLaVA, `scenes` (the one that comes with LFI), or an
            open_clip name such as `coca_ViT-B-32`.
        pretrained: for an open_clip name: its tag, `TAG:FILE` or a checkpoint file.
        maps: `statements` (every word of an image alone), `captions` (its content words within the whole caption) or
            `seen` (classes and names above them that the teacher itself is sure to see, weighted by how sure).
        sure: for `seen`: the lowest probability of a word.
        layers: decoder layers whose maps are the targets, counted from 0; the student's taps are spread over them,
            first to first and last to last.
        tower_layers: blocks of the image tower that attention transfer reads; empty for the middle and the last.
        prompt: makes a class name a text for zero-shot logits.
        cache: folder of the teacher cache (`lfi cache`); made if it is missing, kept in memory without one.
        precision: of cached maps: `float16` or `uint8`.
        online: ask the teacher about every view instead of moving cached maps: slower, and exact for crops.
    """

    model: str = "scenes"
    pretrained: str = ""
    maps: str = "statements"
    sure: float = 0.2
    layers: tuple[int, ...] = (0,)
    tower_layers: tuple[int, ...] = ()
    prompt: str = "{}"
    cache: str = ""
    precision: str = "float16"
    online: bool = False

    def __post_init__(self) -> None:
        if self.maps not in MAPS:
            raise ConfigError(f"teacher.maps is {self.maps!r}; 'statements', 'captions' or 'seen' was expected")
        if not 0 < self.sure <= 1:
            raise ConfigError(f"teacher.sure is {self.sure}; a probability above 0 and at most 1 was expected")
        if list(self.tower_layers) != sorted(set(self.tower_layers)):
            raise ConfigError(f"teacher.tower_layers is {list(self.tower_layers)}; rising numbers were expected")
        if "{}" not in self.prompt:
            raise ConfigError(f"teacher.prompt is {self.prompt!r}; a text with {{}} for the name was expected")
        if self.precision not in ("float16", "uint8"):
            raise ConfigError(f"teacher.precision is {self.precision!r}; 'float16' or 'uint8' was expected")


@dataclass(frozen=True)
class StudentSource:
    """Architecture of the student; see `lfi.students.StudentConfig`. `by_name` needs a naming loss."""

    backbone: str = "vit_tiny_patch16_224"
    queries: int = 8
    taps: tuple[int, ...] = ()
    by_name: bool = True
    feedback: bool = False
    overrides: dict[str, Any] = field(
        default_factory=lambda: {"img_size": 64, "patch_size": 8, "embed_dim": 96, "depth": 6, "num_heads": 3}
    )

    def __post_init__(self) -> None:
        if self.queries < 0:
            raise ConfigError(f"student.queries is {self.queries}; 0 or more was expected")
        if list(self.taps) != sorted(set(self.taps)):
            raise ConfigError(f"student.taps is {list(self.taps)}; rising numbers were expected")


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train.

    Attributes:
        batch_size: images of one step, over all processes and micro-batches together.
        optimizer: `adamw`, or `muon`: Muon for matrices and AdamW for all else, which learns more per step.
        warmup: share of the steps in which the learning rate rises.
        clip: largest norm of the gradient; 0 for none.
        autocast: bfloat16 autocast where it is faster: on GPUs, and on CPUs that multiply bfloat16.
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
        tracker: `wandb` (Weights & Biases) or `trackio` get the same records as well; empty for neither.
    """

    epochs: int = 20
    batch_size: int = 32
    optimizer: str = "adamw"
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
    tracker: str = ""

    def __post_init__(self) -> None:
        if self.tracker not in TRACKERS:
            raise ConfigError(f"loop.tracker is {self.tracker!r}; one of {', '.join(map(repr, TRACKERS))} was expected")
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(
                f"loop.optimizer is {self.optimizer!r}; one of {', '.join(map(repr, OPTIMIZERS))} was expected"
            )
        for name in ("epochs", "batch_size", "checkpoint_every", "log_every", "accumulate"):
            if getattr(self, name) < 1:
                raise ConfigError(f"loop.{name} is {getattr(self, name)}; at least 1 was expected")
        for name in ("clip", "evaluations", "prefetch", "seed", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"loop.{name} is {getattr(self, name)}; 0 or more was expected")
        if not 0 <= self.learning_rate < math.inf:
            raise ConfigError(f"loop.learning_rate is {self.learning_rate}; a number of 0 or more was expected")
        if self.seed >= 2**63:
            raise ConfigError(f"loop.seed is {self.seed}; less than 2^63 was expected")
        for name in ("ema", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"loop.{name} is {getattr(self, name)}; 0 or more and less than 1 was expected")
        if self.parallel not in ("ddp", "fsdp"):
            raise ConfigError(f"loop.parallel is {self.parallel!r}; 'ddp' or 'fsdp' was expected")


@dataclass(frozen=True)
class TrainConfig:
    """One run of `lfi train`.

    Attributes:
        task: `student` (a teacher is distilled), `teacher` (a CoCa or CLIP is trained) or `detection`
            (a Mask R-CNN is trained on a student's backbone).
        pretraining: of the teacher that is trained. `teacher` is the one that a student learns from.
        detection: of a detector.
    """

    task: str = "student"
    data: DataConfig = field(default_factory=DataConfig)
    teacher: TeacherSource = field(default_factory=TeacherSource)
    student: StudentSource = field(default_factory=StudentSource)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    pretraining: TeacherConfig = field(default_factory=TeacherConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"task is {self.task!r}; one of {', '.join(TASKS)} was expected")
        if self.data.stream:
            self._check_stream()
        if self.data.labelled < 1 and self.task != "student":
            raise ConfigError(
                f"data.labelled is {self.data.labelled} and task is {self.task!r}; only a student learns from images "
                "without labels; data.fraction uses fewer images"
            )
        if self.data.labelled < 1 and self.objective.naming > 0 and self.teacher.maps != "seen":
            raise ConfigError(
                f"data.labelled is {self.data.labelled} and teacher.maps is {self.teacher.maps!r}: an image without a "
                "label has no words then, and its queries would learn that nothing is there; set teacher.maps to "
                "'seen', or objective.naming to 0"
            )
        if self.loop.parallel == "fsdp" and self.student.feedback:
            raise ConfigError(
                "loop.parallel is 'fsdp' and student.feedback is true: its gate is a single number, which FSDP cannot "
                "share out; use 'ddp'"
            )
        if self.task == "student" and not self.student.queries:
            for name in ("interaction", "relation", "naming"):
                weight = getattr(self.objective, name)
                if weight > 0:
                    raise ConfigError(
                        f"objective.{name} is {weight} and student.queries is 0; only Interaction Queries learn it: "
                        "set student.queries, or the weight to 0"
                    )

    @property
    def asked(self) -> tuple[str, ...]:
        """What the teacher is asked for: `objective.fields`, or the logits by which it chooses words to be named."""
        if self.teacher.maps == "seen" and self.objective.targets:
            return self.objective.fields or ("logits",)
        return self.objective.fields

    def _check_stream(self) -> None:
        if self.task != "student":
            raise ConfigError(
                f"data.stream is true and task is {self.task!r}; only a student can be trained from a stream"
            )
        if self.teacher.cache:
            raise ConfigError(
                f"data.stream is true and teacher.cache is {self.teacher.cache!r}: a cache needs images that are known "
                "beforehand; leave it out and set teacher.online = true"
            )
        if self.objective.fields and not self.teacher.online:
            raise ConfigError(
                "data.stream is true and teacher.online is not: with a stream the teacher is asked view by view, for "
                f"{', '.join(self.objective.fields)}"
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
