"""The trio for photographs: trained, then chosen and calibrated on held-out images, and measured on others."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.choosing import choose, halves
from evaluation.photographs import found_words, hits, layer_peaks
from evaluation.presence import Statements, calibrate, evidence, measured, state
from lfi.answerers import Answerer, line_up
from lfi.comparison import MODELS
from lfi.data.canvases import Canvases, compose
from lfi.errors import DataError
from lfi.presence import Presence
from lfi.students import Student
from lfi.teachers import CoCaTeacher, load_teacher
from lfi.teachers.loading import CONFIG, NAMES, WEIGHTS
from lfi.teachers.names import Names, NameTokenizer
from lfi.training.cards import ABOUT, losses_of, parameters_of, trio_card
from lfi.training.distil.folder import clear
from lfi.training.photographs.bank import Part, Truth
from lfi.training.photographs.students import LOOP, methods, train_photo_student
from lfi.training.photographs.teacher import STEPS, USED, Sources, images, train_photo_teacher
from lfi.training.trio import write_trio

CHOICE, ALONE, SEED = 300, 400, 31
"""Canvases and single photographs, at most, of each half: layers and the explanation are chosen on one by the mean of
both rates, and what was chosen is measured on the other."""
EVERYDAY = (
    """
dog, cat, bird, fish, horse, person, car, truck, bus, bicycle, motorcycle, airplane, boat, ship, train,
house, building, church, bridge, chair, table, bed, lamp, clock, cup, bottle, plate, spoon, knife, keyboard,
computer, television, telephone, camera, umbrella, bag, backpack, shoe, hat, dress, shirt, jeans, sock,
sunglasses, guitar, piano, violin, drum, ball, fruit, apple, banana, orange, lemon, strawberry, pizza,
hamburger, sandwich, bread, mushroom, flower, daisy, animal, mammal, reptile, insect, butterfly, bee,
spider, snake, lizard, turtle, frog, duck, goose, chicken, eagle, owl, penguin, elephant, giraffe, lion,
tiger, bear, monkey, rabbit, squirrel, hamster, mouse, fox, wolf, cow, sheep, goat, pig, camel, zebra,
clothing, furniture, vehicle, tool, toy, food, vegetable, machine, weapon, musical instrument, sports
equipment, container, tower, castle, fountain, volcano, mountain, rocket, space shuttle, coffee, espresso,
coffee mug, goldfish, golden retriever, Egyptian cat, sports car, school bus, teddy, tabby, kite, submarine,
tractor, ambulance, sofa, desk, bathtub, refrigerator, stove, vase, candle, pillow, curtain
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""Nouns to suggest on the page; everything else that the models know can be typed as well."""


def train_photo_trio(sources: Sources, folder: Path, device: str = "cpu", resume: bool = True) -> dict[str, Any]:
    """Train whatever is missing, or with `resume` false everything anew, and write the trio to `folder`.

    Returns:
        The figures per model.

    Raises:
        ConfigError: what is there was made of other data.
        DataError, CheckpointError: each says what is missing.
    """
    if not resume:
        start_over(sources)
    made = sources.runs / "made" / "teacher"
    if not all((made / file).is_file() for file in (CONFIG, NAMES, WEIGHTS)):
        train_photo_teacher(sources, made, resume=resume, device=device)
    students = {part: train_photo_student(part, sources, made, resume=resume, device=device) for part in methods()}
    return assemble_trio(sources, made, students, folder)


def start_over(sources: Sources) -> None:
    """Take away what earlier calls made, where there are data to make it of again.

    Raises:
        DataError: there are none.
    """
    for data in (sources.tiny, sources.pacs, sources.samples):
        if not data.is_dir():
            raise DataError(f"cannot read {data} as a folder")
    answers = [path.name for path in sources.runs.glob("answers-*")]
    clear(sources.runs, ("bank", "features", "guides", "teacher", "made", *methods(), *answers))


def assemble_trio(sources: Sources, made: Path, students: dict[str, Student], folder: Path) -> dict[str, Any]:
    """Choose and calibrate on half of the held-out images, measure on the others, and write `folder`.

    Weights are in float16.
    """
    students = {part: student.half().float() for part, student in students.items()}
    teacher = load_teacher(made)
    assert isinstance(teacher, CoCaTeacher)
    assert isinstance(teacher.tokenizer, NameTokenizer)
    names = teacher.tokenizer.names
    parts = images(sources, names)
    choosing, measuring = sides(parts.pop("held-out"), names)

    chosen = choose(teacher, students, lambda answerer: rates(answerer, choosing).mean(0), everyday(names))
    explanation, layers = chosen.explanation, chosen.layers
    answerers = line_up(teacher, students["lfi"], students["baseline"], explanation, phrases=everyday(names))
    presence = calibrated(answerers, choosing, measuring, names)
    figures = {part: figures_of(answerers[part], layers[part], measuring, presence[part]) for part in MODELS}
    learned = sum(map(len, parts.values()))
    card = photo_card(folder.name, explanation, layers, names, teacher, students, figures, learned)
    card |= {"presence": {part: each.to_dict() for part, each in presence.items()}, "measured_apart": True}
    shutil.copytree(made, folder / "teacher", dirs_exist_ok=True)
    write_trio(folder, students, card, torch.float16)
    return figures


@dataclass(frozen=True, eq=False)
class Side:
    """Half of the held-out photographs.

    Attributes:
        canvases: of these photographs; words: what is asked of each.
        alone: those of small objects; named: what is asked of each.
    """

    photographs: Part
    canvases: Canvases
    words: list[tuple[str, ...]]
    alone: Part
    named: list[tuple[str, ...]]


def sides(held_out: Part, names: Names) -> tuple[Side, Side]:
    """Held-out photographs to choose on, and others to measure on."""
    first, second = (side_of(held_out.take(rows), names) for rows in halves(range(len(held_out)), SEED))
    return first, second


def side_of(photographs: Part, names: Names) -> Side:
    """What is asked of some photographs."""
    rng = np.random.default_rng(SEED)
    canvases = compose(photographs.images, rng.integers(len(photographs), size=(CHOICE, 4)), rng)
    own = photographs.labels[:, 0]
    words = [tuple(names.names[own[row]] for row in rows if row >= 0) for rows in canvases.rows]
    alone = small_objects(photographs)
    return Side(photographs, canvases, words, alone, [(names.names[label],) for label in alone.labels[:, 0]])


def small_objects(held_out: Part) -> Part:
    """Held-out photographs whose object takes less than half of the picture, so that its centre is no safe guess."""
    assert held_out.boxes is not None
    area = (held_out.boxes[:, 2:] - held_out.boxes[:, :2]).prod(1) / 64**2
    return held_out.take(np.flatnonzero(area < 0.5)[:ALONE])


def rates(answerer: Answerer[Any], side: Side) -> np.ndarray:
    """How often each layer's peak finds a word, on canvases and in boxes of objects, `[2, layer]`."""
    peaks = np.concatenate(layer_peaks(answerer, side.alone.images, side.named), 1)
    assert side.alone.boxes is not None
    in_boxes = [hits(layer, side.alone.boxes, 64).mean() for layer in peaks]
    return np.array([found_words(answerer, side.canvases, side.words).mean(1), in_boxes])


def figures_of(answerer: Answerer[Any], layer: int, side: Side, presence: Presence) -> dict[str, float]:
    """What a card says: measured on photographs that nothing was chosen or fitted on."""
    on_canvases, in_boxes = rates(answerer, side)[:, layer]
    return {
        "map peaks in the named photograph, held-out canvases": round(float(on_canvases), 3),
        "map peaks in the object, held-out images": round(float(in_boxes), 3),
        "presence, AUC": presence.auc,
    }


def calibrated(answerers: Mapping[str, Answerer[Any]], fitted: Side, tested: Side, names: Names) -> dict[str, Presence]:
    """The presence of each model, fitted on photographs and canvases of one side and measured on those of the other."""
    asked, others = (said_of(side, Truth(names)) for side in (fitted, tested))

    def found(part: str, sets: list[Statements]) -> list[np.ndarray]:
        return [evidence(answerers[part], each) for each in sets]

    return {part: measured(calibrate(found(part, asked), asked), found(part, others), others) for part in MODELS}


def said_of(side: Side, truth: Truth) -> list[Statements]:
    """Statements about photographs and about canvases."""
    labels, rows = side.photographs.labels, side.canvases.rows
    on_canvases = np.where(rows >= 0, labels[rows, 0], -1)
    return [
        state(side.photographs.images, labels, truth, SEED),
        state(side.canvases.images, on_canvases, truth, SEED),
    ]


def photo_card(
    name: str,
    explanation: str,
    layers: dict[str, int],
    names: Names,
    teacher: CoCaTeacher,
    students: dict[str, Student],
    figures: dict[str, Any],
    learned: int,
) -> dict[str, Any]:
    """What people are told about the three models; the students learned from `learned` images."""
    seen = (
        f"TinyImageNet ({USED['tiny']:,} images of 64 px), half of PACS at 112 px, three views each of 1,000 ImageNet "
        f"samples, {USED['canvases']:,} canvases and {USED['pasted']:,} pasted images made of them"
    )
    limits = [
        "They know ImageNet's classes, what is above them in WordNet, and person, giraffe, house and horse; of many "
        "classes they saw a single photograph, apart from what the frozen tower was trained on.",
        "The students read 64 pixels: small things are lost to them, and they often confuse breeds and kinds.",
    ]
    of_students = {
        "data": seen,
        "steps": LOOP.epochs * (learned // LOOP.batch_size),
        "seed": LOOP.seed,
    }
    own: dict[str, dict[str, Any]] = {
        "teacher": {
            "kind": "CoCa, locked image tower",
            "summary": "EfficientNet-Lite2, trained on ImageNet and frozen; the words of a small decoder attend to its "
            "features and were trained to point.",
            "data": seen,
            "steps": STEPS,
            "seed": 0,
        },
        "lfi": {**of_students, "losses": losses_of(methods()["lfi"].objective)},
        "baseline": {**of_students, "losses": losses_of(methods()["baseline"].objective), "explanation": explanation},
    }
    models = {"teacher": teacher.model, **students}
    cards = {
        part: {
            **ABOUT[part],
            **card,
            "limits": limits,
            "licence": "Apache-2.0",
            "figures": figures[part],
            "parameters": parameters_of(models[part]),
        }
        for part, card in own.items()
    }
    offered = everyday(names)
    summary = "Photographs: ImageNet's classes and what is above them"
    return trio_card(name, summary, explanation, layers, offered, offered, cards)


def everyday(names: Names) -> list[str]:
    """Those of `EVERYDAY` that the models have a name for, as people write them, in alphabetical order."""
    return sorted((word for word in EVERYDAY if names.number(word) is not None), key=str.lower)
