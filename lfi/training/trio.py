"""A trio's folder: a teacher, two students, and the card that says what each is. `lfi.comparison` reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lfi.cards import check_student
from lfi.comparison import MODELS
from lfi.data.scenes import CLASSES
from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnknownWordError, UnsupportedModelError, reason
from lfi.hub import local_folder
from lfi.peers import Peer, check_name, load_peer
from lfi.students import Student
from lfi.students.explanations import explanations_of, layers_of
from lfi.teachers import BaseTeacher, ClipTeacher, GenerativeTeacher, load_teacher
from lfi.teachers.content import STOP_WORDS
from lfi.teachers.loading import copy_teacher, is_teacher
from lfi.teachers.words import WordTokenizer
from lfi.training.cards import ABOUT, CLIP, WRITES, parameters_of, read_object, run_card, taught_by, trio_card
from lfi.trio import PEERS, Trio

PREFERRED = ("gradient", "grad-cam")
"""Explanations that are shown, if the baseline can give them, where none was chosen by measurement."""


@dataclass(frozen=True, eq=False)
class Members:
    """Models that fit each other.

    Attributes:
        students: `lfi` and `baseline`.
        folders: where each of `MODELS` lies; of a student also what its run left.
        peers: third-party models, by the names under which they are requested.
    """

    teacher: BaseTeacher
    students: dict[str, Student]
    folders: dict[str, Path]
    peers: dict[str, Peer] = field(default_factory=dict)

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

    def check_explanation(self, explanation: str) -> None:
        """Refuse one that the baseline cannot give.

        Raises:
            UnsupportedModelError: names those that it can.
        """
        possible = explanations_of(self.students["baseline"])
        if explanation not in possible:
            raise UnsupportedModelError(
                f"the baseline cannot be explained by {explanation!r}; it can be by {', '.join(possible)}"
            )

    def unmeasured(self) -> tuple[str, dict[str, int]]:
        """The baseline's explanation and every answer's layer, where none was chosen by measurement."""
        possible = explanations_of(self.students["baseline"])
        explanation = next((each for each in PREFERRED if each in possible), possible[0])
        return explanation, {
            "teacher": self.teacher.default_layers[0],
            "lfi": len(self.students["lfi"].layers) - 1,
            "baseline": len(layers_of(self.students["baseline"], explanation)) - 1,
            **{
                f"{part}:{name}": len(layers_of(student, name)) - 1
                for part, student in self.students.items()
                for name in explanations_of(student)
            },
        }


def read_members(teacher: Path, lfi: Path, baseline: Path, peers: Mapping[str, str] | None = None) -> Members:
    """Load the models of a trio to be.

    Args:
        teacher: a folder that `load_teacher` reads, or that of a run that trained one.
        lfi, baseline: a run's folder, or the safetensors in it. Any of the three may be `hf-hub:ORG/NAME`.
        peers: other models by name, each as for `load_peer`.

    Raises:
        ConfigError: a peer cannot be called so.
        UnsupportedModelError: a peer's attention cannot be read.
        UnknownModelError: one of them is not there.
        CheckpointError: one cannot be read, or a student does not fit the teacher or was taught by another one.
    """
    teacher, lfi, baseline = (local_folder(each) for each in (teacher, lfi, baseline))
    folder = teacher / "teacher" if is_teacher(teacher / "teacher") else teacher
    if not folder.is_dir():
        raise UnknownModelError(f"{teacher} is not a folder; a teacher's folder was expected")
    loaded = load_teacher(folder)
    students, folders = {}, {"teacher": folder}
    for part, path in (("lfi", lfi), ("baseline", baseline)):
        file = path / "student.safetensors" if path.is_dir() else path
        if not file.is_file():
            raise UnknownModelError(f"there is no student {file}; a run's folder or its safetensors file was expected")
        students[part], folders[part] = Student.load(file), file.parent
        check_student(part, students[part], loaded, str(file))
        _check_teacher_of(students[part], file, loaded)
    beside: dict[str, Peer] = {}
    for name, model in (peers or {}).items():
        check_name(name, MODELS)
        beside[name] = load_peer(model)
    return Members(loaded, students, folders, beside)


def _check_teacher_of(student: Student, file: Path, teacher: BaseTeacher) -> None:
    """What a student learned of one teacher's text space says nothing in another's, however wide both are."""
    if student.name is None and student.embed is None:
        return
    label = taught_by(file.parent)
    if label and label.rpartition("@")[2] != teacher.fingerprint:
        raise CheckpointError(f"{file} was trained on {label}, not on {teacher.label}")


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
        raise ConfigError(f"there is a title for {min(unknown)!r}; one of {', '.join(MODELS)} was expected")
    known = teacher.tokenizer.vocabulary if isinstance(teacher.tokenizer, WordTokenizer) else ()
    words = vocabulary or kept.get("vocabulary") or [word for word in known if word not in STOP_WORDS]
    names = phrases or kept.get("phrases") or (CLASSES if members.know_scenes else words)
    if not names:
        raise ConfigError(
            f"{teacher.name} knows any word; say which may name the queries: --phrases FILE, one per line"
        )
    teacher.check_prompts([*words, *names])
    models: dict[str, nn.Module] = {"teacher": teacher.model, **members.students}
    folders = {**members.folders, "teacher": members.folders["teacher"].parent}
    limits = {"limits": list(notes)} if notes else {}
    cards = {
        part: {**ABOUT[part], **run_card(folders[part]), **limits, "parameters": parameters_of(model)}
        for part, model in models.items()
    }
    if isinstance(teacher, ClipTeacher):
        cards["teacher"] |= CLIP
    elif isinstance(teacher, GenerativeTeacher):
        cards["teacher"] |= {"kind": teacher.kind, "summary": WRITES}
    cards["teacher"] |= {**kept.get("models", {}).get("teacher", {}), **limits}
    cards["baseline"]["explanation"] = explanation
    for part, title in (titles or {}).items():
        cards[part]["title"] = title
    card = trio_card(name, summary, explanation, default_layer, words, names, cards)
    if members.peers:
        card[PEERS] = {name: {**peer.about, **limits} for name, peer in members.peers.items()}
    return card


def write_trio(
    folder: Path, students: Mapping[str, Student], card: Mapping[str, Any], dtype: torch.dtype = torch.float32
) -> None:
    """Students next to the teacher that is already in `folder/teacher`, and the card, which makes it a trio, last."""
    for part, student in students.items():
        student.save(folder / part / "student.safetensors", dtype)
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_own_trio(folder: Path, members: Members, card: Mapping[str, Any]) -> None:
    """A trio's folder with copies of its models.

    Raises:
        ConfigError: the folder holds files already, or cannot be written.
        CheckpointError: the card does not fit the models.
    """
    Trio(members.teacher, members.students["lfi"], members.students["baseline"], dict(card), members.peers)
    check_empty(folder)
    try:
        copy_teacher(members.folders["teacher"], folder / "teacher")
        for name, peer in members.peers.items():
            peer.write(folder / PEERS / name)
        write_trio(folder, members.students, card)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {reason(error)}") from error


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        ConfigError: it does, or it is not a folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} already exists and is not empty; choose another folder")


def _card_beside(teacher: Path) -> dict[str, Any]:
    """The card of the trio that a teacher's folder belongs to already, if it does."""
    path = teacher.parent / "card.json"
    return read_object(path) if teacher.name == "teacher" and path.is_file() else {}
