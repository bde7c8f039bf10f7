"""`lfi benchmark detection`: does a backbone that learned from interactions detect and segment better?

On generated scenes, or on COCO itself (`--coco`), where students learn which classes an image shows. Every method
trains the same backbone on the same labelled images (as `lfi evaluate scenes` does); then the same Mask R-CNN is
trained on each, on other scenes in COCO's format: once with the backbone fine-tuned, once with it frozen. The recipe
is one for all; its sizes were chosen on validation scenes, and the test scenes were looked at once, with the last
weights. Each finished run is a record; an interrupted benchmark resumes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

from tqdm import tqdm

from evaluation.detection import average_precision
from evaluation.runs import check_known, check_recipe, in_processes, keep
from lfi.data.coco_writer import IMAGES, INSTANCES, write_coco
from lfi.data.instances import read_truth
from lfi.data.scenes import Scenes
from lfi.methods import METHODS, sections
from lfi.teachers import load_teacher
from lfi.training.config import DataConfig, LoopConfig, TeacherSource, TrainConfig
from lfi.training.detection import train_detector
from lfi.training.detection_config import DetectionConfig
from lfi.training.distil.measure import fields_for
from lfi.training.distil.request import named
from lfi.training.run import Prepared, prepare, train_student, validate

BOTH = "LFI + logit + feature KD"
FIELDS = ("maps", "logits", "latents")
COMPARED = ("no distillation", "logit KD", "feature KD", "logit + feature KD", "shuffled maps", "LFI", BOTH)
WAYS = ("fine-tuned", "frozen")
TRAIN_SEED, VALIDATION_SEED, TEST_SEED = 40, 41, 42
"""Of the scenes that detectors see; those that students see have the seeds of `DataConfig`."""


@dataclass(frozen=True)
class DetectionScale:
    """How large the benchmark is.

    Attributes:
        labelled, epochs: scenes that students learn from, and how often.
        by: what the detectors' categories are; see `lfi.data.coco_writer.CATEGORIES`.
        train, test, passes: scenes that detectors learn from and are measured on, and how often they see the former.
        detection: the detector's sizes.
        side, share: of COCO's images: what detectors see of them in pixels, and the share of the training images.
    """

    labelled: int
    epochs: int
    by: str
    train: int
    test: int
    passes: int
    detection: DetectionConfig
    side: int
    share: float


_SMALL = DetectionConfig(layer_decay=0.8, width=32, regions=16, proposals=100, most=20)
_LARGE = DetectionConfig(layer_decay=0.8, width=256, most=20)
SCALES = {
    "tiny": DetectionScale(64, 1, "colour", 16, 8, 1, replace(_SMALL, width=8, proposals=20), 64, 1.0),
    "small": DetectionScale(2000, 10, "colour", 1000, 300, 3, _SMALL, 128, 0.02),
    "full": DetectionScale(2000, 20, "name", 5000, 1000, 24, _LARGE, 512, 1.0),
}


@dataclass(frozen=True)
class DetectionSetup:
    """Where things are, and how large they are to be.

    Attributes:
        teacher: a folder, one that comes with LFI, or open_clip's NAME:TAG.
        coco: folder of COCO 2017 in its stock layout (`train2017/`, `val2017/`, `annotations/`), whose classes the
            teacher must know; generated scenes without it.
    """

    scale: str
    teacher: str
    runs: str
    device: str = "cpu"
    coco: str = ""

    @property
    def at(self) -> DetectionScale:
        return SCALES[self.scale]

    @property
    def folder(self) -> Path:
        name = f"-{Path(self.coco).resolve().name}-{crc32(str(Path(self.coco).resolve()).encode()):08x}"
        return Path(self.runs) / (self.scale + (name if self.coco else ""))

    @property
    def fields(self) -> tuple[str, ...]:
        """What the teacher is asked for."""
        return _asked_of(self.teacher) if self.coco else FIELDS

    @property
    def known(self) -> tuple[str, ...]:
        """Methods that a backbone can be trained by."""
        fields = set(self.fields)
        return tuple(name for name, method in METHODS.items() if set(method.objective.fields) <= fields)

    @property
    def side(self) -> int:
        """Of what detectors see, in pixels."""
        return self.at.side if self.coco else DataConfig().size

    def images(self, part: str) -> tuple[Path, Path]:
        """Folder of images and file of instances of `train` or `test`; scenes are written if they are not there yet."""
        if self.coco:
            year = {"train": "train2017", "test": "val2017"}[part]
            return Path(self.coco) / year, Path(self.coco) / "annotations" / f"instances_{year}.json"
        count, seed = {"train": (self.at.train, TRAIN_SEED), "test": (self.at.test, TEST_SEED)}[part]
        folder = self.folder / f"{part}-{count}-by-{self.at.by}"
        if not (folder / INSTANCES).exists():
            write_coco(Scenes(count, seed), folder, self.at.by)
        return folder / IMAGES, folder / INSTANCES


@dataclass(frozen=True)
class DetectionRun:
    """One trained detector.

    Attributes:
        scores: `box mAP` and `mask AP` on test images, in percent.
        classification: of the student that its backbone is from, in % mAP on validation images.
        recipe: what decides how both were trained (`recipe_of`).
    """

    method: str
    seed: int
    way: str
    scale: str
    scores: dict[str, float]
    classification: float
    recipe: dict[str, Any] = field(default_factory=dict)


def detection(
    setup: DetectionSetup, seeds: Sequence[int], methods: Sequence[str], ways: Sequence[str], workers: int
) -> list[DetectionRun]:
    """Train what is missing, `workers` backbones at a time, and return every run asked for.

    Raises:
        ConfigError: for an unknown scale, method or way, or a record that was made otherwise than it would be now.
    """
    check_known("scale", [setup.scale], SCALES)
    check_known("method", methods, setup.known)
    check_known("way", ways, WAYS)
    wanted = [(method, seed, way) for seed in seeds for method in methods for way in ways]
    missing: dict[tuple[str, int], list[str]] = {}
    for method, seed, way in wanted:
        record = record_of(setup, method, seed, way)
        check_kept(student_of(setup, method, seed), students_recipe(setup, method))
        check_kept(record, recipe_of(setup, method))
        if not record.exists():
            missing.setdefault((method, seed), []).append(way)
    if missing:
        setup.images("train"), setup.images("test")
        prepared(setup)  # the teacher is asked once, here
        prepared.cache_clear()
        jobs = [(setup, *run, todo) for run, todo in missing.items()]
        for done in in_processes(run_backbone, jobs, workers, "detection", "backbone"):
            for run in done:
                scores = ", ".join(f"{name} {score:.1f}" for name, score in run.scores.items())
                tqdm.write(f"{run.method}, seed {run.seed}, {run.way}: {scores}")
    return [DetectionRun(**json.loads(record_of(setup, *run).read_text())) for run in wanted]


def check_kept(path: Path, now: Mapping[str, Any]) -> None:
    """Refuse a record, if there is one, that another recipe made; see `check_recipe`."""
    if path.exists():
        check_recipe(path, json.loads(path.read_text()).get("recipe", {}), now)


def record_of(setup: DetectionSetup, method: str, seed: int, way: str) -> Path:
    """Where a run's record is kept."""
    return setup.folder / "records" / f"{file_name(method)}-{seed}-{way}.json"


def file_name(method: str) -> str:
    return method.replace(" ", "_").replace("+", "and").replace(",", "")


def run_backbone(setup: DetectionSetup, method: str, seed: int, ways: Sequence[str]) -> list[DetectionRun]:
    """Train a student unless it is there, detectors on it, measure them and keep the records."""
    classification, folder = backbone(setup, method, seed), student_of(setup, method, seed).parent
    done = []
    for way in ways:
        images, annotations = setup.images("train")
        config = TrainConfig(
            task="detection",
            data=DataConfig(
                source="coco",
                root=str(images),
                annotations=str(annotations),
                size=setup.side,
                fraction=setup.at.share if setup.coco else 1.0,
            ),
            detection=replace(setup.at.detection, backbone=str(folder), frozen=way == "frozen"),
            loop=detectors_loop(setup, seed),
        )
        detector, card, _ = train_detector(config, device=setup.device, title=f"{method}, seed {seed}, {way}")
        shown, truth = setup.images("test")
        scores = average_precision(detector.to(setup.device), shown, read_truth(truth, shown), card.categories)
        run = DetectionRun(method, seed, way, setup.scale, scores, classification, recipe_of(setup, method))
        keep(record_of(setup, method, seed, way), asdict(run))
        done.append(run)
    return done


def backbone(setup: DetectionSetup, method: str, seed: int) -> float:
    """The validation mAP, in percent, of the student of a method, which is trained if it is not there."""
    record = student_of(setup, method, seed)
    if not record.exists():
        ready = prepared(setup)
        config = replace(
            ready.config,
            student=METHODS[method].student(ready.config.student),
            objective=METHODS[method].objective,
            loop=replace(ready.config.loop, seed=seed),
        )
        student, _ = train_student(
            replace(ready, config=config), device=setup.device, title=f"{method}, seed {seed}, student"
        )
        student.save(record.with_suffix(".safetensors"))
        keep(record, {"mAP": validate(student, ready.validation)["mAP"], "recipe": students_recipe(setup, method)})
    return float(json.loads(record.read_text())["mAP"])


def student_of(setup: DetectionSetup, method: str, seed: int) -> Path:
    """Where the record of a student is kept, beside its weights."""
    return setup.folder / "students" / f"{file_name(method)}-{seed}" / "student.json"


def students_recipe(setup: DetectionSetup, method: str) -> dict[str, Any]:
    """What decides how a student is trained."""
    return {
        "teacher": _label_of(setup.teacher),
        **sections(asdict(METHODS[method])),
        "data": {"labelled": setup.at.labelled, "share": setup.at.share if setup.coco else 1.0},
        "students": asdict(students_loop(setup, 0)),
    }


def recipe_of(setup: DetectionSetup, method: str) -> dict[str, Any]:
    """What decides how a student and its detectors are trained."""
    own = {"scale": asdict(setup.at), "detectors": asdict(detectors_loop(setup, 0))}
    return students_recipe(setup, method) | own


@lru_cache(maxsize=1)
def _label_of(teacher: str) -> str:
    return load_teacher(*named(teacher)).label


@lru_cache(maxsize=1)
def _asked_of(teacher: str) -> tuple[str, ...]:
    return fields_for(load_teacher(*named(teacher)), multilabel=True)


@lru_cache(maxsize=1)
def prepared(setup: DetectionSetup) -> Prepared:
    """Labelled images and what the teacher says of them."""
    data = DataConfig(count=setup.at.labelled, validation=setup.at.labelled // 2)
    if setup.coco:
        (root, annotations), (other, truth) = setup.images("train"), setup.images("test")
        data = DataConfig(
            source="coco",
            root=str(root),
            annotations=str(annotations),
            validation_root=str(other),
            validation_annotations=str(truth),
            fraction=setup.at.share,
            crop=0.6,
        )
    model, tag = named(setup.teacher)
    config = TrainConfig(
        data=data,
        teacher=TeacherSource(model=model, pretrained=tag or "", cache=str(setup.folder / "cache")),
        loop=students_loop(setup, 0),
    )
    return prepare(config, setup.device, setup.fields)


def students_loop(setup: DetectionSetup, seed: int) -> LoopConfig:
    return LoopConfig(epochs=setup.at.epochs, batch_size=32, seed=seed, evaluations=0, tensorboard=False)


def detectors_loop(setup: DetectionSetup, seed: int) -> LoopConfig:
    return LoopConfig(
        epochs=setup.at.passes, batch_size=8, learning_rate=2e-3, seed=seed, evaluations=0, tensorboard=False
    )
