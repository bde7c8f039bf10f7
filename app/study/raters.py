"""Who takes part: invitations, entry by token or from Prolific, and the signed-in browsers.

Tokens and cookies are 192 random bits and stored as SHA-256 alone: reading the database does not let anyone sign in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.database.models import Login, Rater, Study
from app.failures import NothingHereError, NotYoursError, StudyError
from app.study.service import Studies, find_study, lock_study, note

NOBODY = "nobody is signed in; open the link of your invitation"
_PID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Invitation:
    """A place in a study: the rater's code, which exports name, and the token of their link."""

    code: str
    token: str


def invite(studies: Studies, name: str, count: int, actor: str, preview: bool = False) -> list[Invitation]:
    """New raters of a study. Their tokens are shown this once.

    Raises:
        StudyError: the study is closed, or `count` is not from 1 to 10,000.
    """
    if not 1 <= count <= 10_000:
        raise StudyError(f"{count} invitations were requested; 1 to 10000 was expected")
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        if study.status == "closed" and not preview:
            raise StudyError(f"study {name!r} is closed; nobody can be invited")
        made = []
        for _ in range(count):
            token = secrets.token_urlsafe(24)
            rater = _new_rater(session, studies, study, preview=preview, token_hash=digest(token))
            made.append(Invitation(rater.code, token))
        note(session, study, studies.clock(), actor, "previewed" if preview else "invited", f"{count}")
        return made


def enter_by_token(studies: Studies, token: str) -> str:
    """Sign a browser in; the secret of its cookie.

    Raises:
        NothingHereError: nobody was invited with this token.
    """
    with studies.database.writing() as session:
        rater = session.scalar(select(Rater).where(Rater.token_hash == digest(token)))
        if rater is None:
            raise NothingHereError("this invitation does not exist")
        return _sign_in(session, studies, rater)


def enter_from_prolific(studies: Studies, pid: str, prolific_study: str, prolific_session: str) -> str:
    """Sign in whoever Prolific sends, as a new rater or as the one who came before with the same session.

    Raises:
        NothingHereError: no open study takes people from there, or an id is malformed.
        NotYoursError: this person entered with a different SESSION_ID, so this may be somebody else.
    """
    if not (_PID.fullmatch(pid) and _PID.fullmatch(prolific_session)):
        raise NothingHereError("PROLIFIC_PID and SESSION_ID are needed: letters, digits, dashes")
    with studies.database.writing(alone=True) as session:
        study = _prolific_study(session, studies, prolific_study)
        rater = session.scalar(select(Rater).where(Rater.study_id == study.id, Rater.prolific_pid == pid))
        if rater is None:
            if study.status != "open":
                raise NothingHereError("the study is not taking anyone at the moment")
            rater = _new_rater(session, studies, study, prolific_pid=pid, prolific_session=prolific_session)
        elif not secrets.compare_digest(rater.prolific_session or "", prolific_session):
            raise NotYoursError("this person entered with a different SESSION_ID")
        return _sign_in(session, studies, rater)


def rater_of(session: Session, secret: str | None) -> Rater:
    """The rater whose browser holds this cookie.

    Raises:
        NotYoursError: nobody's does.
    """
    rater = session.scalar(signed_in(secret))
    if rater is None:
        raise NotYoursError(NOBODY)
    return rater


def signed_in(secret: str | None) -> Select[Rater]:
    """Whose browser holds this cookie: one rater or none."""
    return select(Rater).join(Login, Login.rater_id == Rater.id).where(Login.secret_hash == digest(secret or ""))


def csrf_token(secret: str) -> str:
    """What a page of ours sends along with every request, and no other site can know."""
    return digest(f"csrf {secret}")


def digest(secret: str) -> str:
    """SHA-256 in hex; enough for secrets that are random to begin with."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _new_rater(session: Session, studies: Studies, study: Study, **values: object) -> Rater:
    rater = Rater(
        study_id=study.id,
        code="r" + secrets.token_hex(5),
        language=studies.plan(session, study).languages[0],
        status="invited",
        created_at=studies.clock(),
        **{"preview": False, "excluded_reason": "", **values},
    )
    session.add(rater)
    session.flush()
    return rater


def _sign_in(session: Session, studies: Studies, rater: Rater) -> str:
    secret = secrets.token_urlsafe(24)
    session.add(Login(rater_id=rater.id, secret_hash=digest(secret), made_at=studies.clock()))
    return secret


def _prolific_study(session: Session, studies: Studies, wanted: str) -> Study:
    for study in session.scalars(select(Study).where(Study.status != "draft").order_by(Study.id.desc())):
        rules = studies.plan(session, study).rules
        if rules.prolific and rules.prolific_study in ("", wanted):
            return lock_study(session, study.id)
    raise NothingHereError("no study is taking people from Prolific")


def row_of(session: Session, study: Study) -> int:
    """The Latin square's row for the next rater: how many began so far, including drop-outs."""
    begun = (
        select(func.count())
        .select_from(Rater)
        .where(Rater.study_id == study.id, Rater.row.is_not(None), ~Rater.preview)
    )
    return session.scalars(begun).one()
