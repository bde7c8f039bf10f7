"""The tables of a study. Every constraint has a name, and what must never happen is forbidden here, not only in code.

What the constraints promise: a slot of a cell is held by one assignment (`uq_assignment_cell_id_slot`), so no cell
gets more answers than it wants; nobody meets a picture twice in one condition (`pk_exposure`); a retried request
stores nothing new (`uq_answer_rater_id_key`), and of two windows one wins (`uq_answer_assignment_id_revision`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.failures import StudyError
from lfi.errors import excerpt

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Time(TypeDecorator[datetime]):
    """A moment in UTC; SQLite itself keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Writing(TypeDecorator[str]):
    """Text. PostgreSQL stores no NUL, and nobody stores half of a surrogate pair: both are refused on either database.

    What raters write is rid of them before, so that no answer is lost.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        if value is not None and _UNWRITABLE.search(value):
            raise StudyError(f"{excerpt(value)!r} holds a character that cannot be stored, NUL or a lone surrogate")
        return value


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: Time(), str: Writing()}  # noqa: RUF012


def _one_of(column: str, *values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


class Study(Base):
    """A study; `opened_hash` is the hash of the plan it opened with, `entry_hash` the SHA-256 of its link's token."""

    __tablename__ = "study"
    __table_args__ = (UniqueConstraint("name"), _one_of("status", "draft", "open", "paused", "closed"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    opened_hash: Mapped[str | None]
    entry_hash: Mapped[str | None]


class Plan(Base):
    """A version of a study's plan. Versions are added, never changed; `answers` counts what was stored by then."""

    __tablename__ = "plan"
    __table_args__ = (UniqueConstraint("study_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    version: Mapped[int]
    content: Mapped[str]
    hash: Mapped[str]
    made_at: Mapped[datetime]
    answers: Mapped[int]


class Stimulus(Base):
    """A rendered file: an item's map in one condition, or a picture alone (condition `bare`, no item)."""

    __tablename__ = "stimulus"
    __table_args__ = (UniqueConstraint("study_id", "image", "item", "condition"), UniqueConstraint("file"))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    image: Mapped[str]
    item: Mapped[str]
    condition: Mapped[str]
    file: Mapped[str]


class Cell(Base):
    """What is counted: an item in a condition or with a contrast; practice and catch trials have no target."""

    __tablename__ = "cell"
    __table_args__ = (
        UniqueConstraint("study_id", "kind", "item", "first", "second"),
        _one_of("kind", "rating", "pair", "practice", "catch"),
        CheckConstraint("(target IS NULL) = (kind IN ('practice', 'catch'))", name="target"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    kind: Mapped[str]
    item: Mapped[str]
    image: Mapped[str]
    first: Mapped[str]
    second: Mapped[str]
    """Empty for a rating."""
    target: Mapped[int | None]


class Rater(Base):
    """Somebody who takes part, known by an opaque code; tokens are stored as SHA-256 alone.

    `lease_until`: until then the places held are kept. `row`: of the Latin square. `preview`: an owner's look.
    `parameters`: of the address that the rater first entered by, a JSON object. `check_failures`: failed attempts at
    the questions about the instructions.
    """

    __tablename__ = "rater"
    __table_args__ = (
        UniqueConstraint("code"),
        UniqueConstraint("token_hash"),
        UniqueConstraint("study_id", "prolific_pid"),
        _one_of("status", "invited", "consented", "active", "finished", "excluded"),
        CheckConstraint("(status = 'excluded') = (excluded_reason <> '')", name="reason"),
        Index(None, "study_id", "lease_until"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    code: Mapped[str]
    token_hash: Mapped[str | None]
    prolific_pid: Mapped[str | None]
    prolific_session: Mapped[str | None]
    language: Mapped[str]
    preview: Mapped[bool]
    row: Mapped[int | None]
    status: Mapped[str]
    created_at: Mapped[datetime]
    consented_at: Mapped[datetime | None]
    began_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    excluded_reason: Mapped[str] = mapped_column(default="")
    parameters: Mapped[str] = mapped_column(default="{}", server_default="{}")
    check_failures: Mapped[int] = mapped_column(default=0, server_default="0")


class Login(Base):
    """A browser that a rater entered with; its cookie's SHA-256."""

    __tablename__ = "login"
    __table_args__ = (UniqueConstraint("secret_hash"), Index(None, "rater_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    secret_hash: Mapped[str]
    made_at: Mapped[datetime]


class Assignment(Base):
    """A trial of a rater. `slot` is the place it holds in its cell: none for practice, catch and preview,
    nor once the rater is excluded. `public` is all that a browser knows of it."""

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("rater_id", "position"),
        UniqueConstraint("rater_id", "cell_id"),
        UniqueConstraint("cell_id", "slot"),
        UniqueConstraint("public"),
        CheckConstraint("slot >= 0", name="slot"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    cell_id: Mapped[int] = mapped_column(ForeignKey("cell.id"))
    position: Mapped[int]
    slot: Mapped[int | None]
    flipped: Mapped[bool]
    public: Mapped[str]
    shown_at: Mapped[datetime | None]
    answered: Mapped[bool] = mapped_column(default=False)


class Exposure(Base):
    """A rater has met, or is about to meet, this picture in this condition."""

    __tablename__ = "exposure"

    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"), primary_key=True)
    image: Mapped[str] = mapped_column(primary_key=True)
    condition: Mapped[str] = mapped_column(primary_key=True)
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("assignment.id", ondelete="SET NULL"), index=True)


class Answer(Base):
    """One stored answer; answers are added, never changed, and numbered from 0 without a gap (triggers see to both).

    Of a trial the highest revision counts, whatever the clock said when it was stored. `response_ms` is by the browser;
    `server_ms` is what the service saw, from sending the trial to its first answer.
    """

    __tablename__ = "answer"
    __table_args__ = (
        UniqueConstraint("rater_id", "key"),
        UniqueConstraint("assignment_id", "revision"),
        CheckConstraint("response_ms >= 0", name="response_ms"),
        CheckConstraint("revision >= 0", name="revision"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignment.id"))
    rater_id: Mapped[int] = mapped_column(ForeignKey("rater.id"))
    key: Mapped[str]
    revision: Mapped[int]
    value: Mapped[str]
    response_ms: Mapped[int]
    server_ms: Mapped[int | None]
    comment: Mapped[str]
    language: Mapped[str]
    stored_at: Mapped[datetime]


class Audit(Base):
    """Who did what to a study, and when; no row names a person."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "study_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    detail: Mapped[str]


_VIEWS = MetaData()
CURRENT = Table("current_answer", _VIEWS, *(column._copy() for column in Answer.__table__.columns))
"""The view of the answers that count: of every trial the one with the highest revision."""
