"""The doors of Gradio's queue: those that our page does not use are closed, and nonsense at the others is a 4xx.

Gradio makes them for its other clients. They would answer anybody, and with a fault of the service where they are asked
for something that is not there.
"""

from __future__ import annotations

import logging

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
_JOIN = "queue/join"
log = logging.getLogger("lfi.page")


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
        elif any(door == each or door.startswith(f"{each}/") for each in _CLOSED):
            refused = problem(Request(scope), plain(404), f"there is nothing at {scope['path']}")
            await refused(scope, receive, send)
        elif door == _JOIN:
            await self._join(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An event is only written down here, and its handler runs later: what fails is what was sent."""
        request = Request({**scope})  # the mounted page puts itself into the scope
        replaced = False

        async def refuse(_start: Message, _body: bytes) -> None:
            nonlocal replaced
            replaced = True
            await problem(request, MALFORMED, "the page has no such event")(scope, receive, send)

        try:
            await hold_back(self.app, scope, receive, send, _is_failure, refuse)
        except Exception as error:
            if not replaced:
                raise
            log.info("event refused", extra={"reason": type(error).__name__})


def _is_failure(start: Message) -> bool:
    return start["status"] >= 500 and start["status"] != 503  # that one says that the queue is full
