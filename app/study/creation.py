"""From a plan to a study that is ready to open: rendered stimuli, cells to fill, the plan on record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.database.models import Answer, Assignment, Audit, Cell, Exposure, Login, Plan, Rater, Stimulus, Study
from app.engine import Engine, Turn
from app.failures import ConflictError, StudyError
from app.study.checks import check_draft, check_rules
from app.study.drawing import Tell, silent
from app.study.plan import StudyPlan, canonical
from app.study.planfile import read_plan
from app.study.service import Studies, find_study, note
from app.study.stimuli import Rendered, image_keys, render_all, scaled, write_all
from app.study.trials import item_key, known_key
from evaluation.study.ratings import DRAWN
from lfi.errors import ConfigError, reason

_ABOUT_TO = 3600
"""Seconds after which a picture that no plan names is not waited for any more."""
_FIXED = (
    "name",
    "items",
    "practice",
    "catch",
    "conditions",
    "maps",
    "rating",
    "pair",
    "seed",
    "side",
    "trio",
    "pictures",
)


def create_study(studies: Studies, path: Path, engine: Engine, actor: str = "cli", tell: Tell = silent) -> StudyPlan:
    """Render the study in a TOML file and store it as a draft; a draft that nobody answered is replaced.

    Args:
        engine: its trio is loaded now if it is not there yet.
        tell: how far it is: pictures, models, maps.

    Raises:
        StudyError: a study of that name has been opened or answered.
        ConfigError, ImageError, UnknownWordError: see `read_plan` and `render_all`.
        UnknownModelError, CheckpointError: as `Trios.need`.
    """
    plan = read_plan(path)
    with studies.open(create=True).reading() as session:
        check_free(session, plan.name)
    turn = Turn()
    pictures = {}
    for number, name in enumerate(plan.pictures):
        tell("pictures", number, len(plan.pictures))
        pictures[name] = scaled(engine, _read(path.parent / name), plan.side, turn)
    tell("models", 0, 1)
    engine.trios.need(plan.trio)
    make_draft(studies, plan, pictures, engine, turn, actor, "created", tell=tell)
    return plan


def make_draft(
    studies: Studies,
    plan: StudyPlan,
    pictures: Mapping[str, Image.Image],
    engine: Engine,
    turn: Turn,
    actor: str,
    action: str,
    follows: str = "",
    tell: Tell = silent,
) -> None:
    """Render a plan and store it in place of the draft of its name, if there is one.

    Args:
        pictures: by the plan's paths, as `scaled` gives them.
        action: what the audit trail calls it.
        follows: hash of the draft's plan that this one was made of; any may be there where it is empty.
        tell: as for `render_all`.

    Raises:
        StudyError: the study has been opened, or has invitations.
        ConflictError: the draft is another one by now.
        ConfigError: as `check_draft`.
        UnknownWordError, LateError, GoneError: as `render_all`.
    """
    check_draft(plan, pictures)
    rendered = list(render_all(plan, pictures, engine, turn, tell))
    folder = studies.stimuli(plan.name)
    before = set(folder.iterdir()) if folder.is_dir() else set()
    names = write_all(rendered, folder)
    _write_pictures(studies, plan, pictures)
    try:
        with studies.database.writing() as session:
            check_free(session, plan.name)
            if follows and studies.plan(session, find_study(session, plan.name, lock=True)).hash != follows:
                raise ConflictError(f"the draft of {plan.name!r} was changed in the meantime; add the items again")
            _forget_draft(session, plan.name)
            _store(session, studies, plan, rendered, names, actor, action)
    except BaseException:
        for name in names:
            (folder / name).unlink(missing_ok=True)
        raise
    for old in before:
        old.unlink(missing_ok=True)
    _forget_pictures(studies, plan.name)


def amend_study(studies: Studies, path: Path, actor: str = "cli") -> bool:
    """Add a new version of an opened study's plan: texts, rules or analysis. True if anything differs.

    The versions before it stay on record with the number of answers stored by then, and every export and report
    carries them all.

    Raises:
        StudyError: what was already shown to raters would change, raters would lose their language, or the study is a
            draft.
    """
    plan = read_plan(path)
    check_rules(plan)
    with studies.database.writing() as session:
        study = find_study(session, plan.name, lock=True)
        if study.status == "draft":
            raise StudyError(f"study {plan.name!r} has not opened; `lfi study create` makes it again")
        old = studies.plan(session, study)
        changed = [name for name in _FIXED if getattr(old, name) != getattr(plan, name)]
        if changed:
            raise StudyError(f"{changed[0]} cannot change in a study that has opened; create another study")
        _check_spoken(session, study, plan)
        if plan.hash == old.hash:
            return False
        version = session.scalars(select(func.max(Plan.version)).where(Plan.study_id == study.id)).one() + 1
        _add_plan(session, studies, study, plan, version)
        note(session, study, studies.clock(), actor, "amended", f"version {version}, {plan.hash}")
        return True


def remove_study(studies: Studies, name: str) -> None:
    """Forget a study: its answers, its plan, its audit trail and its files.

    Raises:
        NothingHereError: there is no such study.
        StudyError: all is deleted, but traces are left; see `Database.wipe`.
    """
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        _forget(session, study)
        session.execute(delete(Audit).where(Audit.study_id == study.id))
        session.delete(study)
    for folder in (studies.stimuli(name), studies.pictures(name)):
        shutil.rmtree(folder, ignore_errors=True)
    studies.database.wipe()


def check_free(session: Session, name: str) -> None:
    """Whether a draft of this name can be made, or replaced.

    Raises:
        StudyError: the study of this name has been opened.
    """
    status = session.scalar(select(Study.status).where(Study.name == name))
    if status not in (None, "draft"):
        raise StudyError(f"study {name!r} is already {status}; give the new one another name")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the picture {path}: {reason(error)}") from error


def _write_pictures(studies: Studies, plan: StudyPlan, pictures: Mapping[str, Image.Image]) -> None:
    """Keep what the draft is drawn from: adding items later redraws all maps."""
    folder = studies.pictures(plan.name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, hash in plan.pictures.items():
        pictures[path].save(folder / hash, "PNG")


def _forget_pictures(studies: Studies, name: str) -> None:
    """Leave the pictures of the plan that is in force, and those that somebody else may be about to store."""
    with studies.database.reading() as session:
        study = find_study(session, name)
        named = set(studies.plan(session, study).pictures.values()) if study.status == "draft" else set()
    for file in studies.pictures(name).glob("*"):
        if file.name not in named and time.time() - file.stat().st_mtime > _ABOUT_TO:
            file.unlink(missing_ok=True)


def _check_spoken(session: Session, study: Study, plan: StudyPlan) -> None:
    """Whoever consented in a language reads on in it; all others, and previews, are given the plan's first language.

    Raises:
        StudyError: raters use a language that the plan does not have; which one, and how many.
    """
    users = (
        select(Rater.language, func.count())
        .where(Rater.study_id == study.id, Rater.consented_at.is_not(None), ~Rater.preview)
        .where(Rater.language.not_in(plan.languages))
        .group_by(Rater.language)
        .order_by(Rater.language)
    )
    for language, count in session.execute(users):
        use = "1 rater uses" if count == 1 else f"{count} raters use"
        raise StudyError(f"languages cannot lose {language!r} any more: {use} it")


def check_uninvited(session: Session, study: Study) -> None:
    """Whether the study can still be replaced.

    Raises:
        StudyError: somebody has an invitation.
    """
    counts = select(func.count()).select_from(Rater).where(Rater.study_id == study.id, ~Rater.preview)
    if session.scalars(counts).one():
        raise StudyError(f"study {study.name!r} already has invitations; `lfi study remove {study.name}` deletes them")


def _forget_draft(session: Session, name: str) -> None:
    study = session.scalar(select(Study).where(Study.name == name).with_for_update())
    if study is not None:
        check_uninvited(session, study)
        _forget(session, study)


def _forget(session: Session, study: Study) -> None:
    raters = select(Rater.id).where(Rater.study_id == study.id)
    for table in (Answer, Exposure, Assignment, Login):
        session.execute(delete(table).where(table.rater_id.in_(raters)))
    for owned in (Rater, Cell, Stimulus, Plan):
        session.execute(delete(owned).where(owned.study_id == study.id))


def _store(
    session: Session,
    studies: Studies,
    plan: StudyPlan,
    rendered: list[Rendered],
    names: list[str],
    actor: str,
    action: str,
) -> None:
    now = studies.clock()
    study = session.scalar(select(Study).where(Study.name == plan.name))
    if study is None:
        study = Study(name=plan.name, status="draft", created_at=now)
        session.add(study)
        session.flush()
    _add_plan(session, studies, study, plan, 1)
    for each, name in zip(rendered, names, strict=True):
        session.add(Stimulus(study_id=study.id, image=each.image, item=each.item, condition=each.condition, file=name))
    session.add_all(_cells(study, plan))
    note(session, study, now, actor, action, plan.hash)


def _add_plan(session: Session, studies: Studies, study: Study, plan: StudyPlan, version: int) -> None:
    answers = session.scalars(
        select(func.count())
        .select_from(Answer)
        .join(Rater, Rater.id == Answer.rater_id)
        .where(Rater.study_id == study.id, ~Rater.preview)
    ).one()
    content = canonical(plan)
    session.add(
        Plan(
            study_id=study.id,
            version=version,
            content=content,
            hash=plan.hash,
            made_at=studies.clock(),
            answers=answers,
        )
    )


def _cells(study: Study, plan: StudyPlan) -> list[Cell]:
    keys = image_keys(plan)
    cells = []
    for number, item in enumerate(plan.items):
        about = {"study_id": study.id, "item": item_key(number), "image": keys[item.image]}
        if plan.rating.overlap:
            for condition in plan.conditions:
                cells.append(Cell(kind="rating", first=condition, second="", target=plan.rating.overlap, **about))
        if plan.pair.overlap:
            for one, other in plan.pair.contrasts:
                cells.append(Cell(kind="pair", first=one, second=other, target=plan.pair.overlap, **about))
    for kind, trials in (("practice", plan.practice), ("catch", plan.catch)):
        for number, trial in enumerate(trials):
            about = {"study_id": study.id, "item": known_key(kind, number), "image": keys[trial.image]}
            cells.append(Cell(kind=kind, first=DRAWN, second="", target=None, **about))
    return cells
