"""How tests read a problem."""

from __future__ import annotations

from typing import Any

import httpx


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The body without its request id, which differs each time but is that of the header."""
    body = answer.json()
    assert body.pop("request_id") == answer.headers["x-request-id"]
    return body
