"""A running service's studies: the database, the folder of stimuli, the clock."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson
from cachetools import TTLCache
from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.database import Database, revision_of, upgrade
from app.database.engine import PATIENCE
from app.database.models import Audit, Plan, Stimulus, Study
from app.failures import NothingHereError, StorageError
from app.settings import MEGABYTE, Settings
from app.study.drawing import Drawings
from app.study.plan import StudyPlan, plan_of
from app.study.threads import Threads

Drawn = tuple[str, str, str]
"""What a stimulus shows: keys of picture and item (none for a bare picture), and the condition."""
FORGOTTEN = "(a rater who was deleted)"
"""What stands in audit trails, and in reasons, in place of a code whose rater was deleted."""
_CHECK_SECONDS = 2.0
"""How long a probe waits for a lock: every writer lets go of it sooner."""


def utc_now() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(UTC)


class Studies:
    """What every use case needs. The database is opened at first use: a service without studies never makes one.

    Args:
        clock: the present moment; tests turn it.
        patience: seconds to wait for the database's locks; a page is told to come back sooner than a command.

    Raises:
        ConfigError: the database's URL is malformed.
    """

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now, patience: float = PATIENCE):
        self.settings = settings
        self.clock = clock
        self.patience = patience
        self.writers = Threads(8)
        self.readers = Threads(8)
        self._made = Database(settings.study_database, patience)
        self._database: Database | None = None
        self._opening = threading.Lock()
        self._plans: dict[str, StudyPlan] = {}
        self._files: dict[int, dict[Drawn, str]] = {}
        self._near: TTLCache[tuple[str, str, str], Path] = TTLCache(maxsize=20_000, ttl=60)
        self._noting = threading.Lock()
        self.drawings = Drawings()

    @property
    def database(self) -> Database:
        """The database, its schema up to date.

        Raises:
            NothingHereError: nobody has created a study yet.
            StorageError: it cannot be reached.
        """
        return self._database or self.open(create=False)

    def known(self, ours: bool) -> Database:
        """The database, for somebody who brings what one of ours seems to have given out.

        Raises:
            NothingHereError: there is none, and nothing says that there ever was.
            StorageError: it cannot be reached, or has gone: its folder is missing, its tables are.
        """
        try:
            return self.database
        except NothingHereError as error:
            if ours:
                raise StorageError(f"there is no database at {self.settings.study_folder}") from error
            raise

    def open(self, create: bool) -> Database:
        """Open the database; `create` makes one where there is none."""
        if not self._opening.acquire(timeout=self.patience):
            raise StorageError(f"the database has not opened for {self.patience:g} s")
        try:
            if self._database is None:
                if not create and not self._is_there():
                    raise NothingHereError("there is no study yet; `lfi study create study.toml` makes one")
                upgrade(self._made)
                self._database = self._made
            return self._database
        finally:
            self._opening.release()

    def _is_there(self) -> bool:
        """Whether somebody has made the database: its file, and its tables."""
        file = self._made.file
        return (file is None or file.is_file()) and revision_of(self._made) is not None

    def check(self) -> None:
        """Whether answers could be stored now, if there are studies at all.

        Raises:
            StorageError: the database is away, locked, or read-only, or there is no room left.
        """
        try:
            self.database.check(_CHECK_SECONDS)
        except NothingHereError:
            return
        folder = self.settings.study_folder.resolve()
        there = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(there).free
        if free < self.settings.min_free_bytes:
            raise StorageError(f"{free / MEGABYTE:.1f} MB are free at {there}")

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        with self._opening:
            self._made.close()
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
