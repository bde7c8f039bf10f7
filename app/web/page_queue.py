"""The doors of Gradio's API: those that our page does not use are closed, and nonsense at the others is a 4xx.

Gradio makes them for its other clients. They would answer anybody, fetch what others publish (`file=https://...`), and
answer with a fault of the service where they are asked for something that is not there.
"""

from __future__ import annotations

import logging
import threading

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.failures import MALFORMED, plain
from app.web.holding import hold_back
from app.web.problems import problem

_CLOSED = (
    "api",
    "call",
    "cancel",
    "deep_link",
    "dev",
    "file",
    "monitoring",
    "process_recording",
    "profiling",
    "queue/status",
    "reset",
    "run",
    "run-history",
    "stream",
    "undo-vibe-edit",
    "upload_progress",
    "vibe-code",
    "vibe-edit",
    "vibe-starter-queries",
)
_CLOSED_PREFIXES = ("file=", "proxy=")
_MISSING = {"queue/join": "the page has no such event", "component_server": "the page has no such function"}
"""By door, what is wrong where it fails before a handler has begun: what was sent."""
_BEGUN = "lfi.begun"
log = logging.getLogger("lfi.page")


def begin(scope: Scope) -> None:
    """A handler has been found: what fails from now on is a fault of ours."""
    scope[_BEGUN].set()


class PageQueue:
    """Stands before the mounted page.

    Args:
        page: where the page is mounted.
    """

    def __init__(self, app: ASGIApp, page: str):
        self.app = app
        self.prefix = f"{page}/gradio_api/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        door = path.removeprefix(self.prefix).rstrip("/") if path.startswith(self.prefix) else ""
        if scope["type"] != "http" or not door:
            await self.app(scope, receive, send)
        elif door.startswith(_CLOSED_PREFIXES) or any(door == each or door.startswith(f"{each}/") for each in _CLOSED):
            refused = problem(Request(scope), plain(404), f"there is nothing at {scope['path']}")
            await refused(scope, receive, send)
        elif door in _MISSING:
            await self._ask(scope, receive, send, _MISSING[door])
        else:
            await self.app(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send, missing: str) -> None:
        """The handler of a function says when it begins. That of an event, which is only written down, runs later."""
        request = Request({**scope})  # the mounted page puts itself into the scope
        scope[_BEGUN] = begun = threading.Event()
        replaced = False

        def is_refused(start: Message) -> bool:
            return _is_failure(start) and not begun.is_set()

        async def refuse(_start: Message, _body: bytes) -> None:
            nonlocal replaced
            replaced = True
            await problem(request, MALFORMED, missing)(scope, receive, send)

        try:
            await hold_back(self.app, scope, receive, send, is_refused, refuse)
        except Exception as error:
            if not replaced:
                raise
            log.info("refused", extra={"reason": type(error).__name__})


def _is_failure(start: Message) -> bool:
    return start["status"] >= 500 and start["status"] != 503  # that one says that the queue is full
