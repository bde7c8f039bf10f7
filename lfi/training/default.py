"""The default trio, by one command: the teacher, the LFI student and the best result-oriented baseline.

Each stage keeps its checkpoints in the runs folder and goes on from them; what is finished is not done again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lfi.data.objects import COLOURS, SIZES, TEXTURES
from lfi.data.scenes import CLASSES
from lfi.data.shapes import SHAPES
from lfi.images import MEAN, STD
from lfi.methods import METHODS
from lfi.shipped import RECIPES
from lfi.students import Student
from lfi.teachers import load_teacher, save_teacher
from lfi.teachers.loading import CONFIG
from lfi.training import checkpoints, pretraining
from lfi.training.cards import ABOUT, losses_of, parameters_of, read_object, trio_card
from lfi.training.config import DataConfig, LoopConfig, TeacherSource, TrainConfig
from lfi.training.config_file import load_config
from lfi.training.provenance import check_begun
from lfi.training.run import prepare, train_student
from lfi.training.trio import write_trio

STUDENT_DATA = DataConfig(count=8000, seed=20, validation=1000, validation_seed=21)
STUDENT_LOOP = LoopConfig(epochs=25, batch_size=64)
LFI, BASELINE = METHODS["LFI"], METHODS["logit + feature KD"]
TYPED = (*(word for word in (*SIZES, *TEXTURES) if word), *COLOURS, *SHAPES)
"""Words that people can usefully type; the rest of the vocabulary only joins them."""


def teacher_recipe() -> TrainConfig:
    """How the teacher is trained: as `lfi train` does with this recipe."""
    return load_config(RECIPES / "teacher-scenes.toml")


def train_teacher(runs: Path, device: str = "cpu", resume: bool = True) -> Path:
    """The folder of the scenes teacher, trained in `runs/teacher` unless it is finished there."""
    config, folder = teacher_recipe(), runs / "teacher"
    made, path = folder / "teacher", folder / "checkpoint.safetensors"
    if resume and (made / CONFIG).is_file() and checkpoints.exists(path):
        _, meta, _ = checkpoints.load_latest(path)
        if meta["step"] == _steps(config):
            return made
    pretraining.train_teacher(config, folder, resume=resume, device=device)
    return made


def save_scenes_teacher(trained: Path, folder: Path, default_layers: tuple[int, ...]) -> None:
    """Write a teacher with the layers that are shown, its weights rounded: half the size."""
    teacher, files = load_teacher(trained), read_object(trained / CONFIG)
    card = {**files["lfi"], "default_layers": list(default_layers)}
    mean, std = [MEAN] * 3, [STD] * 3
    save_teacher(folder, teacher.model, files["model_cfg"], mean=mean, std=std, dtype=torch.float16, card=card)


def _steps(config: TrainConfig) -> int:
    """Of a whole run on generated scenes."""
    return config.loop.epochs * (config.data.count // config.loop.batch_size)


def train_students(runs: Path, teacher: Path, device: str = "cpu", resume: bool = True) -> dict[str, Student]:
    """The LFI student and the baseline: the same scenes, steps, seed and backbone, other losses."""
    config = TrainConfig(data=STUDENT_DATA, teacher=TeacherSource(model=str(teacher)), loop=STUDENT_LOOP)
    prepared, students, label = None, {}, load_teacher(teacher).label
    for part, method in (("lfi", LFI), ("baseline", BASELINE)):
        finished = runs / part / "student.safetensors"
        own = replace(config, objective=method.objective, student=method.student(config.student))
        if resume and finished.exists():
            check_begun(runs / part, own, teacher=label)
            students[part] = Student.load(finished)
            continue
        prepared = prepared or prepare(config, device, fields=("maps", "logits", "latents"))
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
    """Students and the card next to the teacher that is already in `folder/teacher`.

    Args:
        models: all three, to be counted.
        figures: per model what was measured, as the card shows it.
    """
    images = "64 px images of 2-4 coloured shapes, drawn by lfi/data/scenes.py in four styles"
    limits = (
        "These models have seen nothing but drawings of ten shapes in eight colours. On a photograph their maps show "
        "which patches resemble those colours and shapes; they know no dogs, people or grass."
    )
    teacher = teacher_recipe()
    common = {"limits": [limits], "licence": "Apache-2.0"}
    trained = {
        "data": f"{STUDENT_DATA.count:,} scenes (seed {STUDENT_DATA.seed}): {images}",
        "steps": STUDENT_DATA.count // STUDENT_LOOP.batch_size * STUDENT_LOOP.epochs,
        "seed": STUDENT_LOOP.seed,
    }
    own = {
        "teacher": {
            "summary": "A small CoCa: the words of its decoder attend to the patches of a vision transformer.",
            "data": f"{teacher.data.count:,} scenes (seed {teacher.data.seed}) with captions and presence statements: "
            + images,
            "steps": _steps(teacher),
            "seed": teacher.loop.seed,
        },
        "lfi": {
            "summary": "A plain vision transformer with 8 Interaction Queries, taught where the teacher's words look.",
            **trained,
            "losses": losses_of(LFI.objective),
        },
        "baseline": {
            "summary": "The same vision transformer, taught the teacher's answers and image embeddings only.",
            **trained,
            "losses": losses_of(BASELINE.objective),
            "explanation": explanation,
        },
    }
    cards = {
        part: {**ABOUT[part], **card, **common, "figures": figures[part], "parameters": parameters_of(models[part])}
        for part, card in own.items()
    }
    summary = "Coloured shapes, drawn in four styles"
    write_trio(folder, students, trio_card(folder.name, summary, explanation, default_layer, TYPED, CLASSES, cards))
