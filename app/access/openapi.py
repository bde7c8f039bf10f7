"""What the OpenAPI document says about keys and limits, for every route behind the gate."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.access.gate import scope_of
from app.web.negotiation import PROBLEM

_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `lfi_...`, where one is asked for.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}
_ANSWERS = {
    "401": "No key, where one is needed.",
    "403": "The key does not give access to this, or another site's page sent the request.",
    "429": "Too many requests; `Retry-After` says how many seconds to wait.",
}


def describe_gate(app: FastAPI) -> None:
    """Add the two ways to send a key, and the gate's own answers. A service without keys may be asked without."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            document["components"]["securitySchemes"] = _SCHEMES
            for path, operations in document["paths"].items():
                if scope_of(path):
                    for operation in operations.values():
                        operation["security"] = [{}, {"key": []}, {"header": []}]
                        operation["responses"] |= {status: _answer(said) for status, said in _ANSWERS.items()}
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _answer(said: str) -> dict[str, Any]:
    return {"description": said, "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
