"""The doors of the page's framework: those that our page does not use are closed, and nonsense at the others is a 4xx.

Gradio makes them for its other clients. They would answer anybody, fetch what others publish (`file=https://...`), and
answer with a fault of the service where they are asked for something that is not there. Our page has no events, only
functions (`component_server`), so that it needs neither the queue nor the streams that tell whether a browser is there.
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
    "heartbeat",
    "monitoring",
    "process_recording",
    "profiling",
    "queue",
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
_CLOSED_BESIDE = ("login", "logout", "monitoring")
"""Not below the framework's API, but beside it."""
_FUNCTIONS = "component_server"
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
        self.page = f"{page}/"
        self.api = f"{page}/gradio_api/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or not path.startswith(self.page):
            await self.app(scope, receive, send)
        elif self._is_closed(path):
            refused = problem(Request(scope), plain(404), f"there is nothing at {scope['path']}")
            await refused(scope, receive, send)
        elif path.rstrip("/") == self.api + _FUNCTIONS:
            await self._ask(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_closed(self, path: str) -> bool:
        if not path.startswith(self.api):
            return _below(path.removeprefix(self.page), _CLOSED_BESIDE)
        door = path.removeprefix(self.api)
        return door.startswith(_CLOSED_PREFIXES) or _below(door, _CLOSED)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The handler of a function says when it begins. What fails before that, fails by what was sent."""
        request = Request({**scope})  # the mounted page puts itself into the scope
        scope[_BEGUN] = begun = threading.Event()
        replaced = False

        def is_refused(start: Message) -> bool:
            return start["status"] >= 500 and not begun.is_set()

        async def refuse(_start: Message, _body: bytes) -> None:
            nonlocal replaced
            replaced = True
            await problem(request, MALFORMED, "the page has no such function")(scope, receive, send)

        try:
            await hold_back(self.app, scope, receive, send, is_refused, refuse)
        except Exception as error:
            if not replaced:
                raise
            log.info("refused", extra={"reason": type(error).__name__})


def _below(door: str, doors: tuple[str, ...]) -> bool:
    return f"{door}/".startswith(tuple(f"{each}/" for each in doors))
