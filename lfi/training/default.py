"""The default trio, by one command: the teacher, the LFI student and the best result-oriented baseline.

Each stage keeps its checkpoints in the runs folder and goes on from them; what is finished is not done again.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lfi.data.objects import COLOURS, SIZES, TEXTURES
from lfi.data.scenes import CLASSES, Scenes
from lfi.data.shapes import SHAPES
from lfi.images import MEAN, STD
from lfi.students import Student
from lfi.teachers import save_teacher
from lfi.training import checkpoints
from lfi.training.cards import ABOUT, losses_of, parameters_of, trio_card
from lfi.training.config import (
    DataConfig,
    LoopConfig,
    ObjectiveConfig,
    StudentSource,
    TeacherSource,
    TrainConfig,
)
from lfi.training.loop import train
from lfi.training.run import prepare, train_student
from lfi.training.teacher import VOCABULARY, SceneSentences, TeacherConfig, TeacherTask
from lfi.training.trio import write_trio

TEACHER_SCENES, TEACHER_SEED = 50_000, 1
TEACHER_LOOP = LoopConfig(
    epochs=8, batch_size=128, learning_rate=1.5e-3, log_every=20, checkpoint_every=100, evaluations=0
)
STUDENT_DATA = DataConfig(count=8000, seed=20, validation=1000, validation_seed=21)
STUDENT_LOOP = LoopConfig(epochs=25, batch_size=64)
LFI = ObjectiveConfig(interaction=0.03, relation=0.03, naming=0.15)
BASELINE = ObjectiveConfig(logit_kd=1.0, feature_kd=0.1)
TYPED = (*(word for word in (*SIZES, *TEXTURES) if word), *COLOURS, *SHAPES)
"""Words that people can usefully type; the rest of the vocabulary only joins them."""


def train_teacher(runs: Path, device: str = "cpu", resume: bool = True) -> TeacherTask:
    """Train the scenes teacher; checkpoints and metrics go to `runs/teacher`."""
    torch.manual_seed(TEACHER_LOOP.seed)
    config = TeacherConfig()
    task = TeacherTask(config)
    path = runs / "teacher" / "checkpoint.safetensors"
    if resume and path.exists():
        tensors, meta, _ = checkpoints.load_latest(path)
        if meta["step"] == TEACHER_LOOP.epochs * (TEACHER_SCENES // TEACHER_LOOP.batch_size):
            checkpoints.unpack_weights(tensors, task)
            return task.eval()
    scenes = Scenes(TEACHER_SCENES, TEACHER_SEED).load(masks=False, processes=os.cpu_count() or 1)
    data = SceneSentences(scenes, TEACHER_LOOP.batch_size, TEACHER_LOOP.seed, config.statements)
    train(task, data, TEACHER_LOOP, runs / "teacher", resume=resume, device=device, title="teacher")
    return task.cpu().eval()


def save_scenes_teacher(task: TeacherTask, folder: Path, default_layers: tuple[int, ...]) -> None:
    """Write the teacher as open_clip reads it."""
    save_teacher(
        folder,
        task.model,
        task.config.model_config(),
        mean=[MEAN] * 3,
        std=[STD] * 3,
        dtype=torch.float16,
        card={"name": "scenes CoCa", "vocabulary": list(VOCABULARY), "default_layers": list(default_layers)},
    )


def train_students(runs: Path, teacher: Path, device: str = "cpu", resume: bool = True) -> dict[str, Student]:
    """The LFI student and the baseline: the same scenes, steps, seed and backbone, other losses."""
    config = TrainConfig(data=STUDENT_DATA, teacher=TeacherSource(model=str(teacher)), loop=STUDENT_LOOP)
    prepared, students = None, {}
    for part, queries, objective in (("lfi", 8, LFI), ("baseline", 0, BASELINE)):
        finished = runs / part / "student.safetensors"
        if resume and finished.exists():
            students[part] = Student.load(finished)
            continue
        prepared = prepared or prepare(config, device, fields=("maps", "logits", "latents"))
        own = replace(config, objective=objective, student=replace(StudentSource(), queries=queries))
        student, _ = train_student(replace(prepared, config=own), runs / part, resume=resume, device=device, title=part)
        students[part] = student
    return students


def write_default_trio(
    folder: Path,
    models: dict[str, nn.Module],
    students: dict[str, Student],
    explanation: str,
    default_layer: dict[str, int],
    figures: dict[str, Any],
) -> None:
    """Students and the card beside the teacher that is already in `folder/teacher`.

    Args:
        models: all three, to be counted.
        figures: per model what was measured, as the card shows it.
    """
    images = "64 px images of 2-4 coloured shapes, drawn by lfi/data/scenes.py in four styles"
    limits = (
        "These models have seen nothing but drawings of ten shapes in eight colours. On a photograph their maps show "
        "which patches resemble those colours and shapes; they know no dogs, people or grass."
    )
    common = {"limits": [limits], "licence": "Apache-2.0"}
    trained = {
        "data": f"{STUDENT_DATA.count:,} scenes (seed {STUDENT_DATA.seed}): {images}",
        "steps": STUDENT_DATA.count // STUDENT_LOOP.batch_size * STUDENT_LOOP.epochs,
        "seed": STUDENT_LOOP.seed,
    }
    own = {
        "teacher": {
            "summary": "A small CoCa: the words of its decoder attend to the patches of a vision transformer.",
            "data": f"{TEACHER_SCENES:,} scenes (seed {TEACHER_SEED}) with captions and presence statements: {images}",
            "steps": TEACHER_SCENES // TEACHER_LOOP.batch_size * TEACHER_LOOP.epochs,
            "seed": TEACHER_LOOP.seed,
        },
        "lfi": {
            "summary": "A plain vision transformer with 8 Interaction Queries, taught where the teacher's words look.",
            **trained,
            "losses": losses_of(LFI),
        },
        "baseline": {
            "summary": "The same vision transformer, taught the teacher's answers and image embeddings only.",
            **trained,
            "losses": losses_of(BASELINE),
            "explanation": explanation,
        },
    }
    cards = {
        part: {**ABOUT[part], **card, **common, "figures": figures[part], "parameters": parameters_of(models[part])}
        for part, card in own.items()
    }
    summary = "Coloured shapes, drawn in four styles"
    write_trio(folder, students, trio_card(folder.name, summary, explanation, default_layer, TYPED, CLASSES, cards))
