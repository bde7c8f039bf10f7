"""A study's data as files: every stored answer, codebook, raters, every version of the plan, audit trail."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import Answer, Assignment, Audit, Cell, Plan, Rater, Study
from app.failures import StudyError
from app.study.attrition import raters_csv
from app.study.catches import passed
from app.study.conduct import note_export
from app.study.plan import StudyPlan, plan_of
from app.study.private import private
from app.study.service import Studies, find_study
from app.study.standing import excluders
from app.study.trials import conditions_shown, entry_of
from evaluation.study.plan import AnalysisPlan, Registration
from evaluation.study.ratings import COLUMNS, FORMATS, as_ratings, rating_row, write_ratings, write_spreadsheet

TABLES = tuple(f"ratings{suffix}" for suffix in FORMATS)
SPREADSHEET = "ratings-spreadsheet.csv"
FILES = (*TABLES, SPREADSHEET, "codebook.md", "plan.json", "audit.json", "times.csv", "raters.csv", "participants.json")
"""What a study is exported as."""
PERSONAL = "participants.json"
"""The one that is not for publishing, and written only when it is asked for: ids that raters have elsewhere."""
USUAL = tuple(file for file in FILES if file != PERSONAL)


def ratings_of(studies: Studies, name: str) -> pd.DataFrame:
    """Every stored answer of a study, in the table that the analysis reads (`evaluation.study.ratings`).

    Raises:
        NothingHereError: there is no such study.
        StudyError: nobody has answered yet.
    """
    with studies.database.reading() as session:
        return _table(session, studies, find_study(session, name))


def export_study(studies: Studies, name: str, out: Path, actor: str, files: Sequence[str] = USUAL) -> list[Path]:
    """Write some of `FILES` into a folder, made if it is not there: ratings, codebook, raters, plan, audit trail.

    All of them show the study as it was at one moment. Who exports answers can look at them, which is noted. `PERSONAL`
    can be read by its owner alone (0600).

    Returns:
        Where they are.

    Raises:
        NothingHereError: there is no such study.
        StudyError: ratings are asked for, and nobody has answered yet.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        table = _table(session, studies, study) if set(files) & {*TABLES, SPREADSHEET} else None
        out.mkdir(parents=True, exist_ok=True)
        for file in files:
            if table is not None and file in TABLES:
                write_ratings(table, out / file)
            elif table is not None and file == SPREADSHEET:
                write_spreadsheet(table, out / file)
            elif file == PERSONAL:
                (out / file).unlink(missing_ok=True)  # one that others may read
                with open(out / file, "x", encoding="utf-8", opener=private) as written:
                    written.write(_TEXTS[file](session, study))
            else:
                (out / file).write_text(_text(studies, session, study, file), encoding="utf-8")
    if table is not None:
        note_export(studies, name, actor)
    return [out / file for file in files]


def analysis_input(studies: Studies, name: str) -> tuple[pd.DataFrame, Registration | None, AnalysisPlan]:
    """What `lfi study analyse NAME` reads: the answers, the plan as it was registered, the plan in force.

    Raises:
        NothingHereError: there is no such study.
        StudyError: nobody has answered yet.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        table = _table(session, studies, study)
        versions = session.scalars(select(Plan).where(Plan.study_id == study.id).order_by(Plan.version)).all()
        now = versions[-1].content
        first = next((each for each in versions if each.hash == study.opened_hash), None)
        opened = study.opened_at.isoformat() if study.opened_at else ""
    registered = Registration(first.content, first.hash, opened, now) if first else None
    return table, registered, plan_of(orjson.loads(now)).analysis


def codebook() -> str:
    """What every column means, Markdown."""
    lines = [
        "# Codebook",
        "",
        "One row is one stored answer; of a trial the highest revision counts.",
        "",
    ]
    lines += ["| column | type | meaning | empty |", "|---|---|---|---|"]
    lines += [f"| {each.name} | {each.type} | {each.meaning} | {each.null or 'never'} |" for each in COLUMNS]
    return "\n".join(lines) + "\n"


def _text(studies: Studies, session: Session, study: Study, file: str) -> str:
    return raters_csv(session, study, studies.clock()) if file == "raters.csv" else _TEXTS[file](session, study)


def _table(session: Session, studies: Studies, study: Study) -> pd.DataFrame:
    """As `ratings_of`."""
    rows = _rows(session, study, studies.plan(session, study))
    if not rows:
        raise StudyError(f"nobody has answered in study {study.name!r} yet")
    return as_ratings(rows, study.name)


def _rows(session: Session, study: Study, plan: StudyPlan) -> list[dict[str, Any]]:
    found = session.execute(
        select(Answer, Assignment, Cell, Rater)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Cell, Cell.id == Assignment.cell_id)
        .join(Rater, Rater.id == Answer.rater_id)
        .where(Rater.study_id == study.id)
        .order_by(Answer.id)
    )
    by = excluders(session, study)
    return [_row(study, plan, by, *each) for each in found]


def _row(
    study: Study, plan: StudyPlan, by: Mapping[str, str], answer: Answer, trial: Assignment, cell: Cell, rater: Rater
) -> dict[str, Any]:
    left, right = conditions_shown(cell, trial.flipped)
    pair = {"left": left, "right": right}
    shown: dict[str, Any] = pair if cell.kind == "pair" else {"condition": left, "scale": plan.rating.scale}
    return rating_row(
        study=study.name,
        rater=rater.code,
        trial=trial.position,
        revision=answer.revision,
        kind="pair" if cell.kind == "pair" else "rating",
        item=cell.item,
        image=cell.image,
        word=entry_of(plan, cell).word,
        value=answer.value,
        response_ms=answer.response_ms,
        comment=answer.comment,
        language=answer.language,
        practice=cell.kind == "practice",
        catch=cell.kind == "catch",
        catch_passed=passed(plan, cell, answer.value) if cell.kind == "catch" else None,
        excluded=rater.excluded_reason,
        excluded_by=by.get(rater.code, "") if rater.excluded_reason else "",
        preview=rater.preview,
        created_at=answer.stored_at.isoformat(),
        **shown,
    )


def _plans(session: Session, study: Study) -> str:
    """Every version of the plan, with its hash, its date and how many answers there were before it."""
    versions = [
        {
            "version": each.version,
            "hash": each.hash,
            "made_at": each.made_at.isoformat(),
            "answers_before": each.answers,
            "plan": orjson.loads(each.content),
        }
        for each in session.scalars(select(Plan).where(Plan.study_id == study.id).order_by(Plan.version))
    ]
    return _json({"opened_hash": study.opened_hash, "versions": versions})


def _trail(session: Session, study: Study) -> str:
    lines = session.scalars(select(Audit).where(Audit.study_id == study.id).order_by(Audit.id))
    return _json(
        [
            {"at": line.at.isoformat(), "actor": line.actor, "action": line.action, "detail": line.detail}
            for line in lines
        ]
    )


def _times(session: Session, study: Study) -> str:
    """Of every stored answer the time that the browser measured, and the one that the service saw, ms.

    The latter includes the network, and is known of first answers alone, where no clock was set back.
    """
    rows = session.execute(
        select(Rater.code, Assignment.position, Answer.revision, Answer.response_ms, Answer.server_ms)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Rater, Rater.id == Answer.rater_id)
        .where(Rater.study_id == study.id)
        .order_by(Answer.id)
    )
    lines = ["rater,trial,revision,response_ms,server_ms"]
    lines += [",".join("" if value is None else str(value) for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def _participants(session: Session, study: Study) -> str:
    """With which parameters of the address raters came, by their codes: whom Prolific is to pay. Not for publishing."""
    rows = session.execute(select(Rater.code, Rater.parameters).where(Rater.study_id == study.id).order_by(Rater.id))
    return _json({code: orjson.loads(parameters) for code, parameters in rows if parameters != "{}"})


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_TEXTS: dict[str, Callable[[Session, Study], str]] = {
    "codebook.md": lambda _session, _study: codebook(),
    "plan.json": _plans,
    "audit.json": _trail,
    "times.csv": _times,
    "participants.json": _participants,
}
