"""What is checked first in a request that changes something: its origin, its size, its shape."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import Request

from app.failures import NotYoursError, StudyError, TooMuchError

MOST_BYTES = 32_768
"""Of one request: a comment of 2,000 characters, each escaped, and its frame."""


def check_origin(request: Request) -> None:
    """Refuse requests from other sites' pages. Browsers state a request's origin, and no page can forge it.

    Raises:
        NotYoursError: it comes from elsewhere, or does not say.
    """
    if not _from_here(request):
        raise NotYoursError("the request comes from another site, or does not say where it comes from")


def from_elsewhere(request: Request, allowed: Collection[str]) -> bool:
    """Whether a browser says that a page of another site asks. Who says nothing is no browser's page.

    Args:
        allowed: origins of others' pages that may ask; `*` for all.
    """
    listed = "*" in allowed or request.headers.get("origin", "") in allowed
    return not listed and _from_here(request) is False


def _from_here(request: Request) -> bool | None:
    """Whether a page of ours asks, as its browser states it; None where nobody says, or no page asks."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site:
        return None if site == "none" else site == "same-origin"
    return origin.partition("://")[2] == request.headers.get("host") if origin else None


async def read_body(request: Request) -> bytes:
    """The body, as far as it is small.

    Raises:
        TooMuchError: it is larger than any answer; the rest is not read.
    """
    said = request.headers.get("content-length", "0")
    known = said.isascii() and said.isdigit() and len(said) < 10  # else nobody would count that far
    body = b""
    if known and int(said) <= MOST_BYTES:
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                break
    if len(body) > MOST_BYTES or not known or int(said) > MOST_BYTES:
        raise TooMuchError(f"the request is larger than {MOST_BYTES:,} bytes, which is the limit")
    return body


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a plain form that a page of our own origin sent.

    Raises:
        NotYoursError: it comes from elsewhere.
        TooMuchError: it is too large.
    """
    check_origin(request)
    return dict(parse_qsl((await read_body(request)).decode("utf-8", "replace")))


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        TooMuchError: it is too large.
        StudyError: it is not a JSON object, or does not claim to be one.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise StudyError("the request is not application/json")
    body = await read_body(request)
    try:
        fields = _parsed(body)
    except (ValueError, RecursionError) as error:
        raise StudyError("the request is not JSON") from error
    if not isinstance(fields, dict):
        raise StudyError("the request is not a JSON object")
    return fields


def _parsed(body: bytes) -> Any:
    """JSON in which half a character, such as the end of a comment that was cut within an emoji, is read as `?`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        text = json.dumps(json.loads(body), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))
