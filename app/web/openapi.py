"""What the OpenAPI document says about errors: problem+json, with examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.failures import (
    BatchesFullError,
    Kind,
    NotAcceptableError,
    NotAnImageError,
    NothingHereError,
    NotReadyError,
    kind_of,
    plain,
)
from app.web.negotiation import JSON, PROBLEM
from app.web.problems import Problem, type_of
from lfi.errors import ImageTooLargeError, UnknownWordError

_PROBLEMS: dict[int, tuple[Kind, str]] = {
    400: (plain(400), "Invalid multipart data."),
    404: (NothingHereError.kind, "there is no such batch"),
    406: (
        NotAcceptableError.kind,
        "Accept is 'image/png'; the answer can be application/json, application/x-npz, application/zip",
    ),
    413: (
        kind_of(ImageTooLargeError),
        "the image has 30000 x 30000 pixels (900 megapixels); at most 50 megapixels are accepted",
    ),
    415: (
        NotAnImageError.kind,
        "the file is not an image we can read; send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image",
    ),
    422: (
        kind_of(UnknownWordError),
        "this model does not know 'cirle' (nearest: circle, triangle, purple)",
    ),
    429: (
        BatchesFullError.kind,
        "4 of your batches are being sent, waiting or running, and at most 4 may be; one should be done in about 90 s",
    ),
    500: (plain(500), "the service failed on this request; the log says why"),
    503: (
        NotReadyError.kind,
        "the models are still loading; try again in a moment",
    ),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Entries for a route's `responses`: these statuses, each with an example."""
    return {status: {"model": Problem, "content": {PROBLEM: {"example": _problem(status)}}} for status in statuses}


def describe_problems(app: FastAPI) -> None:
    """Move every problem's schema to `application/problem+json`: FastAPI files all models under JSON.

    Its own 422 goes: ours is a problem, and where FastAPI alone adds one (text in a path) nothing can be wrong.
    """
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            for path in original()["paths"].values():
                for operation in path.values():
                    if PROBLEM not in operation["responses"].get("422", {}).get("content", {}):
                        operation["responses"].pop("422", None)
                    for response in operation["responses"].values():
                        content = response.get("content", {})
                        if PROBLEM in content:
                            content[PROBLEM] |= content.pop(JSON, {})
            for schema in ("HTTPValidationError", "ValidationError"):
                original()["components"]["schemas"].pop(schema, None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _problem(status: int) -> dict[str, Any]:
    kind, detail = _PROBLEMS[status]
    example: dict[str, Any] = {"type": type_of(kind), "title": kind.title, "status": status, "detail": detail}
    example |= {"instance": "/v1/maps", "request_id": "5d0c1e9f4b1c4e0f9f0d6a2b7c8e9a10"}
    if status == 422:
        example["unknown"] = {"cirle": ["circle", "triangle", "purple"]}
    return example
