"""Every request gets an id, a log line and its place in the metrics."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import MutableMapping
from typing import Any
from uuid import uuid4

import structlog
from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.metrics import Metrics

ID_HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = ("/healthz", "/readyz", "/metrics", "/favicon.ico")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
log = logging.getLogger("lfi.requests")


class RequestLog:
    """Counts, times and logs what it wraps.

    A line names the route's template (`/s/{token}`) and never the path or the query: those hold invitations,
    participants' ids and words. It holds no address of a client either.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, published: str):
        self.app = app
        self.metrics = metrics
        self.published = published

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["lfi.request_id"] = _request_id(Headers(scope=scope))
        # Bound for good: what uvicorn says after us about a failure belongs to the request, and so does its task.
        structlog.contextvars.bind_contextvars(request_id=request_id, **_trace())
        status = 500
        started = time.perf_counter()

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = request_id
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, with_id)
            finally:
                self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = route_of(scope, self.published)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.metrics.requests.labels(method, route, str(status)).inc()
        self.metrics.seconds.labels(method, route).observe(seconds)
        quiet = status < 400 and (route in _QUIET or route.endswith("*"))
        failed = status >= 500 and status != 503  # that one says: not yet
        level = logging.ERROR if failed else logging.DEBUG if quiet else logging.INFO
        more = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        log.log(level, "request", extra=more)


def route_of(scope: MutableMapping[str, Any], published: str) -> str:
    """The template of the route that answered: `/study/pictures/{trial}/{side}`, `/static/css/*`, or `none`."""
    mounted = scope.get("root_path", "").removeprefix(published)
    route = scope.get("route")
    path = None if isinstance(route, Mount) else getattr(route, "path", None)
    if path is not None:
        return mounted + path
    return mounted + "/*" if mounted else "none"


def _request_id(headers: Headers) -> str:
    """The caller's own, where it is one; so a proxy's and our lines can be joined."""
    given = headers.get(ID_HEADER, "")
    return given if _SANE.fullmatch(given) else uuid4().hex


def _trace() -> dict[str, str]:
    context = trace.get_current_span().get_span_context()
    return {"trace_id": trace.format_trace_id(context.trace_id)} if context.is_valid else {}
