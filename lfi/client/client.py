"""The client: one method for every request that the service takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from lfi.client import calls
from lfi.client.answers import Answer, Models
from lfi.client.batches import RemoteBatch
from lfi.client.calls import Call
from lfi.client.retries import Retries

if TYPE_CHECKING:
    from lfi.client.calls import Picture

T = TypeVar("T")


class Client:
    """A service by its address.

    Args:
        base_url: as a browser would have it, with the path that a proxy publishes the service under.
        key: an API key, where the service requires one.
        timeout: seconds for one request.
        retries: how long to keep trying a service that is busy, starting or unreachable.
        transport: of httpx, for another way to the service.

    Raises:
        ServiceError: the address or the key can be none.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:7860",
        key: str | None = None,
        *,
        timeout: float = 120.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ):
        self._http = httpx.Client(
            base_url=calls.service_address(base_url),
            headers=calls.key_headers(key),
            timeout=timeout,
            transport=transport,
        )
        self._retries = retries or Retries()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close open connections."""
        self._http.close()

    def models(self) -> Models:
        """The trios of the service: their cards, layers and vocabulary."""
        return self.ask(calls.models())

    def maps(
        self,
        image: Picture,
        words: Sequence[str],
        *,
        models: Sequence[str] = (),
        layers: Sequence[int] = (),
        trio: str = "",
        heads: bool = False,
    ) -> Answer:
        """Where the models look for words in an image, as raw maps.

        Args:
            image: a path, the bytes of a file, or a picture of Pillow's.
            words: words or short phrases.
            models: some of `teacher`, `lfi`, `baseline`, or an explanation such as `baseline:rollout`; the three where
                empty.
            layers: numbers of layers to keep, from 0; all where empty.
            trio: name of a trio; the service's default one where empty.
            heads: every attention head on its own instead of their mean.

        Raises:
            ProblemError: the image or the question cannot be answered; says why.
            UnreachableError: the service does not answer.
            ImageError: the path cannot be read.
        """
        return self.ask(calls.maps(image, words, models, layers, trio, heads))

    def overlays(
        self,
        image: Picture,
        words: Sequence[str],
        *,
        models: Sequence[str] = (),
        layers: Sequence[int] = (),
        trio: str = "",
    ) -> dict[str, bytes]:
        """The same as pictures: WebP files by name, such as `lfi-01-star.webp`, all on one scale (`scale.webp`).

        Arguments and errors are those of `maps`.
        """
        return self.ask(calls.overlays(image, words, models, layers, trio))

    def batch(
        self,
        images: str | os.PathLike[str] | Sequence[Picture],
        words: Sequence[str],
        *,
        models: Sequence[str] = (),
        trio: str = "",
    ) -> RemoteBatch:
        """Ask the same words of many images. Returns as soon as they are sent.

        Args:
            images: a folder, a zip, or several images. Of a folder only images are sent, and no hidden ones; what is
                left out is told on stderr.

        Raises:
            ProblemError, UnreachableError: as `maps`.
            ImageError: a path cannot be read, or the folder has no images in it.
        """
        return RemoteBatch(self, self.ask(calls.batch(images, words, models, trio)))

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request, for whatever has no method here; its answer is 2xx.

        Retried where that helps; after an attempt that may have arrived, only a GET, HEAD or DELETE. A DELETE that is
        repeated so may answer 404: it was done.

        Raises:
            ProblemError, UnreachableError: as `maps`.
        """
        return self.ask(Call(method, path, lambda response: response, request))

    def ask(self, call: Call[T]) -> T:
        """The answer to a call of `lfi.client.calls`."""
        with call:
            response = self._retries.run(lambda: self._http.request(**call.request()), call.repeatable, call.deletes)
        return call.answer(response)
