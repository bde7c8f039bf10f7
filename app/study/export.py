"""A study's data as files: every stored answer, the codebook, every version of the plan, the audit trail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import Answer, Assignment, Audit, Cell, Plan, Rater, Study
from app.failures import StudyError
from app.study.catches import passed
from app.study.plan import StudyPlan, plan_of
from app.study.service import Studies, find_study
from app.study.stimuli import item_key
from evaluation.study.plan import AnalysisPlan, Registration
from evaluation.study.ratings import COLUMNS, FORMATS, as_ratings, rating_row, write_ratings


def ratings_of(studies: Studies, name: str) -> pd.DataFrame:
    """Every stored answer of a study, in the table that the analysis reads (`evaluation.study.ratings`).

    Raises:
        NothingHereError: there is no such study.
        StudyError: nobody has answered yet.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        rows = _rows(session, study, studies.plan(session, study))
    if not rows:
        raise StudyError(f"nobody has answered in study {name!r} yet")
    return as_ratings(rows, name)


def export_study(studies: Studies, name: str, out: Path) -> list[Path]:
    """Write ratings (CSV, JSON Lines, Parquet), codebook, plan and audit trail into a folder; the files."""
    table = ratings_of(studies, name)
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"ratings{suffix}" for suffix in FORMATS]
    for file in files:
        write_ratings(table, file)
    with studies.database.reading() as session:
        study = find_study(session, name)
        texts = {
            "codebook.md": codebook(),
            "plan.json": _json({"opened_hash": study.opened_hash, "versions": _versions(session, study)}),
            "audit.json": _json(_trail(session, study)),
        }
    for file_name, text in texts.items():
        (out / file_name).write_text(text, encoding="utf-8")
    return [*files, *(out / file_name for file_name in texts)]


def analysis_input(studies: Studies, name: str) -> tuple[pd.DataFrame, Registration | None, AnalysisPlan]:
    """What `lfi study analyse NAME` reads: the answers, the plan as it was registered, the plan in force.

    Raises:
        NothingHereError: there is no such study.
        StudyError: nobody has answered yet.
    """
    table = ratings_of(studies, name)
    with studies.database.reading() as session:
        study = find_study(session, name)
        versions = session.scalars(select(Plan).where(Plan.study_id == study.id).order_by(Plan.version)).all()
        now = versions[-1].content
        first = next((each for each in versions if each.hash == study.opened_hash), None)
        opened = study.opened_at.isoformat() if study.opened_at else ""
    registered = Registration(first.content, first.hash, opened, now) if first else None
    return table, registered, plan_of(orjson.loads(now)).analysis


def codebook() -> str:
    """What every column means, Markdown."""
    lines = ["# Codebook", "", "One row is one stored answer; of a trial answered twice the later one counts.", ""]
    lines += ["| column | type | meaning | empty |", "|---|---|---|---|"]
    lines += [f"| {each.name} | {each.type} | {each.meaning} | {each.null or 'never'} |" for each in COLUMNS]
    return "\n".join(lines) + "\n"


def _rows(session: Session, study: Study, plan: StudyPlan) -> list[dict[str, Any]]:
    words = {item_key(number): item.word for number, item in enumerate(plan.items)}
    found = session.execute(
        select(Answer, Assignment, Cell, Rater)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Cell, Cell.id == Assignment.cell_id)
        .join(Rater, Rater.id == Answer.rater_id)
        .where(Rater.study_id == study.id)
        .order_by(Answer.id)
    )
    return [_row(study, plan, words, *each) for each in found]


def _row(
    study: Study, plan: StudyPlan, words: dict[str, str], answer: Answer, trial: Assignment, cell: Cell, rater: Rater
) -> dict[str, Any]:
    known = cell.kind in ("practice", "catch")
    if cell.kind == "pair":
        sides = (cell.second, cell.first) if trial.flipped else (cell.first, cell.second)
        shown: dict[str, Any] = {"left": sides[0], "right": sides[1]}
    else:
        shown = {"condition": cell.first, "scale": plan.rating.scale}
    trials = plan.practice if cell.kind == "practice" else plan.catch
    word = trials[int(cell.item.removeprefix(cell.kind)) - 1].word if known else words[cell.item]
    return rating_row(
        study=study.name,
        rater=rater.code,
        trial=trial.position,
        kind="pair" if cell.kind == "pair" else "rating",
        item=cell.item,
        image=cell.image,
        word=word,
        value=answer.value,
        response_ms=answer.response_ms,
        comment=answer.comment,
        language=answer.language,
        practice=cell.kind == "practice",
        catch=cell.kind == "catch",
        catch_passed=passed(plan, cell, answer.value) if cell.kind == "catch" else None,
        excluded=rater.excluded_reason,
        preview=rater.preview,
        created_at=answer.stored_at.isoformat(),
        **shown,
    )


def _versions(session: Session, study: Study) -> list[dict[str, Any]]:
    """Every version of the plan, with its hash, its date and how many answers there were before it."""
    return [
        {
            "version": each.version,
            "hash": each.hash,
            "made_at": each.made_at.isoformat(),
            "answers_before": each.answers,
            "plan": orjson.loads(each.content),
        }
        for each in session.scalars(select(Plan).where(Plan.study_id == study.id).order_by(Plan.version))
    ]


def _trail(session: Session, study: Study) -> list[dict[str, str]]:
    lines = session.scalars(select(Audit).where(Audit.study_id == study.id).order_by(Audit.id))
    return [
        {"at": line.at.isoformat(), "actor": line.actor, "action": line.action, "detail": line.detail} for line in lines
    ]


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
