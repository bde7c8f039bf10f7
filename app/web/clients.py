"""Whether a client still waits for its answer."""

from __future__ import annotations

from starlette.types import Receive


async def gone(receive: Receive) -> None:
    """Return when the client has gone; its request is read already, so nothing else can come."""
    while (await receive())["type"] != "http.disconnect":
        pass
