"""The raters' part of the service: entry, page, and the few requests that the page makes.

`GET /s/TOKEN` and `GET /study?PROLIFIC_PID=...` sign a browser in (a cookie that scripts cannot read) and lead to the
page at `/study`, whose address then holds no secret. `POST /study/api/...` take and give JSON; each needs the cookie,
our own origin and the token that `session` hands out.

What happens to an answer is said about this very answer: `stored` names its key where it is stored, and a refusal names
it as `refused` where the same answer can never be. Whatever else comes back, a client keeps it and sends it again.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from app.failures import NothingHereError, NotNowError, NotYoursError, StudyError, kind_of
from app.study.answers import SubmittedAnswer
from app.study.examples import example_picture
from app.study.page import stranger_page, study_page
from app.study.raters import csrf_token, enter_by_token, enter_from_prolific
from app.study.service import Studies
from app.study.session import RaterSession
from app.web.forms import check_origin, read_json
from app.web.pages import PRIVATE, page, root_of
from app.web.problems import problem

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
async def enter(request: Request, studies: StudiesDep, token: str) -> Response:
    """By invitation."""
    try:
        secret = await studies.writers.run(enter_by_token, studies, token, dict(request.query_params))
    except NothingHereError:
        return page(stranger_page(studies.settings, depth=1), 404)
    return _signed_in(request, secret, "../study")


@router.get("/study")
async def show_page(
    request: Request,
    studies: StudiesDep,
    pid: Annotated[str | None, Query(alias="PROLIFIC_PID")] = None,
    prolific_study: Annotated[str, Query(alias="STUDY_ID")] = "",
    prolific_session: Annotated[str, Query(alias="SESSION_ID")] = "",
    entry: str = "",
) -> Response:
    """The page; with Prolific's ids in the address, the entrance from there."""
    if pid is None and studies.settings.study_page == "gradio":
        return RedirectResponse(f"study/?{request.url.query}".rstrip("?"), 303, PRIVATE)
    if pid is None:
        return page(study_page(studies.settings))
    try:
        parameters = {name: value for name, value in request.query_params.items() if name != "entry"}
        ids = (pid, prolific_study, prolific_session)
        secret = await studies.writers.run(enter_from_prolific, studies, *ids, entry, parameters)
    except (NothingHereError, NotYoursError):
        return page(stranger_page(studies.settings), 404)
    return _signed_in(request, secret, "study")


@router.post("/study/api/session")
async def resume(request: Request, session: SessionDep) -> dict[str, Any]:
    """Where this browser's rater is, and the token that all other requests need."""
    check_origin(request)
    await read_json(request)
    state = await session.studies.writers.run(session.resume)
    return state | {"csrf": csrf_token(session.secret or "")}


@router.post("/study/api/consent")
async def consent(request: Request, session: SessionDep) -> dict[str, Any]:
    """The rater agrees: `{"language"}`."""
    fields = await _checked(request)
    return await session.studies.writers.run(session.consent, _text(fields, "language"))


@router.post("/study/api/begin")
async def begin(request: Request, session: SessionDep) -> dict[str, Any]:
    """The instructions were read: `{"answers": [1, ...], "attempt": 0}`, where there are questions about them.

    `attempt` is what the page's state said, so that a request that is sent again counts once.
    """
    fields = await _checked(request)
    answers = fields.get("answers", [])
    if not isinstance(answers, list) or not all(type(each) is int for each in answers):
        raise StudyError("answers are not a list of whole numbers")
    attempt = fields.get("attempt")
    if attempt is not None and type(attempt) is not int:
        raise StudyError("attempt is not a whole number")
    return await session.studies.writers.run(session.begin, answers, attempt)


@router.post("/study/api/decline")
async def decline(request: Request, session: SessionDep) -> dict[str, Any]:
    """The rater does not want to take part."""
    await _checked(request)
    return await session.studies.writers.run(session.decline)


@router.post("/study/api/language")
async def speak(request: Request, session: SessionDep) -> dict[str, Any]:
    """Another language: `{"language"}`."""
    fields = await _checked(request)
    return await session.studies.writers.run(session.speak, _text(fields, "language"))


@router.post("/study/api/look")
async def look(request: Request, session: SessionDep) -> dict[str, Any]:
    """A trial that was answered before: `{"trial"}`."""
    fields = await _checked(request)
    return await session.studies.readers.run(session.look, _text(fields, "trial"))


@router.post("/study/api/answer", response_model=None)
async def answer(request: Request, session: SessionDep) -> dict[str, Any] | Response:
    """An answer, see `SubmittedAnswer`."""
    fields = await _checked(request)
    try:
        given = SubmittedAnswer.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        wrong = StudyError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}")
        key = fields.get("key")
        return problem(request, kind_of(wrong), str(wrong), refused=key if isinstance(key, str) else None)
    try:
        return await session.studies.writers.run(session.answer, given)
    except NotNowError:
        raise
    except (NothingHereError, StudyError) as error:
        return problem(request, kind_of(error), str(error), refused=given.key)


@router.get("/study/examples/{name}")
def example(studies: StudiesDep, name: str) -> Response:
    """A picture of the instructions, the same for everybody."""
    data = example_picture(studies.settings.static_dir, name)
    return Response(data, media_type="image/webp", headers={"Cache-Control": "public, max-age=3600"})


@router.get("/study/pictures/{trial}/{side}")
async def picture(session: SessionDep, trial: str, side: str) -> Response:
    """A picture of one of the rater's own trials. No date and no entity tag: they could sort conditions."""
    path = session.near(trial, side)
    if path is None or not path.is_file():
        path = await session.studies.readers.run(session.picture, trial, side)
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


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise StudyError(f"{name} is missing or not a string")
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
