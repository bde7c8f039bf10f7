"""What can go wrong between a client and a service."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx

from lfi.errors import LFIError


class ServiceError(LFIError):
    """Base of everything that a client raises."""


class UnreachableError(ServiceError):
    """Nothing answers at this address, or the connection broke, and retrying did not help."""


class ProblemError(ServiceError):
    """The service refused, and says why (RFC 9457).

    Attributes:
        status: the HTTP status.
        type: of the problem, such as `urn:problem-type:lfi:unknown-word`; `about:blank` where the status says it all.
        title, detail: for people.
        body: the whole problem, `unknown` and `errors` with it.
        request_id: by which the service's log can be searched; empty where it named none.
    """

    def __init__(self, status: int, body: dict[str, Any], request_id: str = ""):
        self.status, self.body, self.request_id = status, body, request_id
        self.type: str = body.get("type") or "about:blank"
        self.title: str = body.get("title") or "no title"
        self.detail: str = body.get("detail") or "no reason was given"
        super().__init__(f"{status} {self.title}: {self.detail}")

    @classmethod
    def of(cls, response: httpx.Response) -> ProblemError:
        """The problem of an answer; one without a problem body (a proxy's page) is named by its status."""
        request_id = response.headers.get("x-request-id", "")
        if response.headers.get("content-type", "").startswith("application/problem+json"):
            with suppress(ValueError):
                if isinstance(body := response.json(), dict):
                    return cls(response.status_code, body, request_id)
        said = " ".join(response.text.split())[:200] or "no reason was given"
        return cls(response.status_code, {"title": response.reason_phrase, "detail": said}, request_id)
