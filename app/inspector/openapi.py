"""What the OpenAPI document says about answers: schemas, examples, and errors as problem+json."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.engine.bodies import MapsBody
from app.errors import PROBLEM, Problem
from app.inspector.negotiation import JSON, NPZ, ZIP

_BLOCK: dict[str, Any] = {
    "queries": ["star"],
    "layers": ["layer 1"],
    "shape": [1, 1, 2, 2],
    "weights": "ADgANAAwADA=",
    "outside": [[0.12]],
    "kind": "cross-attention",
    "model": "scenes-teacher@0f3a9c1be77d",
}
_CARD = {"title": "Teacher", "kind": "CoCa"}
_MAPS_EXAMPLE = {
    "models": {"teacher": {**_BLOCK, "default_layer": 0, "card": _CARD}},
    "words": ["star"],
    "image": {
        "width": 640,
        "height": 480,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "addressed": [{"word": "star", "query": 2, "nearness": 0.72}],
    "scale": {"low": 0.0, "high": 2.0, "unit": "times uniform attention"},
    "interaction_queries": {
        **_BLOCK,
        "queries": ["query 1"],
        "kind": "interaction-query",
        "model": "scenes-lfi@5b1d44e02c9a",
        "named": [["star", 0.72]],
    },
    "trio": "scenes",
    "seconds": {"teacher": 0.031},
}
_MODELS_EXAMPLE = {
    "default": "scenes",
    "trios": [
        {
            "name": "scenes",
            "explanation": "dense-similarity",
            "vocabulary": ["star", "circle"],
            "models": {"teacher": {"card": _CARD, "layers": ["layer 1"]}},
            "explanations": {"baseline:rollout": ["block 1", "block 2"]},
        }
    ],
}
_PROBLEMS = {
    400: ("about:blank", "Bad Request", "Invalid multipart data."),
    404: ("urn:problem-type:lfi:nothing-here", "There is nothing here", "there is no such batch"),
    406: (
        "urn:problem-type:lfi:not-acceptable",
        "No acceptable answer",
        "Accept is 'image/png'; the answer can be application/json, application/x-npz, application/zip",
    ),
    413: (
        "urn:problem-type:lfi:image-too-large",
        "The image is too large",
        "the image has 30000 x 30000 pixels (900 megapixels); at most 50 megapixels are accepted",
    ),
    415: (
        "urn:problem-type:lfi:not-an-image",
        "Not an image",
        "the file is not an image we can read; send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image",
    ),
    422: (
        "urn:problem-type:lfi:unknown-word",
        "Unknown word",
        "this model does not know 'cirle' (nearest: circle, triangle, purple)",
    ),
    429: (
        "urn:problem-type:lfi:batches-full",
        "All places for batches are taken",
        "all 4 places for batches are taken; try again later",
    ),
    500: ("about:blank", "Internal Server Error", "the service failed on this request; the log says why"),
    503: (
        "urn:problem-type:lfi:not-ready",
        "The models are still loading",
        "the models are still loading; try again in a moment",
    ),
}

_BINARY = {"schema": {"type": "string", "format": "binary"}}
MAPS: dict[str, Any] = {
    "model": MapsBody,
    "description": "Raw maps as JSON or npz, or a zip of overlays, by the request's `Accept`.",
    "content": {JSON: {"example": _MAPS_EXAMPLE}, NPZ: _BINARY, ZIP: _BINARY},
}
WEBP: dict[str, Any] = {"description": "The picture.", "content": {"image/webp": _BINARY}}
MODELS: dict[str, Any] = {"content": {JSON: {"example": _MODELS_EXAMPLE}}}


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
    kind, title, detail = _PROBLEMS[status]
    example: dict[str, Any] = {"type": kind, "title": title, "status": status, "detail": detail}
    example |= {"instance": "/v1/maps", "request_id": "5d0c1e9f4b1c4e0f9f0d6a2b7c8e9a10"}
    if status == 422:
        example["unknown"] = {"cirle": ["circle", "triangle", "purple"]}
    return example
