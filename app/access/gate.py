"""The gate before every route: which scope it needs, whose request it is, and whether it exceeds the rate limit.

A route that is not listed here needs the scope `maps`, so a new one stays closed until it is opened.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.keyring import Keyring
from app.access.rates import Allowance, Rates, client_name
from app.access.study_rates import StudyRates
from app.failures import NO_KEY, TOO_MANY_REQUESTS, WRONG_SCOPE, NotYoursError
from app.keys import Key
from app.telemetry.metrics import Metrics
from app.web.forms import check_origin, from_elsewhere
from app.web.problems import answer_lfi_error, problem

COOKIE = "lfi_key"
_LOOKS = ("/favicon.ico", "/icon.png", "/manifest.json")
_OPEN = ("/", "/healthz", "/readyz", *_LOOKS, "/openapi.json", "/signin", "/signout", "/study", "/admin")
_OPEN_BELOW = ("/static/", "/s/", "/study/", "/admin/")
"""Looks, and pages with secrets of their own: raters' invitations, the owner's token."""
_GUESSABLE = ("/signin", "/admin/login")
_READING = ("GET", "HEAD", "OPTIONS")


def scope_of(path: str) -> str | None:
    """The scope that a path below the service's root needs; None where it is open to all."""
    if path in _OPEN or path.startswith(_OPEN_BELOW):
        return None
    return "metrics" if path == "/metrics" else "maps"


class Gate:
    """Lets authorised requests through.

    Args:
        keyring: None where keys are not asked for.
        page: the path of the page, whose own files are not counted as requests.
        agents: the path of the agents' door, which has a list of its own of names and origins that may ask.
        study_rates: of raters' pages.
        origins: of other sites' pages that may ask; `*` for all.
    """

    def __init__(
        self,
        app: ASGIApp,
        keyring: Keyring | None,
        rates: Rates,
        metrics: Metrics,
        published: str,
        page: str,
        agents: str,
        study_rates: StudyRates,
        origins: Collection[str] = (),
    ):
        self.app = app
        self.keyring = keyring
        self.rates = rates
        self.metrics = metrics
        self.published = published
        self.page = page
        self.agents = agents
        self.study_rates = study_rates
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no route speaks it
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        path = scope["path"].removeprefix(self.published)
        needed = scope_of(path)
        key, by_hand = self._key(request) if self.keyring else (None, False)
        sender = f"key {key.name}" if key else client_name(request.client and request.client.host)
        scope["lfi.key"], scope["lfi.sender"] = key.name if key else "", sender
        if key:
            structlog.contextvars.bind_contextvars(key=key.name)
        refusal = self._refusal(request, path, needed, key, by_hand)
        allowance = None
        if refusal is None and self._counts(request, path, needed):
            allowance = self.rates.count(sender)
            refusal = self._too_many(request, allowance)
        refusal = refusal or self._too_many(request, self.study_rates.refusal(request, path))
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def with_limits(message: Message) -> None:
            if allowance and message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(allowance.headers())
            await send(message)

        await self.app(scope, receive, with_limits)

    def _key(self, request: Request) -> tuple[Key | None, bool]:
        """The key, and whether a header brought it: other sites' pages can add none, while a cookie comes by itself."""
        assert self.keyring is not None
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        secret = token.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "")
        if secret:
            return self.keyring.find(secret), True
        return self.keyring.of_session(request.cookies.get(COOKIE, "")), False

    def _refusal(
        self, request: Request, path: str, needed: str | None, key: Key | None, by_hand: bool
    ) -> Response | None:
        if needed is None:
            return None
        guarded = request.method not in _READING and not by_hand and path.rstrip("/") != self.agents
        if guarded and from_elsewhere(request, self.origins):
            self.metrics.refused.labels("origin").inc()
            return answer_lfi_error(request, NotYoursError("the request comes from a page of another site"))
        if self.keyring is None:
            return None
        if key is None:
            self.metrics.refused.labels("no key").inc()
            if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                asked = path + (f"?{request.url.query}" if request.url.query else "")
                return RedirectResponse(f"{self.published}/signin?next={quote(asked, safe='')}", 303)
            return problem(
                request,
                NO_KEY,
                "send an API key: `Authorization: Bearer lfi_...`; in a browser, sign in at /signin",
                {"WWW-Authenticate": 'Bearer realm="lfi"'},
            )
        if needed not in key.scopes:
            self.metrics.refused.labels("scope").inc()
            detail = f"the key {key.name!r} opens {', '.join(sorted(key.scopes))}; this needs {needed}"
            return problem(request, WRONG_SCOPE, detail)
        if request.method not in _READING and not by_hand:
            try:
                check_origin(request)
            except NotYoursError as error:
                self.metrics.refused.labels("origin").inc()
                return answer_lfi_error(request, error)
        return None

    def _counts(self, request: Request, path: str, needed: str | None) -> bool:
        if path in _GUESSABLE:
            return request.method == "POST"
        on_page = path == self.page or path.startswith(self.page + "/")
        return needed == "maps" and not (on_page and request.method in _READING)

    def _too_many(self, request: Request, allowance: Allowance | None) -> Response | None:
        if allowance is None or allowance.allowed:
            return None
        self.metrics.refused.labels("rate").inc()
        headers = {"Retry-After": str(allowance.wait), **allowance.headers()}
        return problem(request, TOO_MANY_REQUESTS, allowance.detail(), headers)
