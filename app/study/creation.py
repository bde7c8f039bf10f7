"""From a plan to a study that waits to be opened: rendered stimuli, cells to fill, the plan on record."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.database.models import Answer, Assignment, Audit, Cell, Exposure, Login, Plan, Rater, Stimulus, Study
from app.study.errors import StudyError
from app.study.plan import StudyPlan, canonical, read_plan
from app.study.service import Studies, find_study, note
from app.study.stimuli import Rendered, image_keys, item_key, known_key, render_all, write_all
from evaluation.study.ratings import DRAWN
from lfi.comparison import Trio

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


def create_study(studies: Studies, path: Path, load: Callable[[str], Trio], actor: str = "cli") -> StudyPlan:
    """Render the study in a TOML file and store it as a draft; a draft that nobody answered is made anew.

    Args:
        load: gives a trio by its name.

    Raises:
        StudyError: a study of that name has been opened or answered.
        ConfigError, ImageError, UnknownWordError: see `read_plan` and `render_all`.
    """
    plan = read_plan(path)
    database = studies.open(create=True)
    with database.reading() as session:
        _check_free(session, plan.name)
    rendered = list(render_all(plan, path.parent, load(plan.trio)))
    folder = studies.stimuli(plan.name)
    before = set(folder.iterdir()) if folder.is_dir() else set()
    names = write_all(rendered, folder)
    try:
        with database.writing() as session:
            _check_free(session, plan.name)
            _forget_draft(session, plan.name)
            _store(session, studies, plan, rendered, names, actor)
    except BaseException:
        for name in names:
            (folder / name).unlink()
        raise
    for old in before:
        old.unlink()
    return plan


def amend_study(studies: Studies, path: Path, actor: str = "cli") -> bool:
    """Add a new version of an opened study's plan: texts, rules or analysis. True if anything differs.

    The versions before it stay on record with the number of answers stored by then, and every export and report
    carries them all.

    Raises:
        StudyError: what was already shown to raters would change, or the study is a draft.
    """
    plan = read_plan(path)
    with studies.database.writing() as session:
        study = find_study(session, plan.name, lock=True)
        if study.status == "draft":
            raise StudyError(f"study {plan.name!r} has not opened; `lfi study create` makes it anew")
        old = studies.plan(session, study)
        changed = [name for name in _FIXED if getattr(old, name) != getattr(plan, name)]
        if changed:
            raise StudyError(f"{changed[0]} of an opened study cannot change; create another study")
        if plan.hash == old.hash:
            return False
        version = session.scalars(select(func.max(Plan.version)).where(Plan.study_id == study.id)).one() + 1
        _add_plan(session, studies, study, plan, version)
        note(session, study, studies.clock(), actor, "amended", f"version {version}, {plan.hash}")
        return True


def remove_study(studies: Studies, name: str) -> None:
    """Forget a study: its answers, its plan, its audit trail and its files."""
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        _forget(session, study)
        session.execute(delete(Audit).where(Audit.study_id == study.id))
        session.delete(study)
    studies.database.wipe()
    shutil.rmtree(studies.stimuli(name), ignore_errors=True)


def _check_free(session: Session, name: str) -> None:
    status = session.scalar(select(Study.status).where(Study.name == name))
    if status not in (None, "draft"):
        raise StudyError(f"study {name!r} is {status} already; give the new one another name")


def _forget_draft(session: Session, name: str) -> None:
    study = session.scalar(select(Study).where(Study.name == name).with_for_update())
    if study is None:
        return
    counts = select(func.count()).select_from(Rater).where(Rater.study_id == study.id, ~Rater.preview)
    if session.scalars(counts).one():
        raise StudyError(f"study {name!r} has invitations already; `lfi study remove {name}` forgets them")
    _forget(session, study)


def _forget(session: Session, study: Study) -> None:
    raters = select(Rater.id).where(Rater.study_id == study.id)
    for table in (Answer, Exposure, Assignment, Login):
        session.execute(delete(table).where(table.rater_id.in_(raters)))
    for owned in (Rater, Cell, Stimulus, Plan):
        session.execute(delete(owned).where(owned.study_id == study.id))


def _store(
    session: Session, studies: Studies, plan: StudyPlan, rendered: list[Rendered], names: list[str], actor: str
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
    note(session, study, now, actor, "created", plan.hash)


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
