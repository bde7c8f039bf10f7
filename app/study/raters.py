"""Who takes part: invitations, entry by token or from Prolific, and the signed-in browsers.

Tokens and cookies are 192 random bits and stored as SHA-256 alone: reading the database does not let anyone sign in.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.database.models import Login, Rater, Study
from app.failures import NothingHereError, NotYoursError, StudyError
from app.settings import Settings
from app.study.plan import RulesPlan
from app.study.service import Studies, find_study, lock_study, note

NOBODY = "nobody is signed in; open the link of your invitation"
_PID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRET_BYTES = 24
_MOST_PARAMETERS = 30
_SECRET = re.compile(r"[A-Za-z0-9_-]{32}")


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
            token = secrets.token_urlsafe(_SECRET_BYTES)
            rater = _new_rater(session, studies, study, preview=preview, token_hash=digest(token))
            made.append(Invitation(rater.code, token))
        note(session, study, studies.clock(), actor, "previewed" if preview else "invited", f"{count}")
        return made


def admit(studies: Studies, name: str, pids: Sequence[str], actor: str) -> int:
    """Put people on the list of those who may enter from Prolific; how many are new on it.

    Raises:
        StudyError: an id that cannot be one, or a study that does not go by a list.
    """
    for pid in pids:
        if not _PID.fullmatch(pid):
            raise StudyError(f"{pid!r} is not a Prolific id; letters, digits and dashes were expected")
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        if studies.plan(session, study).rules.entry != "listed":
            raise StudyError(f"study {name!r} has no list; rules.entry in its plan is not 'listed'")
        known = set(session.scalars(select(Rater.prolific_pid).where(Rater.study_id == study.id)))
        new = [pid for pid in dict.fromkeys(pids) if pid not in known]
        for pid in new:
            _new_rater(session, studies, study, prolific_pid=pid)
        note(session, study, studies.clock(), actor, "admitted", f"{len(new)}")
        return len(new)


def new_link(studies: Studies, name: str, actor: str) -> str:
    """The token of a new link from Prolific to a study; a link made before opens nothing any more.

    Raises:
        StudyError: the study does not go by a signed link.
    """
    token = secrets.token_urlsafe(_SECRET_BYTES)
    with studies.database.writing() as session:
        study = find_study(session, name, lock=True)
        if studies.plan(session, study).rules.entry != "signed":
            raise StudyError(f"study {name!r} has no link; rules.entry in its plan is not 'signed'")
        study.entry_hash = digest(token)
        note(session, study, studies.clock(), actor, "linked")
    return token


def enter_by_token(studies: Studies, token: str, parameters: Mapping[str, str] | None = None) -> str:
    """Sign a browser in; the secret of its cookie.

    Args:
        parameters: of the address; those of the first time are kept.

    Raises:
        NothingHereError: nobody was invited with this token.
    """
    with studies.known(is_ours(token)).writing() as session:
        rater = session.scalar(select(Rater).where(Rater.token_hash == digest(token)))
        if rater is None:
            raise NothingHereError("this invitation does not exist")
        return _sign_in(session, studies, rater, parameters or {})


def enter_from_prolific(
    studies: Studies,
    pid: str,
    prolific_study: str,
    prolific_session: str,
    entry: str = "",
    parameters: Mapping[str, str] | None = None,
) -> str:
    """Sign in whoever Prolific sends, as a new rater or as the one who came before with the same session.

    Args:
        entry: the token of a signed link.
        parameters: as of `enter_by_token`.

    Raises:
        NothingHereError: no open study takes people from there, an id is malformed, or the plan lets others in alone.
        NotYoursError: this person entered with a different SESSION_ID, so this may be somebody else.
    """
    if not (_PID.fullmatch(pid) and _PID.fullmatch(prolific_session)):
        raise NothingHereError("PROLIFIC_PID and SESSION_ID are needed: letters, digits, dashes")
    with studies.known(ours=True).writing(alone=True) as session:
        study, rules = _prolific_study(session, studies, prolific_study)
        if rules.entry == "signed" and not secrets.compare_digest(study.entry_hash or "", digest(entry)):
            raise NothingHereError("this is not the link of the study, or not its latest one")
        rater = session.scalar(select(Rater).where(Rater.study_id == study.id, Rater.prolific_pid == pid))
        if rater is None:
            if study.status != "open" or rules.entry == "listed":
                raise NothingHereError("the study is not taking anyone at the moment")
            rater = _new_rater(session, studies, study, prolific_pid=pid)
        if rater.prolific_session is None:
            rater.prolific_session = prolific_session
        elif not secrets.compare_digest(rater.prolific_session, prolific_session):
            raise NotYoursError("this person entered with a different SESSION_ID")
        return _sign_in(session, studies, rater, parameters or {})


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


def is_ours(secret: str | None) -> bool:
    """Whether a token or a cookie has the form of those that are given out here."""
    return _SECRET.fullmatch(secret or "") is not None


def csrf_token(secret: str) -> str:
    """What a page of ours sends along with every request, and no other site can know."""
    return digest(f"csrf {secret}")


def invitation_address(settings: Settings, asked: str) -> str:
    """Where invitations lead: as configured, since whoever sends a request may name any host in it.

    Args:
        asked: the address by which the owner reached the service; it counts on this machine alone.

    Raises:
        StudyError: other machines are to follow the links, and LFI_ADDRESS is not set.
    """
    if settings.address:
        return settings.address
    host = urlsplit(asked).hostname or ""
    if host != "localhost" and not _is_local(host):
        raise StudyError("set LFI_ADDRESS to where raters find this service, such as https://lab.example/lfi")
    return asked.rstrip("/")


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def page_name(rater: Rater) -> str:
    """The rater's name in their own browser, the same whichever cookie they came back with; no export holds it."""
    return digest(f"page {rater.code}")[:24]


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


def _sign_in(session: Session, studies: Studies, rater: Rater, parameters: Mapping[str, str]) -> str:
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    session.add(Login(rater_id=rater.id, secret_hash=digest(secret), made_at=studies.clock()))
    if rater.parameters == "{}" and rater.status != "excluded":  # of who declined nothing is kept
        rater.parameters = json.dumps(_kept(parameters), ensure_ascii=False)
    return secret


def _kept(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters as they are stored: as many and as long as a panel would send; PostgreSQL keeps no NUL."""
    few = list(parameters.items())[:_MOST_PARAMETERS]
    return {name[:64].replace("\0", ""): value[:256].replace("\0", "") for name, value in few}


def _prolific_study(session: Session, studies: Studies, wanted: str) -> tuple[Study, RulesPlan]:
    for study in session.scalars(select(Study).where(Study.status != "draft").order_by(Study.id.desc())):
        rules = studies.plan(session, study).rules
        if rules.prolific and rules.prolific_study in ("", wanted):
            return lock_study(session, study.id), rules
    raise NothingHereError("no study is taking people from Prolific")


def row_of(session: Session, study: Study) -> int:
    """The Latin square's row for the next rater: how many began so far, including drop-outs."""
    begun = (
        select(func.count())
        .select_from(Rater)
        .where(Rater.study_id == study.id, Rater.row.is_not(None), ~Rater.preview)
    )
    return session.scalars(begun).one()
