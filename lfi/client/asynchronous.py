"""The same client for programs with an event loop (asyncio or trio).

What takes long without a network runs in threads: reading and packing files, unpacking answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
import httpx

from lfi.client import calls
from lfi.client.answers import Answer, BatchStatus, Models
from lfi.client.calls import Call
from lfi.client.retries import Retries

if TYPE_CHECKING:
    from lfi.client.calls import Picture

T = TypeVar("T")


class AsyncClient:
    """Like `Client`, with methods to await; any number of calls can run at once.

    Args:
        base_url, key, timeout, retries: as `Client`.
        transport: of httpx, for another way to the service.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:7860",
        key: str | None = None,
        *,
        timeout: float = 120.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ):
        self._http = httpx.AsyncClient(
            base_url=calls.service_address(base_url),
            headers=calls.key_headers(key),
            timeout=timeout,
            transport=transport,
        )
        self._retries = retries or Retries()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """As `Client.close`."""
        await self._http.aclose()

    async def models(self) -> Models:
        """As `Client.models`."""
        return await self.ask(calls.models)

    async def maps(
        self,
        image: Picture,
        words: Sequence[str],
        *,
        models: Sequence[str] = (),
        layers: Sequence[int] = (),
        trio: str = "",
        heads: bool = False,
    ) -> Answer:
        """As `Client.maps`."""
        return await self.ask(partial(calls.maps, image, words, models, layers, trio, heads))

    async def overlays(
        self,
        image: Picture,
        words: Sequence[str],
        *,
        models: Sequence[str] = (),
        layers: Sequence[int] = (),
        trio: str = "",
    ) -> dict[str, bytes]:
        """As `Client.overlays`."""
        return await self.ask(partial(calls.overlays, image, words, models, layers, trio))

    async def batch(
        self,
        images: str | os.PathLike[str] | Sequence[Picture],
        words: Sequence[str],
        *,
        models: Sequence[str] = (),
        trio: str = "",
    ) -> AsyncRemoteBatch:
        """As `Client.batch`."""
        return AsyncRemoteBatch(self, await self.ask(partial(calls.batch, images, words, models, trio)))

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """As `Client.send`."""
        return await self.ask(lambda: Call(method, path, lambda response: response, request))

    async def ask(self, make: Callable[[], Call[T]]) -> T:
        """The answer to the call of `lfi.client.calls` that `make` gives."""
        with await anyio.to_thread.run_sync(make) as call:
            response = await self._retries.run_async(
                lambda: self._http.request(**call.request()), call.repeatable, call.deletes
            )
        return await anyio.to_thread.run_sync(call.answer, response)


class AsyncRemoteBatch:
    """Like `RemoteBatch`, with methods to await. Made by `AsyncClient.batch`, or from the id of an earlier batch."""

    def __init__(self, client: AsyncClient, id: str):
        self.client, self.id = client, id

    async def status(self) -> BatchStatus:
        """As `RemoteBatch.status`."""
        return await self.client.ask(partial(calls.batch_status, self.id))

    async def wait(self, pause: float = 1.0, progress: Callable[[BatchStatus], None] | None = None) -> BatchStatus:
        """As `RemoteBatch.wait`."""
        while True:
            status = await self.status()
            if progress is not None:
                progress(status)
            if status.finished:
                return status
            await anyio.sleep(pause)

    async def scores(self) -> list[dict[str, Any]]:
        """As `RemoteBatch.scores`."""
        return await self.client.ask(partial(calls.batch_scores, self.id))

    async def gallery(self) -> str:
        """As `RemoteBatch.gallery`."""
        return await self.client.ask(partial(calls.batch_gallery, self.id))

    async def save(self, folder: str | Path) -> Path:
        """As `RemoteBatch.save`."""
        return await self.client.ask(partial(calls.batch_saved, self.id, folder))

    async def stop(self) -> BatchStatus:
        """As `RemoteBatch.stop`."""
        return await self.client.ask(partial(calls.batch_stopped, self.id))

    async def delete(self) -> None:
        """As `RemoteBatch.delete`."""
        await self.client.ask(partial(calls.batch_deleted, self.id))
