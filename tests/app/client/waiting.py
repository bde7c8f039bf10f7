"""The asynchronous client for tests that have no event loop: every method waits for its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from lfi.client import AsyncClient, AsyncRemoteBatch


class Waiting:
    """An `AsyncClient` or `AsyncRemoteBatch`, used as its sister without `Async`."""

    def __init__(self, portal: BlockingPortal, asked: AsyncClient | AsyncRemoteBatch):
        self._portal, self._asked = portal, asked

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._asked, name)
        return partial(self._wait, found) if iscoroutinefunction(found) else found

    def _wait(self, method: Any, *arguments: Any, **options: Any) -> Any:
        answer = self._portal.call(partial(method, *arguments, **options))
        return Waiting(self._portal, answer) if isinstance(answer, AsyncRemoteBatch) else answer


@contextmanager
def waiting(*arguments: Any, **options: Any) -> Iterator[Waiting]:
    """As `Client(...)` in a `with`, over `AsyncClient`."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(AsyncClient(*arguments, **options)) as client,
    ):
        yield Waiting(portal, client)
