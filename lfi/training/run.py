"""One training run from a configuration: data, teacher's answers, task, loop, folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from timm.layers import set_fused_attn

from lfi.accuracy import among_best
from lfi.data.imageset import ImageSet
from lfi.data.prompts import article_varies
from lfi.errors import ConfigError, DataError
from lfi.images import normalise
from lfi.students import Student
from lfi.teachers import BaseTeacher, GenerativeTeacher, load_teacher
from lfi.training import cache
from lfi.training.config import TrainConfig
from lfi.training.distributed import connect, main_first
from lfi.training.feeding import Data
from lfi.training.loop import train
from lfi.training.provenance import write_provenance
from lfi.training.sources import image_sets
from lfi.training.streaming import StreamViews
from lfi.training.student import StudentTask, TargetSpec
from lfi.training.targets import Answers, Questions, blocks_of
from lfi.training.views import TargetViews, check_questions, resized
from lfi.training.written import with_own_captions


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that runs with the same data and teacher share.

    `answers` is None where the teacher is asked online or not at all; `images` of a stream are those that validate it.
    """

    config: TrainConfig
    teacher: BaseTeacher
    images: ImageSet
    validation: ImageSet
    questions: Questions
    answers: Answers | None


def prepare(
    config: TrainConfig,
    device: str = "cpu",
    fields: Sequence[str] | None = None,
    sets: tuple[ImageSet, ImageSet] | None = None,
) -> Prepared:
    """Read the data, load the teacher and ask it about every training image, or find what it said in its cache.

    Args:
        fields: what to ask for, as in `Questions`; what the configuration's objectives need without it.
        sets: training and validation images, where the caller has them already.

    Raises:
        ConfigError, DataError, UnknownModelError, UnsupportedModelError, CheckpointError: each says what is wrong.
    """
    processes = connect(device)  # before anything is loaded: `cuda` is another GPU in every process
    teacher = load_teacher(config.teacher.model, config.teacher.pretrained or None, device=processes.device)
    writes = (partial(with_own_captions, teacher, config.teacher),) if isinstance(teacher, GenerativeTeacher) else ()
    images, validation = sets or main_first(lambda: image_sets(config.data, *writes), processes)
    wanted = tuple(fields or config.asked)
    questions = Questions(teacher, config.teacher, images, wanted)
    check_questions(questions, config.objective.targets)
    answers: Answers | None = None
    if config.teacher.online:
        if config.objective.shuffle:
            raise ConfigError("objective.shuffle needs the maps of other images; it cannot be used with teacher.online")
    elif config.teacher.cache and questions.wanted:
        answers = cached_answers(questions, Path(config.teacher.cache), device)
    elif not config.data.stream and (wanted or config.objective.targets):
        answers = questions.all()
    return Prepared(config, teacher, images, validation, questions, answers)


def cached_answers(questions: Questions, folder: Path, device: str = "cpu") -> Answers:
    """The store in `folder`, completed first if it lacks anything (by process 0 alone)."""
    settings = cache_settings(questions)
    processes = connect(device)
    store: cache.Store | None = None
    if processes.main:
        try:
            store = cache.open_store(folder, questions.images, settings)
        except DataError:  # not there, not finished, or damaged
            cache.build(
                folder,
                questions.images,
                settings,
                lambda rows: {name: value.numpy() for name, value in questions.ask(rows).items()},
            )
    processes.wait()
    return store if store else cache.open_store(folder, questions.images, settings, verify=processes.main)


def cache_settings(questions: Questions) -> cache.Settings:
    """What a cache must have been made with to answer these questions."""
    teacher, source = questions.teacher, questions.source
    wants_tower = bool({"activations", "attentions"} & set(questions.wanted))
    mean, std = (", ".join(f"{value:.4f}" for value in part.flatten().tolist()) for part in (teacher.mean, teacher.std))
    return cache.Settings(
        teacher=teacher.label,
        maps=f"seen, at least {source.sure}" if source.maps == "seen" else source.maps,
        layers=source.layers,
        tower_layers=questions.tower_layers if wants_tower else (),
        prompt=source.prompt + (", an before vowels" if article_varies(source.prompt) else ""),  # once it was not
        classes=questions.images.classes,
        vocabulary=questions.vocabulary,
        preprocessing=f"{questions.images.images.shape[1]} px squashed to {teacher.image_size}, mean {mean}, std {std}",
        fields=questions.wanted,
        precision=source.precision,
    )


def target_spec(prepared: Prepared) -> TargetSpec:
    """What the student's task must know."""
    questions, images = prepared.questions, prepared.images
    depth = len(blocks_of(prepared.teacher))
    return TargetSpec(
        classes=len(images.classes),
        multilabel=images.multilabel,
        bank=questions.bank,
        layers=len(prepared.config.teacher.layers),
        tower=tuple((layer + 1) / depth for layer in questions.tower_layers),
    )


def train_student(
    prepared: Prepared,
    folder: Path | None = None,
    *,
    resume: bool = False,
    device: str = "cpu",
    title: str = "student",
    watch: Callable[[int, dict[str, float]], None] | None = None,
) -> tuple[Student, list[dict[str, float]]]:
    """Train one student. In `folder`: the resolved configuration, the environment, metrics, checkpoints, the student.

    Args:
        watch: called after every evaluation with the step and the figures of `validate`; what it raises ends the run.

    Returns:
        The student in eval mode and the records of the loop; validation records hold the figures of `validate`.
    """
    config, teacher = prepared.config, prepared.teacher
    processes = connect(device)
    if processes.device.type == "cpu":
        set_fused_attn(False)  # written-out attention trains three times as fast on a CPU in bfloat16
    torch.manual_seed(config.loop.seed)
    task = StudentTask(config.student, config.objective, target_spec(prepared))
    student, device_of = task.student, processes.device
    data: Data
    if config.data.stream:
        data = StreamViews(prepared.questions, config, student.grid, device_of, student.image_size)
    else:
        images, questions, answers = prepared.images, prepared.questions, prepared.answers
        data = TargetViews(images, questions, answers, config, student.grid, device_of, student.image_size)
    if folder:
        write_provenance(folder, config, resume, processes.main, teacher=teacher.label)

    def evaluate(step: int) -> dict[str, float]:
        found = validate(task.student, prepared.validation)
        if watch:
            watch(step, found)
        return found

    records = train(
        task,
        data,
        config.loop,
        folder,
        resume=resume,
        device=device,
        evaluate=evaluate,
        title=title,
    )
    student = task.student.cpu().eval()
    if folder and processes.main:
        student.save(folder / "student.safetensors")
    return student, records


@torch.inference_mode()
def validate(student: Student, images: ImageSet, batch: int = 250) -> dict[str, float]:
    """In percent: `top-1` and `top-5`; `mAP` over the classes that occur, where images have several labels."""
    device = next(student.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(images.images))
    parts = (normalise(pixels[start : start + batch].to(device)) for start in range(0, len(pixels), batch))
    logits = torch.cat([student(resized(part, student.image_size)).logits.float().cpu() for part in parts])
    if images.multilabel:
        scores = logits.numpy()
        present = np.flatnonzero(images.labels.any(0))
        precisions = [average_precision_score(images.labels[:, c], scores[:, c]) for c in present]
        return {"mAP": 100 * float(np.mean(precisions))}
    labels = torch.from_numpy(images.labels)
    return {f"top-{k}": 100 * float(among_best(logits, labels, k).float().mean()) for k in (1, 5)}
