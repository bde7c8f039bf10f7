"""`lfi distil`: from images to a trio, stage by stage. What is finished is not done again, wherever it was killed.

Every stage leaves a file or folder in `runs`, written whole or not at all, by which the next call knows it: the
teacher, its layer (`layer.json`), its answers (`cache`), a folder a student, what was chosen (`choice.json`).
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.choosing import calibrated, canvas_cases, choose, halves, hit_rates, measured, statements
from evaluation.pointing import Cases
from lfi.answerers import TeacherAnswerer, line_up
from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.data.notes import announce
from lfi.errors import CheckpointError, ConfigError, DataError, reason
from lfi.students import Student
from lfi.teachers import load_teacher
from lfi.teachers.base import BaseTeacher
from lfi.training.config import TeacherSource, TrainConfig
from lfi.training.distil.folder import alone, check_place, clear, made_of
from lfi.training.distil.measure import fields_for
from lfi.training.distil.plan import Plan
from lfi.training.distil.planning import (
    ASKING,
    CHOOSING,
    LAYER,
    PRESENCE,
    READING,
    WRITING,
    make_plan,
    room,
    training,
)
from lfi.training.distil.progress import Progress
from lfi.training.distil.request import Request, asked_teacher, named, split, teacher_folder, to_learn_from
from lfi.training.distil.sizes import methods_for, size_of
from lfi.training.distributed import connect
from lfi.training.run import Prepared, cached_answers, train_student, validate
from lfi.training.sources import said
from lfi.training.targets import Answers, Questions
from lfi.training.trio import own_card, read_members, write_own_trio
from lfi.writing import write_json

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Side:
    """Some of the held-out images, and what is asked of canvases of them."""

    rows: np.ndarray
    cases: Cases | None


@dataclass(frozen=True, eq=False)
class Rows:
    """The answers of some of the rows that were asked."""

    answers: Answers
    at: Tensor

    def __len__(self) -> int:
        return len(self.at)

    @property
    def fields(self) -> Collection[str]:
        """As `Answers.fields`."""
        return self.answers.fields

    def rows(self, indices: Tensor, fields: Any = None) -> dict[str, Tensor]:
        """As `Answers.rows`."""
        return self.answers.rows(self.at[indices.cpu()], fields)


def plan_of(request: Request, device: str) -> Plan:
    """What `distil` would do here, by a short measurement; nothing is written."""
    teacher = asked_teacher(request.teacher, device)
    return make_plan(request, teacher, request.listing(), device)


def distil(request: Request, out: Path, runs: Path, device: str, *, fresh: bool = False, tell: Tell = print) -> None:
    """Do all that is not done yet, and write the trio to `out`.

    Args:
        runs: folder of all that leads to it.
        tell: takes lines of progress.

    Raises:
        ConfigError: `out` holds something else or cannot be written, `runs` was begun otherwise or lies in `out`, or
            a disk is too small.
        DataError, UnknownModelError, UnsupportedModelError, CheckpointError, WordsError: each says what is wrong.
    """
    if connect(device).world > 1:
        raise ConfigError("lfi distil runs in one process; on several, use lfi train with a configuration")
    named(request.teacher)
    listing = request.listing()
    check_out(out, runs, fresh)
    with alone(runs):
        if fresh:
            clear(runs)
        plan = Plan.read(runs)
        folder = teacher_folder(request.teacher, runs)
        teacher = load_teacher(folder, device=device)
        if plan is None:
            plan = make_plan(request, teacher, listing, device)
            room(plan, out, runs)
            plan.write(runs)
        plan.check(request.record(), len(listing.once), len(listing), teacher.label, runs)
        for line in plan.lines(request.hours):
            tell(line)
        work = Distillation(request, plan, listing, teacher, folder, runs, device, Progress(plan, tell), tell)
        work.run(out)
    for line in look_at(out, listing):
        tell(line)


def check_out(out: Path, runs: Path, fresh: bool) -> None:
    """Refuse a folder that could not take the trio, unless it holds the one that `runs` led to.

    Raises:
        ConfigError: it says why.
    """
    if not made_of(out, None if fresh else Plan.read(runs)):
        check_place(out, runs)


def look_at(out: Path, listing: Listing) -> list[str]:
    """Commands that show a trio: on one of its images, with a word that is said of it."""
    phrases = set(json.loads((out / "card.json").read_text(encoding="utf-8"))["phrases"])
    asked = "IMAGE --word WORD"
    for file, caption, words in zip(listing.files, listing.captions, listing.words, strict=True):
        if own := [word for word in words or said(caption) if word in phrases]:
            asked = f"{shlex.quote(str(file))} --word {shlex.quote(own[0])}"
            break
    folder = out.resolve()
    return [
        f"{out}: look at it with",
        f"lfi maps {asked} --trio {shlex.quote(str(out))}",
        f"LFI_MODELS_DIR={shlex.quote(str(folder.parent))} LFI_TRIO={shlex.quote(folder.name)} lfi serve",
    ]


class Distillation:
    """One run of `lfi distil`, from its plan on."""

    def __init__(
        self,
        request: Request,
        plan: Plan,
        listing: Listing,
        teacher: BaseTeacher,
        folder: Path,
        runs: Path,
        device: str,
        progress: Progress,
        tell: Tell,
    ):
        self.request, self.plan, self.listing, self.teacher = request, plan, listing, teacher
        self.folder, self.runs, self.device, self.progress, self.tell = folder, runs, device, progress, tell
        self.size = size_of(plan.student)

    def run(self, out: Path) -> None:
        """Every stage; `out` is written last."""
        if made_of(out, self.plan):
            self.tell(f"{out} was finished before")
            return
        with self.progress.stage(READING, before=(self.runs / "layer.json").is_file()):
            self._read()
        layer = self._kept("layer.json", LAYER, self._choose_layer)["layer"]
        source = self.request.source(self.teacher, self.folder, layer)
        with self.progress.stage(ASKING, before=(self.runs / "students").is_dir()):
            prepared = self._prepared(source)
        students = {name: self._trained(name, prepared) for name in self.plan.methods}
        choice = self._kept("choice.json", CHOOSING, partial(self._choose, students))
        chosen = {"lfi": students["lfi"], "baseline": students[choice["baseline"]]}
        presence = self._kept("presence.json", PRESENCE, partial(self._calibrate, chosen, choice))
        if presence["without"]:
            self.tell(f"{'presence of some only' if presence['models'] else 'no presence'}: {presence['without']}")
        with self.progress.stage(WRITING):
            self._write(out, choice, presence["models"])

    def _kept(self, name: str, stage: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a stage found, made unless it is there."""
        path = self.runs / name
        if path.is_file():
            try:
                found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise CheckpointError(f"cannot read {path}: {reason(error)}; remove it to make it again") from error
            self.progress.there(stage)
            return found
        with self.progress.stage(stage):
            found = make()
            write_json(path, found)
        return found

    def _read(self) -> None:
        """All images at both sizes, and which of them are held out."""
        self.whole = to_learn_from(self.listing.read(self.teacher.image_size), self.teacher)
        announce(self.whole.notes, str(self.request.images))
        small = self.listing.read(self.size.pixels, title="reading images for the students")
        if small.ids != self.whole.ids:
            raise DataError(f"{self.request.images} changed while it was read; try again")
        files = dict(zip(self.listing.ids, self.listing.files, strict=True))
        self.rows, held = split([files[each] for each in self.whole.ids], self.request.seed)
        known = replace(small, classes=self.whole.classes, labels=self.whole.labels, words=self.whole.words)
        self.train, self.validation = known.take(self.rows), known.take(held)
        self.held_out: ImageSet = self.whole.take(held)
        self.pictures = [files[each] for each in self.held_out.ids]

    @cached_property
    def sides(self) -> list[Side]:
        """Held-out images to choose on, and others to measure on; all of them for both where a half tells nothing."""
        found = [Side(rows, self._cases(rows)) for rows in halves(self.pictures, self.request.seed)]
        if all(each.cases is not None for each in found):
            return found
        every = np.arange(len(self.held_out))
        return [Side(every, self._cases(every))]

    def _cases(self, rows: np.ndarray) -> Cases | None:
        """What is asked of canvases of some held-out images."""
        return canvas_cases(self.held_out.take(rows), self.plan.canvases, self.request.seed) if len(rows) else None

    def _choose_layer(self) -> dict[str, Any]:
        cases = self.sides[0].cases
        if cases is None:
            return {"layer": self.teacher.default_layers[0], "rates": []}
        rates = hit_rates(cases)(TeacherAnswerer(self.teacher))
        return {"layer": int(rates.argmax()), "rates": [round(float(rate), 4) for rate in rates]}

    def _prepared(self, source: TeacherSource) -> Prepared:
        """The images that students learn from, with the teacher's answers, which are kept on disk."""
        config = TrainConfig(
            data=self.request.data(self.size.pixels),
            teacher=replace(source, cache=str(self.runs / "cache")),
            student=self.size.source,
            loop=self.plan.loop,
        )
        questions = Questions(self.teacher, config.teacher, self.whole, fields_for(self.teacher, self.whole.multilabel))
        answers = Rows(cached_answers(questions, self.runs / "cache", self.device), torch.from_numpy(self.rows))
        return Prepared(config, self.teacher, self.train, self.validation, questions, answers)

    def _student(self, name: str) -> Path:
        return self.runs / "students" / name.replace(" + ", "-").replace(" ", "-")

    def _trained(self, name: str, prepared: Prepared) -> Student:
        folder, stage = self._student(name), training(name)
        if (folder / "student.safetensors").is_file():
            self.progress.there(stage)
            return Student.load(folder / "student.safetensors").to(self.device)
        method = methods_for("logits" in prepared.questions.wanted)[name]
        config = replace(prepared.config, objective=method.objective, student=method.student(self.size.source))
        with self.progress.stage(stage):
            part = folder.with_name(f"{folder.name}.part")
            student, _ = train_student(
                replace(prepared, config=config), part, resume=True, device=self.device, title=name
            )
            part.replace(folder)
        return student.to(self.device)

    def _choose(self, students: dict[str, Student]) -> dict[str, Any]:
        """The better baseline on held-out images, its explanation, and all layers; how good these are on others."""
        choosing, measuring = self.sides[0], self.sides[-1]
        validation = self.validation.take(choosing.rows)
        scores = {name: validate(student, validation) for name, student in students.items()}
        first = next(iter(scores["lfi"]))
        baseline = max((name for name in students if name != "lfi"), key=lambda name: scores[name][first])
        found: dict[str, Any] = {"baseline": baseline, "scores": scores, "canvases": self.plan.canvases}
        if choosing.cases is None or measuring.cases is None:
            return {**found, "explanation": "", "layers": {}, "rates": {}}
        pair = {"lfi": students["lfi"], "baseline": students[baseline]}
        chosen = choose(self.teacher, pair, hit_rates(choosing.cases), self.whole.classes)
        every = line_up(self.teacher, pair["lfi"], pair["baseline"], chosen.explanation, phrases=self.whole.classes)
        shares = measured(chosen, every, hit_rates(measuring.cases))
        return {**found, **asdict(chosen), "measured": shares, "apart": len(self.sides) > 1}

    def _calibrate(self, students: dict[str, Student], choice: dict[str, Any]) -> dict[str, Any]:
        explanation = choice["explanation"] or "dense-similarity"
        every = line_up(self.teacher, students["lfi"], students["baseline"], explanation, phrases=self.whole.classes)
        models = {name: every[name] for name in ("teacher", "lfi", "baseline")}
        asked = [statements(self.held_out.take(side.rows), self.request.seed) for side in self.sides]
        found, without = calibrated(models, *asked)
        return {"models": {name: each.to_dict() for name, each in found.items()}, "without": without}

    def _write(self, out: Path, choice: dict[str, Any], presence: dict[str, Any]) -> None:
        out, baseline = out.resolve(), choice["baseline"]
        members = read_members(self.folder, self._student("lfi"), self._student(baseline))
        explanation, layers = members.unmeasured()
        if choice["explanation"]:
            explanation, layers = choice["explanation"], choice["layers"]
        card = own_card(
            members,
            out.name,
            explanation,
            layers,
            summary=f"{self.teacher.name}, distilled on {len(set(self.whole.keys)):,} images",
            titles={"baseline": f"Result-oriented baseline: {baseline}"},
            phrases=self.whole.classes,
        )
        for part, rate in choice.get("measured", choice["rates"]).items():
            if part in card["models"]:
                figures = card["models"][part].setdefault("figures", {})
                figures["map peaks in the right image, held-out canvases"] = round(rate, 3)
        card |= {"presence": presence, "measured_apart": choice.get("apart", False), "distilled": self.plan.key}
        part = out.with_name(f".{out.name}.part")
        try:
            if part.exists():
                shutil.rmtree(part)
            write_own_trio(part, members, card)
            if out.exists():
                out.rmdir()  # an empty one
            part.replace(out)
        except OSError as error:
            raise ConfigError(f"cannot write to {out}: {reason(error)}") from error
