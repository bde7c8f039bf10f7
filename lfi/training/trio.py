"""A trio's folder: a teacher, two students, and the card that says what each is. `lfi.comparison` reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lfi.comparison import MODELS, Trio, check_student
from lfi.data.scenes import CLASSES
from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnknownWordError
from lfi.students import Student
from lfi.students.explanations import explanations_of
from lfi.teachers import CoCaTeacher, load_teacher
from lfi.teachers.content import STOP_WORDS
from lfi.teachers.loading import CONFIG, WEIGHTS
from lfi.teachers.words import WordTokenizer
from lfi.training.config import ObjectiveConfig
from lfi.training.logbook import read_records

ABOUT = {
    "teacher": {
        "title": "Teacher",
        "kind": "CoCa",
        "summary": "A CoCa: the words of its decoder attend to the patches of a vision transformer.",
    },
    "lfi": {
        "title": "LFI student",
        "kind": "ViT with Interaction Queries",
        "summary": "A plain vision transformer with Interaction Queries, taught where the teacher's words look.",
    },
    "baseline": {
        "title": "Result-oriented baseline",
        "kind": "ViT",
        "summary": "A plain vision transformer; its map for a word is an explanation made afterwards.",
    },
}
"""What a card says of a model of which nothing else is known."""

PREFERRED = ("gradient", "grad-cam")
"""Explanations that are shown, if the baseline can give them, where none was chosen by measurement."""


@dataclass(frozen=True, eq=False)
class Members:
    """Models that fit each other.

    Attributes:
        students: `lfi` and `baseline`.
        folders: where each of `MODELS` lies; of a student also what its run left.
    """

    teacher: CoCaTeacher
    students: dict[str, Student]
    folders: dict[str, Path]

    @property
    def know_scenes(self) -> bool:
        """Whether the teacher's vocabulary is a small one that holds the words of generated scenes."""
        if not isinstance(self.teacher.tokenizer, WordTokenizer):
            return False
        try:
            self.teacher.check_words(CLASSES)
        except UnknownWordError:
            return False
        return True

    @property
    def explanation(self) -> str:
        """The baseline's, where nothing was measured."""
        possible = explanations_of(self.students["baseline"])
        return next((each for each in PREFERRED if each in possible), possible[0])

    @property
    def default_layer(self) -> dict[str, int]:
        """The layer of each model that is shown, where nothing was measured; the baseline's depends on `explanation`."""
        depth = 1 if self.explanation == "dense-similarity" else len(self.students["baseline"].backbone.blocks)
        return {
            "teacher": self.teacher.default_layers[0],
            "lfi": len(self.students["lfi"].layers) - 1,
            "baseline": depth - 1,
        }


def read_members(teacher: Path, lfi: Path, baseline: Path) -> Members:
    """Load the models of a trio to be.

    Args:
        teacher: a folder that open_clip reads, or that of a run that trained one.
        lfi, baseline: a run's folder, or the safetensors in it.

    Raises:
        UnknownModelError: one of them is not there.
        CheckpointError: one cannot be read, or a student does not fit the teacher or was taught by another one.
    """
    folder = teacher / "teacher" if (teacher / "teacher" / CONFIG).is_file() else teacher
    if not folder.is_dir():
        raise UnknownModelError(f"{teacher} is no folder; that of a teacher was expected")
    loaded = load_teacher(folder)
    if not isinstance(loaded, CoCaTeacher):
        raise CheckpointError(f"{folder}: the teacher of a trio must be a CoCa; {loaded.name} is none")
    students, folders = {}, {"teacher": folder}
    for part, path in (("lfi", lfi), ("baseline", baseline)):
        file = path / "student.safetensors" if path.is_dir() else path
        if not file.is_file():
            raise UnknownModelError(f"there is no student {file}; a run's folder or its safetensors was expected")
        students[part], folders[part] = Student.load(file), file.parent
        check_student(part, students[part], loaded, str(file))
        _check_teacher_of(students[part], file, loaded)
    return Members(loaded, students, folders)


def _check_teacher_of(student: Student, file: Path, teacher: CoCaTeacher) -> None:
    """What a student learned of one teacher's text space says nothing in another's, however wide both are."""
    environment = file.parent / "environment.json"
    if not environment.is_file() or (student.name is None and student.embed is None):
        return
    taught_by = str(_read(environment).get("teacher", ""))
    if taught_by and taught_by.rpartition("@")[2] != teacher.fingerprint:
        raise CheckpointError(f"{file} was taught by {taught_by}, not by {teacher.label}")


def own_card(
    members: Members,
    name: str,
    explanation: str,
    default_layer: Mapping[str, int],
    *,
    summary: str = "",
    titles: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    vocabulary: Sequence[str] = (),
    phrases: Sequence[str] = (),
) -> dict[str, Any]:
    """The card of a trio, from what the runs of its models left; `Trio` says what is in it.

    Args:
        titles: for some of `MODELS`.
        notes: what limits all three.
        vocabulary: words that people can type; without them the content words of a small vocabulary, else any.
        phrases: what names queries; without them the classes of generated scenes where the teacher knows these, else
            the vocabulary.

    Raises:
        ConfigError: titles of something else; no phrases for a teacher that knows any word.
        UnknownWordError: a word or phrase that the teacher does not know.
        CheckpointError: a run's file that cannot be read, or a card that does not fit.
    """
    teacher, kept = members.teacher, _card_beside(members.folders["teacher"])
    if unknown := set(titles or {}) - set(MODELS):
        raise ConfigError(f"a title for {min(unknown)!r}; one of {', '.join(MODELS)} was expected")
    known = teacher.tokenizer.vocabulary if isinstance(teacher.tokenizer, WordTokenizer) else ()
    words = vocabulary or kept.get("vocabulary") or [word for word in known if word not in STOP_WORDS]
    names = phrases or kept.get("phrases") or (CLASSES if members.know_scenes else words)
    if not names:
        raise ConfigError(f"{teacher.name} knows any word; which may name the queries? --phrases FILE, one a line")
    teacher.check_prompts([*words, *names])
    models: dict[str, nn.Module] = {"teacher": teacher.model, **members.students}
    folders = {**members.folders, "teacher": members.folders["teacher"].parent}
    limits = {"limits": list(notes)} if notes else {}
    cards = {
        part: {**ABOUT[part], **run_card(folders[part]), **limits, "parameters": parameters_of(model)}
        for part, model in models.items()
    }
    cards["teacher"] |= {**kept.get("models", {}).get("teacher", {}), **limits}
    cards["baseline"]["explanation"] = explanation
    for part, title in (titles or {}).items():
        cards[part]["title"] = title
    return trio_card(name, summary, explanation, default_layer, words, names, cards)


def trio_card(
    name: str,
    summary: str,
    explanation: str,
    default_layer: Mapping[str, int],
    vocabulary: Sequence[str],
    phrases: Sequence[str],
    models: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """A card as `Trio` reads it."""
    return {
        "name": name,
        "summary": summary,
        "explanation": explanation,
        "default_layer": dict(default_layer),
        "vocabulary": list(vocabulary),
        "phrases": list(phrases),
        "models": {part: dict(card) for part, card in models.items()},
    }


def write_trio(folder: Path, students: Mapping[str, Student], card: Mapping[str, Any]) -> None:
    """Students and the card beside the teacher that is already in `folder/teacher`; the card, which makes it one, last."""
    for part, student in students.items():
        student.save(folder / part / "student.safetensors")
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_own_trio(folder: Path, members: Members, card: Mapping[str, Any]) -> None:
    """A trio's folder with copies of its models.

    Raises:
        ConfigError: the folder holds files already, or cannot be written.
        CheckpointError: the card does not fit the models.
    """
    Trio(members.teacher, members.students["lfi"], members.students["baseline"], dict(card))
    check_empty(folder)
    try:
        (folder / "teacher").mkdir(parents=True, exist_ok=True)
        for file in (CONFIG, WEIGHTS):
            shutil.copyfile(members.folders["teacher"] / file, folder / "teacher" / file)
        write_trio(folder, members.students, card)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {(error.strerror or str(error)).lower()}") from error


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        ConfigError: it does, or it is no folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and not empty; name another folder")


def run_card(folder: Path) -> dict[str, Any]:
    """What a folder that `lfi train` left says of its model: data, steps, seed, losses, figures; else nothing.

    Raises:
        CheckpointError: its files cannot be read.
    """
    if not (folder / "config.json").is_file():
        return {}
    config = _read(folder / "config.json")
    try:
        records = read_records(folder / "metrics.jsonl")
        card = {"data": _data(config["data"]), "seed": config["loop"]["seed"]}
        if config["task"] == "student":
            card["losses"] = losses_of(config["objective"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} is not what `lfi train` leaves: {error!r}") from error
    if records:
        card["steps"] = int(records[-1]["step"])
    scores: Mapping[str, float] = next((each for each in reversed(records) if "loss" not in each), {})
    card["figures"] = {
        f"{name} on validation images, %": round(value, 1) for name, value in scores.items() if name != "step"
    }
    return card


def losses_of(objective: ObjectiveConfig | Mapping[str, Any]) -> dict[str, float]:
    """Weights of what is copied from the teacher, by names to be read."""
    values = asdict(objective) if isinstance(objective, ObjectiveConfig) else objective
    copied = (
        "interaction",
        "relation",
        "naming",
        "logit_kd",
        "feature_kd",
        "activation_attention",
        "attention_transfer",
        "relational_kd",
        "dist",
    )
    named = {name.replace("_kd", " KD").replace("_", " "): values.get(name, 0) for name in copied}
    return {name: weight for name, weight in {**named, **values.get("extra", {})}.items() if weight}


def parameters_of(model: nn.Module) -> int:
    """How many."""
    return sum(parameter.numel() for parameter in model.parameters())


def _data(data: Mapping[str, Any]) -> str:
    if data["source"] == "scenes":
        return f"{data['count']:,} generated scenes (seed {data['seed']})"
    said = f"{data['source']}: {Path(data['root']).name}"
    said += f", {data['fraction']:.0%} of it" if data["fraction"] < 1 else ""
    return said + (f", without {data['held_out']}" if data["held_out"] else "")


def _card_beside(teacher: Path) -> dict[str, Any]:
    """The card of the trio that a teacher's folder belongs to already, if it does."""
    path = teacher.parent / "card.json"
    return _read(path) if teacher.name == "teacher" and path.is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"cannot read {path}: an object was expected")
    return found
