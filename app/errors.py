"""Every error as `application/problem+json` (RFC 9457): type, title, status, detail, instance.

A browser that opens an address gets the same as a page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.batch.sources import ArchiveError
from app.engine.decode import NotAnImageError
from app.engine.turns import BusyError, GoneError, LateError
from app.error_page import error_page, page_policy, prefers_page
from app.study.errors import ConflictError, NothingHereError, NotYoursError, StudyError, TooMuchError
from lfi.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    ImageError,
    ImageTooLargeError,
    LFIError,
    TrainingError,
    UnknownModelError,
    UnknownWordError,
    UnsupportedModelError,
    WordsError,
)

PROBLEM = "application/problem+json"
RETRY_SECONDS = 2


class NotReadyError(LFIError):
    """The models are still being loaded; the same request will do in a moment."""


class BatchesFullError(LFIError):
    """Every place for a batch is taken; one becomes free when a batch is deleted or expires."""


class NotAcceptableError(LFIError):
    """The client accepts none of the media types that the answer could have."""


# The first class that fits gives status and name; subclasses come before their parents.
_KINDS: tuple[tuple[type[LFIError], int, str, str], ...] = (
    (NotReadyError, 503, "not-ready", "The models are still loading"),
    (BatchesFullError, 429, "batches-full", "All places for batches are taken"),
    (BusyError, 503, "busy", "The service is busy"),
    (LateError, 503, "late", "The request took too long"),
    (GoneError, 499, "gone", "The client has gone"),
    (NotAcceptableError, 406, "not-acceptable", "No acceptable answer"),
    (ImageTooLargeError, 413, "image-too-large", "The image is too large"),
    (NotAnImageError, 415, "not-an-image", "Not an image"),
    (ImageError, 422, "image", "The image cannot be used"),
    (ArchiveError, 422, "archive", "The archive cannot be used"),
    (UnknownWordError, 422, "unknown-word", "Unknown word"),
    (WordsError, 422, "words", "The words cannot be used"),
    (UnknownModelError, 422, "unknown-model", "Unknown model"),
    (UnsupportedModelError, 422, "unsupported-model", "Unsupported model"),
    (CheckpointError, 422, "checkpoint", "A checkpoint cannot be read"),
    (ConfigError, 422, "config", "A value is out of range"),
    (DataError, 422, "data", "Data are missing"),
    (TrainingError, 422, "training", "The training cannot go on"),
    (NothingHereError, 404, "nothing-here", "There is nothing here"),
    (NotYoursError, 403, "not-yours", "This is not yours to do"),
    (ConflictError, 409, "conflict", "The answer was overtaken"),
    (TooMuchError, 413, "too-much", "The request is too large"),
    (StudyError, 422, "study", "The study cannot do that"),
    (LFIError, 422, "error", "The request cannot be answered"),
)


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
    errors: list[dict[str, str]] | None = Field(
        None, description="For malformed requests: each wrong field and what is wrong with it."
    )


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    title: str | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    """One problem as a response. `kind` ends its type; without it the type is `about:blank`."""
    body = {
        "type": f"urn:problem-type:lfi:{kind}" if kind else "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.scope["path"],
        "request_id": request.scope["lfi.request_id"],
        **more,
    }
    headers = {**(headers or {}), "Vary": "Accept"}
    if prefers_page(request.headers.get("accept", "")):
        html = error_page(body, f"{request.app.state.settings.root_path}/")
        return HTMLResponse(html, status, {**headers, "Content-Security-Policy": page_policy()})
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type=PROBLEM)


def answer_lfi_error(request: Request, error: Exception) -> Response:
    """An error that a user can act on, as 4xx (or 503 while the models load or too many ask)."""
    for kind, status, name, title in _KINDS:
        if isinstance(error, kind):
            headers = {"Retry-After": str(RETRY_SECONDS)} if status in (429, 503) else None
            more = {"unknown": error.nearest} if isinstance(error, UnknownWordError) else {}
            return problem(request, status, str(error), kind=name, title=title, headers=headers, **more)
    raise error


def answer_http_error(request: Request, error: Exception) -> Response:
    """What the framework refuses: 404, 405, 413, a body that is no multipart form."""
    assert isinstance(error, HTTPException)
    return _framework_problem(request, error.status_code, str(error.detail), dict(error.headers or {}))


def _framework_problem(request: Request, status: int, detail: str, headers: dict[str, str]) -> Response:
    if status == 404:
        detail = f"there is nothing at {request.scope['path']}"
    elif status == 405:
        detail = f"{request.method} is not allowed at {request.scope['path']}"
    elif status == 413:
        limit = (request.scope.get(MAX_BODY_SIZE_SCOPE_KEY) or request.app.max_body_size or 0) / 1e6
        return problem(
            request,
            status,
            f"the request has more than {limit:g} MB, which is the limit",
            kind="request-too-large",
            title="The request is too large",
            headers=headers,
        )
    return problem(request, status, detail, headers=headers)


def answer_validation_error(request: Request, error: Exception) -> Response:
    """A field that is missing or of the wrong type."""
    assert isinstance(error, RequestValidationError)
    errors = [_wrong_field(item) for item in error.errors()]
    detail = "; ".join(f"{item['field']}: {item['detail']}" for item in errors)
    return problem(request, 422, detail, kind="request", title="The request is malformed", errors=errors)


def _wrong_field(item: dict[str, Any]) -> dict[str, str]:
    where = [str(part) for part in item["loc"]]
    said = "a file was expected" if "UploadFile" in item["msg"] else item["msg"]
    return {"field": ".".join(where[1:] or where), "detail": said}


def answer_failure(request: Request, error: Exception) -> Response:
    """A fault of ours. The traceback goes to the log, never to the client."""
    return problem(request, 500, "the service failed on this request; the log says why")


def install_problems(app: FastAPI) -> None:
    """Make the application answer all its errors as problems."""
    app.add_exception_handler(LFIError, answer_lfi_error)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    app.add_exception_handler(Exception, answer_failure)


class PlainErrorsAsProblems:
    """Turns the frameworks' own errors into problems.

    Starlette's body limit and CORS answer for themselves, in plain text and outside the exception handlers,
    so this wraps the whole application from outside. What is missing below the mounted page is its framework's JSON.
    """

    def __init__(self, app: ASGIApp, page: str):
        self.app = app
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        text = b""
        request = Request({**scope})  # a mounted application puts itself into the scope
        on_page = scope["path"].removeprefix(scope.get("root_path", "")).startswith(self.page + "/")

        async def replace(message: Message) -> None:
            nonlocal start, text
            if message["type"] == "http.response.start" and _is_foreign(message, on_page):
                start = message
            elif start is None:
                await send(message)
            else:
                text += message.get("body", b"")
                if not message.get("more_body", False):
                    headers = Headers(raw=start["headers"]).items()
                    kept = {name: value for name, value in headers if name not in _REPLACED}
                    detail = text.decode(errors="replace")
                    # a route may have a limit of its own
                    request.scope[MAX_BODY_SIZE_SCOPE_KEY] = scope.get(MAX_BODY_SIZE_SCOPE_KEY)
                    answer = _framework_problem(request, start["status"], detail, kept)
                    await answer(scope, receive, send)

        await self.app(scope, receive, replace)


_REPLACED = ("content-type", "content-length")


def _is_foreign(message: Message, on_page: bool) -> bool:
    kind = Headers(raw=message["headers"]).get("content-type", "")
    if on_page and message["status"] in (404, 405):
        return kind.startswith(("text/plain", "application/json"))
    return message["status"] >= 400 and kind.startswith("text/plain")
