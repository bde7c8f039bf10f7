"""Choosing what a trio shows, on validation scenes, and measuring it on test scenes: the figures of its cards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation import choosing
from evaluation.pointing import Localisation, localise
from lfi.answerers import TeacherAnswerer, line_up
from lfi.comparison import MODELS
from lfi.data.scenes import SceneBatch, Scenes
from lfi.students import Student
from lfi.teachers import CoCaTeacher, load_teacher
from lfi.teachers.base import BaseTeacher
from lfi.training.default import save_scenes_teacher, train_students, train_teacher, write_default_trio
from lfi.training.run import validate

KINDS = ("shape", "colour", "colour and shape")
VALIDATION_SEED, TEST_SEED = 21, 22


def train_default(
    folder: Path, runs: Path, device: str = "cpu", resume: bool = True, measured: int = 500
) -> dict[str, Any]:
    """Train the default trio, choose layers and explanation, measure, and write `folder`.

    Returns:
        The figures per model.
    """
    choice, test = Scenes(measured // 2, VALIDATION_SEED).load(), Scenes(measured, TEST_SEED).load()
    trained = train_teacher(runs, device, resume)
    save_scenes_teacher(trained, folder / "teacher", tuple(range(len(load_teacher(trained).layers))))
    teacher = _teacher(folder)
    layer = localise(TeacherAnswerer(teacher), choice, KINDS).best_layer()
    save_scenes_teacher(trained, folder / "teacher", (layer,))
    teacher = _teacher(folder)
    students = train_students(runs, folder / "teacher", device, resume)

    explanation, default_layer = choose(teacher, students, choice)
    answerers = line_up(teacher, students["lfi"], students["baseline"], explanation)
    figures = {
        part: _figures(localise(answerers[part], test, KINDS), default_layer[part], students.get(part), test)
        for part in MODELS
    }
    models = {"teacher": teacher.model, **students}
    write_default_trio(folder, models, students, explanation, default_layer, figures)
    return figures


def choose(
    teacher: BaseTeacher, students: dict[str, Student], scenes: SceneBatch, phrases: Sequence[str] = ()
) -> tuple[str, dict[str, int]]:
    """The baseline's explanation with the most hits, and of everything that a trio can show the layer with the most.

    Args:
        phrases: as the trio has them.
    """
    found = choosing.choose(teacher, students, lambda answerer: localise(answerer, scenes, KINDS).hits.mean(1), phrases)
    return found.explanation, found.layers


def _teacher(folder: Path) -> CoCaTeacher:
    teacher = load_teacher(folder / "teacher")
    assert isinstance(teacher, CoCaTeacher)
    return teacher


def _figures(found: Localisation, layer: int, student: Student | None, test: SceneBatch) -> dict[str, Any]:
    """What a card says: measured on scenes that nothing was chosen on."""
    figures: dict[str, Any] = {
        "test scenes": len(test),
        "map peaks in the named object": round(float(found.hits[layer].mean()), 3),
        "share of the map in the named object": round(float(found.energy[layer].mean()), 3),
        "chance (area of the object)": round(float(found.area.mean()), 3),
    }
    if student is not None:
        figures["mAP of 80 classes, %"] = round(validate(student, test.image_set("test"))["mAP"], 1)
    return figures
