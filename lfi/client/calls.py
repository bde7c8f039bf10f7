"""Everything that a service can be asked: each request, and how its answer is read. Nothing here sends anything."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

import httpx

from lfi.client.answers import Answer, BatchStatus, Models, read_maps, read_models, read_overlays
from lfi.client.errors import ServiceError, UnreachableError
from lfi.errors import ImageError, reason

if TYPE_CHECKING:
    from PIL import Image

    Picture = str | os.PathLike[str] | bytes | Image.Image

T = TypeVar("T")
File = tuple[str, BinaryIO]
"""Name and content."""

_NPZ, _ZIP = "application/x-npz", "application/zip"
_MEMORY = 10**7
"""Bytes of a zip that is made to be sent, up to which it stays in memory."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request; its files are closed at the end of a `with`.

    Attributes:
        read: makes a value of the answer.
        options: of httpx, besides the files.
        files: form fields with files.
        idempotent: whether a POST that arrives twice does no more than one that arrives once.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    options: dict[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, File], ...] = ()
    idempotent: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent twice when it is unknown whether the first one arrived."""
        return self.idempotent or self.deletes or self.method.upper() in ("GET", "HEAD")

    @property
    def deletes(self) -> bool:
        """Whether it is done where nothing is left: it was, if a 404 follows an attempt that may have arrived."""
        return self.method.upper() == "DELETE"

    def __enter__(self) -> Call[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, (_, file) in self.files:
            file.close()

    def answer(self, response: httpx.Response) -> T:
        """What the response says.

        Raises:
            ServiceError: it is not LFI's: a proxy's page, for example.
        """
        try:
            return self.read(response)
        except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            kind = response.headers.get("content-type", "nothing")
            raise ServiceError(f"{response.url} answers with {kind} that is not LFI's; is it LFI's address?") from error

    def request(self) -> dict[str, Any]:
        """Arguments of httpx's `request`, for one attempt."""
        for _, (_, file) in self.files:
            file.seek(0)
        files = {"files": self.files} if self.files else {}
        return {"method": self.method, "url": self.path, **self.options, **files}


def service_address(base_url: str) -> httpx.URL:
    """The address of a service.

    Raises:
        UnreachableError: there can be none.
    """
    try:
        address = httpx.URL(base_url)
        address.host.encode("idna")  # as the look-up of its name will
    except (httpx.InvalidURL, UnicodeError):
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise UnreachableError(f"{base_url!r} is no address of a service; http://HOST:PORT was expected")
    return address


def key_headers(key: str | None) -> dict[str, str]:
    """Headers that show an API key; white space around it, such as a file's last line break, is not part of it.

    Raises:
        ServiceError: no key looks like this.
    """
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ServiceError("the API key has letters that no key has; it was perhaps not copied whole")
    return {"Authorization": f"Bearer {key}"} if key else {}


def models() -> Call[Models]:
    """What there is."""
    return Call("GET", "v1/models", lambda response: read_models(response.json()))


def maps(
    image: Picture, words: Sequence[str], models: Sequence[str], layers: Sequence[int], trio: str, heads: bool
) -> Call[Answer]:
    """Raw maps of an image.

    Raises:
        ImageError: the path cannot be read, or a picture has pixels without a fixed white.
    """
    fields = {**_question(words, models, trio), **_layers(layers), "heads": str(heads)}
    return _of_image(_NPZ, image, fields, lambda response: read_maps(response.content))


def overlays(
    image: Picture, words: Sequence[str], models: Sequence[str], layers: Sequence[int], trio: str
) -> Call[dict[str, bytes]]:
    """Pictures of the maps of an image.

    Raises:
        ImageError: as `maps`.
    """
    fields = {**_question(words, models, trio), **_layers(layers)}
    return _of_image(_ZIP, image, fields, lambda response: read_overlays(response.content))


def batch(
    images: str | os.PathLike[str] | Sequence[Picture], words: Sequence[str], models: Sequence[str], trio: str
) -> Call[str]:
    """Many images: a folder, a zip or several; answered with the id of the batch.

    Raises:
        ImageError: a path cannot be read, or the folder has no images in it.
    """
    files = tuple(("images", file) for file in _packed(images))
    options = {"data": _question(words, models, trio)}
    return Call("POST", "v1/batches", lambda response: response.json()["id"], options, files)


def batch_status(id: str) -> Call[BatchStatus]:
    """The state of a batch."""
    return Call("GET", f"v1/batches/{id}", lambda response: BatchStatus.of(response.json()))


def batch_scores(id: str) -> Call[list[dict[str, Any]]]:
    """One row per image and word."""

    def read(response: httpx.Response) -> list[dict[str, Any]]:
        return [{"image": row["image"], **row["scores"]} for row in response.json()["rows"]]

    return Call("GET", f"v1/batches/{id}/scores.json", read)


def batch_gallery(id: str) -> Call[str]:
    """The page of a batch."""
    return Call("GET", f"v1/batches/{id}/gallery", lambda response: response.text)


def batch_saved(id: str, folder: str | Path) -> Call[Path]:
    """Everything of a batch that is over, unpacked into a folder."""

    def read(response: httpx.Response) -> Path:
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            archive.extractall(folder)
        return Path(folder)

    return Call("GET", f"v1/batches/{id}/batch.zip", read)


def batch_stopped(id: str) -> Call[BatchStatus]:
    """Let it end."""
    return Call("POST", f"v1/batches/{id}/stop", lambda response: BatchStatus.of(response.json()), idempotent=True)


def batch_deleted(id: str) -> Call[None]:
    """Delete it."""
    return Call("DELETE", f"v1/batches/{id}", lambda response: None)


def _question(words: Sequence[str], models: Sequence[str], trio: str) -> dict[str, Any]:
    return {"words": _several(words), "models": _several(models), "trio": trio}


def _several(names: str | Sequence[str]) -> list[str]:
    """A name on its own is a list of one, and not of its letters."""
    return [names] if isinstance(names, str) else list(names)


def _layers(layers: Sequence[int]) -> dict[str, Any]:
    return {"layers": [str(layer) for layer in layers]}


def _of_image(accept: str, image: Picture, fields: dict[str, Any], read: Callable[[httpx.Response], T]) -> Call[T]:
    options = {"data": fields, "headers": {"Accept": accept}}
    return Call("POST", "v1/maps", read, options, (("image", _file(image)),), idempotent=True)


def _packed(images: str | os.PathLike[str] | Sequence[Picture]) -> Iterator[File]:
    """A zip as it is, a folder as a zip, images one by one."""
    if isinstance(images, bytes) or not isinstance(images, str | os.PathLike | Iterable):
        yield _file(images)
    elif not isinstance(images, str | os.PathLike):
        yield from map(_file, images)
    elif not Path(images).is_dir():
        yield Path(images).name, _opened(Path(images))
    else:
        yield "images.zip", _zipped(Path(images))


def _zipped(folder: Path) -> BinaryIO:
    """The images of a folder; what lies there besides is not sent, and told on stderr."""
    from lfi.data.imagefiles import SERVED, image_files  # with Pillow's formats, which nothing else here needs
    from lfi.data.notes import Notes, announce

    notes = Notes()
    found = image_files(folder, notes, SERVED)
    announce(notes.all(), f"{folder}, not sent")
    if not found:
        raise ImageError(f"{folder} has no images in it")
    packed = tempfile.SpooledTemporaryFile(_MEMORY)  # noqa: SIM115 -- closed by the call
    try:
        # Images are packed already. A zip knows no time before 1980.
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for each in found:
                name = each.relative_to(folder).as_posix()
                archive.write(each, name.encode(errors="replace").decode())
    except OSError as error:
        packed.close()
        raise ImageError(f"cannot read {error.filename or folder}: {reason(error)}") from error
    return packed  # type: ignore[return-value]


def _file(image: Picture) -> File:
    """Name and content of an image file, in memory."""
    if isinstance(image, bytes):
        return "image", io.BytesIO(image)
    if isinstance(image, str | os.PathLike):
        with _opened(Path(image)) as file:
            try:
                return Path(image).name, io.BytesIO(file.read())
            except OSError as error:
                raise ImageError(f"cannot read {image}: {reason(error)}") from error
    from lfi.upright import upright_rgb  # with Pillow, which nothing else here needs

    buffer = io.BytesIO()
    try:
        upright_rgb(image).save(buffer, "PNG")
    except (ValueError, OSError) as error:
        raise ImageError(f"the picture cannot be sent: {reason(error)}") from error
    return "image.png", buffer


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ImageError(f"cannot read {path}: {reason(error)}") from error
