"""Every error as `application/problem+json` (RFC 9457): type, title, status, detail, instance.

A browser that opens an address gets the same as a page.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.failures import MALFORMED, REQUEST_TOO_LARGE, GoneError, Kind, StorageError, kind_of, plain
from app.web.error_page import error_page, page_policy
from app.web.holding import hold_back
from app.web.negotiation import PROBLEM, prefers_page
from lfi.errors import LFIError, UnknownWordError

RETRY_SECONDS = 2
log = logging.getLogger("lfi.problems")


class Suggestion(BaseModel):
    """A word that is known."""

    word: str
    instead_of: str | None = Field(description="The unknown word that it is near to; null if it is seen in the image.")
    presence: float | None = Field(description="How likely it is in the image; null if that was not asked.")


class Problem(BaseModel):
    """A problem as RFC 9457 describes it."""

    type: str = Field(description="Names the kind of problem; `about:blank` where the status says it all.")
    title: str = Field(description="The kind of problem in a few words, the same each time.")
    status: int = Field(description="The HTTP status, repeated.")
    detail: str = Field(description="What was wrong this time, with the value, and what would be right.")
    instance: str = Field(description="The path that was asked.")
    request_id: str = Field(description="The answer's `X-Request-ID`, by which the service's log can be searched.")
    unknown: dict[str, list[str]] | None = Field(
        None, description="For unknown words: each of them with the nearest words that are known, best first."
    )
    suggestions: list[Suggestion] | None = Field(
        None,
        description="For unknown words: known ones to try instead. First those nearest in meaning, then, where the "
        "models are calibrated for it, those that the teacher sees in this image.",
    )
    trios: list[str] | None = Field(None, description="Other trios that know all the words that were asked for.")
    errors: list[dict[str, str]] | None = Field(
        None, description="For malformed requests: each wrong field and what is wrong with it."
    )


def problem(
    request: Request, kind: Kind, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """One problem as a response: a page for a browser, JSON for everybody else.

    Args:
        more: members of `Problem` that this kind has in addition to the common ones.
    """
    body = {
        "type": type_of(kind),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": request.scope["path"],
        "request_id": request.scope["lfi.request_id"],
        **more,
    }
    headers = {**(headers or {}), "Vary": "Accept"}
    if prefers_page(request.headers.get("accept", "")):
        html = error_page(body, f"{request.app.state.settings.root_path}/")
        return HTMLResponse(html, kind.status, {**headers, "Content-Security-Policy": page_policy()})
    return Response(orjson.dumps(body), status_code=kind.status, headers=headers, media_type=PROBLEM)


def type_of(kind: Kind) -> str:
    """The URI that names the kind; RFC 9457's `about:blank` where the status says it all."""
    return f"urn:problem-type:lfi:{kind.name}" if kind.name else "about:blank"


def answer_lfi_error(request: Request, error: Exception) -> Response:
    """An error that a user can act on, as `app.failures` says."""
    assert isinstance(error, LFIError)
    kind = kind_of(error)
    wait = math.ceil(getattr(error, "retry_after", RETRY_SECONDS))
    headers = {"Retry-After": str(wait)} if kind.status in (429, 503) else None
    more = {}
    if isinstance(error, StorageError):
        log.warning("storage", extra={"reason": error.reason})
    if isinstance(error, UnknownWordError):
        more = {"unknown": error.nearest, "suggestions": suggestions(error), "trios": list(error.trios)}
    return problem(request, kind, str(error), headers, **more)


def suggestions(error: UnknownWordError) -> list[dict[str, Any]]:
    """Words to try instead of unknown ones as plain values; `Suggestion` describes them."""
    seen = dict(error.seen)
    near = {known: word for word, nearest in reversed(error.nearest.items()) for known in nearest}
    return [
        {"word": word, "instead_of": near.get(word), "presence": seen.get(word)}
        for word in dict.fromkeys((*(known for nearest in error.nearest.values() for known in nearest), *seen))
    ]


def answer_http_error(request: Request, error: Exception) -> Response:
    """What the framework refuses: 404, 405, 413, a body that is not a multipart form."""
    assert isinstance(error, HTTPException)
    return _framework_problem(request, error.status_code, str(error.detail), error.headers or {})


def _said(body: bytes) -> str | list[Any]:
    """What a framework's error says: a text, or the wrong fields."""
    try:
        said = orjson.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    said = said.get("detail") if isinstance(said, dict) else None
    return said if isinstance(said, list) else str(said or "no reason was given")


def _framework_problem(request: Request, status: int, detail: str, headers: Mapping[str, str]) -> Response:
    kind = plain(status)
    if status == 404:
        detail = f"there is nothing at {request.scope['path']}"
    elif status == 405:
        detail = f"{request.method} is not allowed at {request.scope['path']}"
    elif status == 413:
        limit = (request.scope.get(MAX_BODY_SIZE_SCOPE_KEY) or request.app.max_body_size or 0) / 1e6
        kind, detail = REQUEST_TOO_LARGE, f"the request is larger than {limit:g} MB, which is the limit"
    return problem(request, kind, detail, headers)


def answer_validation_error(request: Request, error: Exception) -> Response:
    """A field that is missing or of the wrong type."""
    assert isinstance(error, RequestValidationError)
    return _validation_problem(request, error.errors())


def _validation_problem(request: Request, wrong: Sequence[Any]) -> Response:
    errors = [_wrong_field(item) for item in wrong]
    detail = "; ".join(f"{item['field']}: {item['detail']}" for item in errors)
    return problem(request, MALFORMED, detail, errors=errors)


def _wrong_field(item: dict[str, Any]) -> dict[str, str]:
    where = [str(part) for part in item["loc"]]
    said = "a file was expected" if "UploadFile" in item["msg"] else item["msg"].removeprefix("Value error, ")
    return {"field": ".".join(where[1:] or where), "detail": said}


def answer_gone(request: Request, error: Exception) -> Response:
    """A client that went before its request was complete: nobody reads this, and it is no fault of ours."""
    return problem(request, kind_of(GoneError), "the client went before its request was complete")


def answer_failure(request: Request, error: Exception) -> Response:
    """A fault of ours. The traceback goes to the log, never to the client."""
    return problem(request, plain(500), "the service failed on this request; the log says why")


def install_problems(app: FastAPI) -> None:
    """Make the application answer all its errors as problems."""
    app.add_exception_handler(LFIError, answer_lfi_error)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    app.add_exception_handler(ClientDisconnect, answer_gone)
    app.add_exception_handler(Exception, answer_failure)


class PlainErrorsAsProblems:
    """Turns the frameworks' own errors into problems.

    Starlette's body limit and CORS answer for themselves, in plain text and outside the exception handlers,
    so this wraps the whole application from outside. Below the mounted page, errors are its framework's JSON.
    """

    def __init__(self, app: ASGIApp, page: str):
        self.app = app
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request({**scope})  # a mounted application puts itself into the scope
        on_page = scope["path"].removeprefix(scope.get("root_path", "")).startswith(self.page + "/")

        async def as_problem(start: Message, body: bytes) -> None:
            headers = Headers(raw=start["headers"]).items()
            kept = {name: value for name, value in headers if name not in _REPLACED}
            # a route may have a limit of its own
            request.scope[MAX_BODY_SIZE_SCOPE_KEY] = scope.get(MAX_BODY_SIZE_SCOPE_KEY)
            said = _said(body)
            if isinstance(said, list):
                answer = _validation_problem(request, said)
            else:
                answer = _framework_problem(request, start["status"], said, kept)
            await answer(scope, receive, send)

        await hold_back(self.app, scope, receive, send, partial(_is_foreign, on_page=on_page), as_problem)


_REPLACED = ("content-type", "content-length")


def _is_foreign(message: Message, on_page: bool) -> bool:
    kind = Headers(raw=message["headers"]).get("content-type", "")
    frameworks = ("text/plain", "application/json") if on_page else ("text/plain",)
    return message["status"] >= 400 and kind.startswith(frameworks)
