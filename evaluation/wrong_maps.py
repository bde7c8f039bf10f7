"""Right maps, wrong maps and none side by side: students of `lfi benchmark transfer`, asked about sample photographs.

python -m evaluation.wrong_maps RUNS/photographs docs/wrong-maps.webp
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageOps

from evaluation.transfer_pointing import answerers_of
from lfi.answerers import Answerer, TeacherAnswerer, ask
from lfi.errors import DataError
from lfi.methods import HEAD_ALONE, SHUFFLED, UNSHUFFLED
from lfi.rendering.figures import Paper
from lfi.rendering.grid import GridRow, grid_figure
from lfi.shipped import STATIC
from lfi.students import Student
from lfi.teachers import load_teacher
from lfi.teachers.names import NameTokenizer

ASKED = (("cat", "coffee", "tabby"), ("cat", "coffee", "espresso"), ("rocket", "cat", "tabby"), ("cat", "", "tabby"))
"""Samples: the left and the right half of a picture (a whole one, if one is named) and the word."""
TITLES = {
    "teacher": "Teacher",
    "right": "LFI: the teacher's maps",
    "wrong": "The same with another image's maps",
    "none": "The same head, no maps",
}
STUDENTS = {"right": UNSHUFFLED, "wrong": SHUFFLED, "none": HEAD_ALONE}
SIDE = 448


def picture(left: str, right: str) -> Image.Image:
    """A sample, or the middles of two side by side."""
    found = [Image.open(STATIC / "samples" / f"{name}.jpg").convert("RGB") for name in (left, right) if name]
    width = SIDE // len(found)
    sheet = Image.new("RGB", (SIDE, SIDE))
    for place, each in enumerate(found):
        sheet.paste(ImageOps.fit(each, (width, SIDE)), (place * width, 0))
    return sheet


def rows(models: Mapping[str, Answerer]) -> list[GridRow]:
    """Each picture with its word as every model shows it, in its last layer."""
    pictures, words = [picture(left, right) for left, right, _ in ASKED], [(word,) for *_, word in ASKED]
    asked = {name: ask(model, pictures, words) for name, model in models.items()}
    maps = {name: [each.weights[0, -1, 0].numpy() for each in found] for name, found in asked.items()}
    return [
        GridRow(image, " and ".join(filter(None, (left, right))), word, {name: maps[name][row] for name in models}, {})
        for row, (image, (left, right, word)) in enumerate(zip(pictures, ASKED, strict=True))
    ]


def draw(runs: Path, path: Path, part: str = "TinyImageNet 10% of labels", seed: int = 0) -> None:
    """The figure, of students in `runs`, a folder of one scale, in the format that the path's ending names.

    Raises:
        DataError: a student is missing.
    """
    from evaluation.transfer import name_of

    teacher = load_teacher("photographs")
    assert isinstance(teacher.tokenizer, NameTokenizer)
    models: dict[str, Answerer] = {"teacher": TeacherAnswerer(teacher)}
    for name, method in STUDENTS.items():
        file = runs / f"{name_of(part, method, seed)}.safetensors"
        if not file.is_file():
            raise DataError(f"{file} is missing; `lfi benchmark transfer` with --method {method!r} trains it")
        student = Student.load(file)
        (models[name],) = answerers_of(student, teacher, teacher.tokenizer.names.names)
    drawn = grid_figure(rows(models), "png", paper=Paper(17.5, 7), titles=TITLES, contour=True)
    Image.open(BytesIO(drawn)).convert("RGB").save(path, quality=85)


def main(
    runs: Annotated[Path, typer.Argument(help="Folder of one scale of `lfi benchmark transfer --runs`.")],
    figure: Annotated[Path, typer.Argument(help="Where the figure goes; its ending names the format.")],
) -> None:
    """Right maps, wrong maps and none side by side, in sample photographs."""
    try:
        draw(runs, figure)
    except DataError as error:
        raise typer.BadParameter(str(error)) from None


if __name__ == "__main__":
    typer.run(main)
