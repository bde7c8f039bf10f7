"""Holding a response back until it is complete, to send another one instead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def hold_back(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    chosen: Callable[[Message], bool],
    finish: Callable[[Message, bytes], Awaitable[None]],
) -> None:
    """Run the application, and pass on what it sends, except for an answer that is to be replaced.

    Args:
        chosen: whether to hold back the answer that begins with this message (`http.response.start`).
        finish: sends something in its place; it is given that message and the whole body.
    """
    start: Message | None = None
    body = b""

    async def watch(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start" and chosen(message):
            start = message
        elif start is None:
            await send(message)
        else:
            body += message.get("body", b"")
            if not message.get("more_body", False):
                await finish(start, body)

    await app(scope, receive, watch)
