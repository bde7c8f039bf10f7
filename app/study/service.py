"""A running service's studies: the database, the folder of stimuli, the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.database import Database, upgrade
from app.database.models import Audit, Plan, Study
from app.settings import Settings
from app.study.errors import NothingHereError
from app.study.plan import StudyPlan, plan_of


def utc_now() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(UTC)


class Studies:
    """What every use case needs. The database is opened at first use: a service without studies never makes one.

    Args:
        clock: the present moment; tests turn it.
    """

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now):
        self.settings = settings
        self.clock = clock
        self._database: Database | None = None
        self._opening = threading.Lock()
        self._plans: dict[int, StudyPlan] = {}

    @property
    def database(self) -> Database:
        """The database, its schema up to date.

        Raises:
            NothingHereError: nobody has created a study yet.
            DataError: it cannot be reached.
        """
        return self._database or self.open(create=False)

    def open(self, create: bool) -> Database:
        """Open the database; `create` makes one where there is none."""
        with self._opening:
            if self._database is None:
                database = Database(self.settings.study_database)
                if not create and database.file and not database.file.is_file():
                    raise NothingHereError("there is no study here; `lfi study create study.toml` makes one")
                upgrade(database)
                self._database = database
            return self._database

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        with self._opening:
            if self._database is not None:
                self._database.close()
            self._database = None

    def stimuli(self, name: str) -> Path:
        """The folder of a study's rendered files; nothing serves it."""
        return self.settings.study_folder / name

    def plan(self, session: Session, study: Study) -> StudyPlan:
        """The newest version of the study's plan; read-only, shared between threads."""
        return self.plan_numbered(session, session.scalars(newest_plan(study.id)).one())

    def plan_numbered(self, session: Session, number: int) -> StudyPlan:
        """The plan with this primary key, which never changes; read once."""
        if number not in self._plans:
            content = session.scalars(select(Plan.content).where(Plan.id == number)).one()
            self._plans[number] = plan_of(orjson.loads(content))
        return self._plans[number]


def newest_plan(study: InstrumentedAttribute[int] | int) -> Select[int]:
    """The primary key of a study's newest plan; `study` is the study's, or a column that holds it."""
    return select(Plan.id).where(Plan.study_id == study).order_by(Plan.version.desc()).limit(1)


def find_study(session: Session, name: str, lock: bool = False) -> Study:
    """The study of this name; `lock` keeps others from deciding anything about it meanwhile.

    Raises:
        NothingHereError: there is none.
    """
    query = select(Study).where(Study.name == name)
    study = session.scalar(query.with_for_update() if lock else query)
    if study is None:
        known = ", ".join(session.scalars(select(Study.name).order_by(Study.name))) or "none"
        raise NothingHereError(f"there is no study {name!r}; there are: {known}")
    return study


def lock_study(session: Session, id: int) -> Study:
    """The study, locked: whoever gives or counts places does it one after another."""
    return session.scalars(select(Study).where(Study.id == id).with_for_update()).one()


def note(session: Session, study: Study, at: datetime, actor: str, action: str, detail: str = "") -> None:
    """Add a line to the study's audit trail."""
    session.add(Audit(study_id=study.id, at=at, actor=actor, action=action, detail=detail))
