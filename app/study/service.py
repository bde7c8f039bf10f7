"""A running service's studies: the database, the folder of stimuli, the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson
from cachetools import TTLCache
from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.database import Database, upgrade
from app.database.models import Audit, Plan, Stimulus, Study
from app.failures import NothingHereError
from app.settings import Settings
from app.study.plan import StudyPlan, plan_of

Drawn = tuple[str, str, str]
"""What a stimulus shows: keys of picture and item (none for a bare picture), and the condition."""


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
        self._plans: dict[str, StudyPlan] = {}
        self._files: dict[int, dict[Drawn, str]] = {}
        self._near: TTLCache[tuple[str, str, str], Path] = TTLCache(maxsize=20_000, ttl=60)
        self._noting = threading.Lock()

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
                    raise NothingHereError("there is no study yet; `lfi study create study.toml` makes one")
                upgrade(database)
                self._database = database
            return self._database

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        with self._opening:
            if self._database is not None:
                self._database.close()
            self._database = None
            self._files.clear()
            self._near.clear()

    def stimuli(self, name: str) -> Path:
        """The folder of a study's rendered files; nothing serves it."""
        return self.settings.study_folder / name

    def pictures(self, name: str) -> Path:
        """The folder of a draft's scaled pictures, by the SHA-256 of their files; gone once the study has opened."""
        return self.settings.study_folder / f"{name}.pictures"

    def stimulus(self, session: Session, study: int, name: str, drawn: Drawn) -> Path | None:
        """A rendered file of the study with this id and name; None where there is no such one."""
        for known in (True, False):  # once more from the database: a draft that was created again has other files
            if not known or study not in self._files:
                rows = session.execute(
                    select(Stimulus.image, Stimulus.item, Stimulus.condition, Stimulus.file).where(
                        Stimulus.study_id == study
                    )
                )
                self._files[study] = {(row.image, row.item, row.condition): row.file for row in rows}
            file = self._files[study].get(drawn)
            if file and (path := self.stimuli(name) / file).is_file():
                return path
        return None

    def note_near(self, pictures: Mapping[tuple[str, str, str], Path]) -> None:
        """Remember for a minute what raters may see next, by the digest of their cookie, the trial and the side."""
        with self._noting:
            self._near.update(pictures)

    def near(self, login: str, trial: str, side: str) -> Path | None:
        """A picture of those."""
        with self._noting:
            return self._near.get((login, trial, side))

    def plan(self, session: Session, study: Study) -> StudyPlan:
        """The newest version of the study's plan; read-only, shared between threads."""
        return self.plan_hashed(session, session.scalars(newest_plan(study.id)).one())

    def plan_hashed(self, session: Session, hash: str) -> StudyPlan:
        """The plan with this hash; read once."""
        if hash not in self._plans:
            content = session.scalars(select(Plan.content).where(Plan.hash == hash).limit(1)).one()
            self._plans[hash] = plan_of(orjson.loads(content))
        return self._plans[hash]


def newest_plan(study: InstrumentedAttribute[int] | int) -> Select[str]:
    """The hash of a study's newest plan; `study` is the study's id, or a column that holds it."""
    return select(Plan.hash).where(Plan.study_id == study).order_by(Plan.version.desc()).limit(1)


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
    """The study, locked: places are given and counted one transaction at a time."""
    return session.scalars(select(Study).where(Study.id == id).with_for_update()).one()


def note(session: Session, study: Study, at: datetime, actor: str, action: str, detail: str = "") -> None:
    """Add a line to the study's audit trail."""
    session.add(Audit(study_id=study.id, at=at, actor=actor, action=action, detail=detail))
