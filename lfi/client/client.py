"""The client: one method for everything that the service can be asked."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import httpx

from lfi.client.answers import Answer, Models, read_maps, read_models, read_overlays
from lfi.client.batches import RemoteBatch
from lfi.client.retries import Retries
from lfi.errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

    Picture = str | os.PathLike[str] | bytes | Image.Image

_NPZ, _ZIP = "application/x-npz", "application/zip"
_MEMORY = 10**7
"""Bytes of a zip that is made to be sent, up to which it stays in memory."""


class Client:
    """A service by its address.

    Args:
        base_url: as a browser would have it, with the path that a proxy publishes the service under.
        key: an API key, where the service wants one.
        timeout: seconds for one request.
        retries: how patient to be with a service that is full, starting or out of reach.
        transport: of httpx, for another way to the service.
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
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, transport=transport)
        self._retries = retries or Retries()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of open connections."""
        self._http.close()

    def models(self) -> Models:
        """The trios of the service: their cards, layers and vocabulary."""
        return read_models(self.send("GET", "v1/models").json())

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
        return read_maps(self._ask(_NPZ, image, words, models, layers, trio, heads))

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
        return read_overlays(self._ask(_ZIP, image, words, models, layers, trio, False))

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
            images: a folder, a zip, or several images.

        Raises:
            ProblemError, UnreachableError, ImageError: as `maps`.
        """
        fields = {"words": list(words), "models": list(models), "trio": trio}
        with _packed(images) as files:

            def send() -> httpx.Response:
                for _, (_, file) in files:
                    file.seek(0)
                return self._http.request("POST", "v1/batches", data=fields, files=files)

            response = self._retries.run(send, repeatable=False)
        return RemoteBatch(self, response.json()["id"])

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request, again where that helps; its answer is 2xx. For what has no method here.

        Raises:
            ProblemError, UnreachableError: as `maps`.
        """
        return self._retries.run(lambda: self._http.request(method, path, **request))

    def _ask(
        self,
        accept: str,
        image: Picture,
        words: Sequence[str],
        models: Sequence[str],
        layers: Sequence[int],
        trio: str,
        heads: bool,
    ) -> bytes:
        name, data = _file(image)
        fields: dict[str, Any] = {"words": list(words), "models": list(models), "trio": trio, "heads": str(heads)}
        fields["layers"] = [str(layer) for layer in layers]
        headers = {"Accept": accept}
        return self.send("POST", "v1/maps", data=fields, files={"image": (name, data)}, headers=headers).content


@contextmanager
def _packed(
    images: str | os.PathLike[str] | Sequence[Picture],
) -> Iterator[list[tuple[str, tuple[str, BinaryIO]]]]:
    """Form fields of a batch: a zip as it is, a folder as a zip, images one by one."""
    if not isinstance(images, str | os.PathLike):
        yield [("images", (name, io.BytesIO(data))) for name, data in map(_file, images)]
        return
    path = Path(images)
    if not path.is_dir():
        with _opened(path) as file:
            yield [("images", (path.name, file))]
        return
    with tempfile.SpooledTemporaryFile(_MEMORY) as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # images are packed already
            for each in sorted(path.rglob("*")):
                if each.is_file():
                    archive.write(each, each.relative_to(path).as_posix())
        yield [("images", ("images.zip", packed))]  # type: ignore[list-item]


def _file(image: Picture) -> tuple[str, bytes]:
    """Name and bytes of an image file."""
    if isinstance(image, bytes):
        return "image", image
    if isinstance(image, str | os.PathLike):
        with _opened(Path(image)) as file:
            return Path(image).name, file.read()
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "image.png", buffer.getvalue()


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ImageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
