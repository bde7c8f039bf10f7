"""The raters' part of the service: entry, page, and the few requests that the page makes.

`GET /s/TOKEN` and `GET /study?PROLIFIC_PID=...` sign a browser in (a cookie that scripts cannot read) and lead to the
page at `/study`, whose address then holds no secret. `POST /study/api/...` take and give JSON; each needs the cookie,
our own origin and the token that `session` hands out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from app.failures import NothingHereError, NotYoursError, StudyError
from app.study.answers import SubmittedAnswer
from app.study.page import stranger_page, study_page
from app.study.raters import csrf_token, enter_by_token, enter_from_prolific
from app.study.service import Studies
from app.study.session import RaterSession
from app.web.forms import check_origin, read_json
from app.web.pages import PRIVATE, page, root_of

router = APIRouter(include_in_schema=False)
COOKIE = "lfi_rater"
CSRF_HEADER = "X-CSRF-Token"
_MONTH = 30 * 24 * 3600


async def get_studies(request: Request) -> Studies:
    """This application's studies."""
    return request.app.state.studies


StudiesDep = Annotated[Studies, Depends(get_studies)]


async def get_session(request: Request, studies: StudiesDep) -> RaterSession:
    """The session of the browser that asks; nobody's where it has no cookie."""
    return RaterSession(studies, request.cookies.get(COOKIE))


SessionDep = Annotated[RaterSession, Depends(get_session)]


@router.get("/s/{token}")
def enter(request: Request, studies: StudiesDep, token: str) -> Response:
    """By invitation."""
    try:
        secret = enter_by_token(studies, token)
    except NothingHereError:
        return page(stranger_page(studies.settings, depth=1), 404)
    return _signed_in(request, secret, "../study")


@router.get("/study")
def show_page(
    request: Request,
    studies: StudiesDep,
    pid: Annotated[str | None, Query(alias="PROLIFIC_PID")] = None,
    prolific_study: Annotated[str, Query(alias="STUDY_ID")] = "",
    prolific_session: Annotated[str, Query(alias="SESSION_ID")] = "",
) -> Response:
    """The page; with Prolific's ids in the address, the entrance from there."""
    if pid is None:
        return page(study_page(studies.settings))
    try:
        secret = enter_from_prolific(studies, pid, prolific_study, prolific_session)
    except (NothingHereError, NotYoursError):
        return page(stranger_page(studies.settings), 404)
    return _signed_in(request, secret, "study")


@router.post("/study/api/session")
async def resume(request: Request, session: SessionDep) -> dict[str, Any]:
    """Where this browser's rater is, and the token that all other requests need."""
    check_origin(request)
    await read_json(request)
    state = await anyio.to_thread.run_sync(session.resume)
    return state | {"csrf": csrf_token(session.secret or "")}


@router.post("/study/api/consent")
async def consent(request: Request, session: SessionDep) -> dict[str, Any]:
    """The rater agrees: `{"language"}`."""
    fields = await _checked(request)
    return await _run(session.consent, _text(fields, "language"))


@router.post("/study/api/begin")
async def begin(request: Request, session: SessionDep) -> dict[str, Any]:
    """The instructions were read."""
    await _checked(request)
    return await _run(session.begin)


@router.post("/study/api/language")
async def speak(request: Request, session: SessionDep) -> dict[str, Any]:
    """Another language: `{"language"}`."""
    fields = await _checked(request)
    return await _run(session.speak, _text(fields, "language"))


@router.post("/study/api/look")
async def look(request: Request, session: SessionDep) -> dict[str, Any]:
    """A trial that was answered before: `{"trial"}`."""
    fields = await _checked(request)
    return await _run(session.look, _text(fields, "trial"))


@router.post("/study/api/answer")
async def answer(request: Request, session: SessionDep) -> dict[str, Any]:
    """An answer, see `SubmittedAnswer`."""
    fields = await _checked(request)
    try:
        given = SubmittedAnswer.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error
    return await _run(session.answer, given)


@router.get("/study/pictures/{trial}/{side}")
async def picture(session: SessionDep, trial: str, side: str) -> Response:
    """A picture of one of the rater's own trials. No date and no entity tag: they could sort conditions."""
    path = session.near(trial, side)
    if path is None or not path.is_file():
        path = await anyio.to_thread.run_sync(session.picture, trial, side)
    data = path.read_bytes()  # some ten kilobytes of a local file: quicker than handing them to a thread
    return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


async def _checked(request: Request) -> dict[str, Any]:
    check_origin(request)
    _check_csrf(request)
    return await read_json(request)


def _check_csrf(request: Request) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not secrets.compare_digest(given.encode(), csrf_token(request.cookies.get(COOKIE, "")).encode()):
        raise NotYoursError(f"the header {CSRF_HEADER} is missing or wrong; load the page again")


async def _run(step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    return await anyio.to_thread.run_sync(step, *arguments)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise StudyError(f"{name} is missing or not a text")
    return value


def _signed_in(request: Request, secret: str, to: str) -> Response:
    """Relative, so that it holds under any path a proxy publishes us under."""
    answer = RedirectResponse(to, 303, PRIVATE)
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=_MONTH,
        path=root_of(request) + "/study",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer
