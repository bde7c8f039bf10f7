"""What an engine is asked about: an uploaded file, or an image that is already decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from PIL import Image

from lfi.comparison import EncodedTrio
from lfi.errors import ImageTooLargeError


class File:
    """An image file, as somebody sent it."""

    def __init__(self, data: bytes):
        self.data = data

    @classmethod
    def read(cls, stream: BinaryIO, most: int) -> File:
        """The file in a stream, reading no more of it into memory than is allowed.

        Raises:
            ImageTooLargeError: it has more than `most` bytes.
        """
        data = stream.read(most + 1)
        if len(data) > most:
            raise ImageTooLargeError(f"the image file is larger than {most / 1e6:g} MB, which is the limit")
        return cls(data)

    @cached_property
    def sha256(self) -> str:
        """Names the file, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What the models of one trio see of a picture.

    Attributes:
        trio: its name.
        key: equal for equal pictures, however they were stored.
        content: no more of the image than `Trio.squash` leaves, or what the models know of it already.
    """

    trio: str
    key: str
    content: Image.Image | EncodedTrio


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that was opened.

    Attributes:
        sha256: of its file; empty where there was none.
        size: its width and height as people see it.
        image: RGB, to draw on; None where nobody draws on it.
        seen: what the models of the trio that it was opened for see; made of `image` where it is None.
        note: what of the file was not read, or is not shown; empty where all was.
        whole: no first frame of an animation, which stands for its file only where somebody says so.
    """

    sha256: str
    size: tuple[int, int]
    image: Image.Image | None
    seen: ModelInput | None = None
    note: str = ""
    whole: bool = True

    @classmethod
    def of(cls, image: Image.Image, sha256: str = "", note: str = "", whole: bool = True) -> Picture:
        """An image that is decoded already, RGB, for any trio."""
        return cls(sha256, image.size, image, note=note, whole=whole)

    @property
    def source(self) -> str:
        """Names what the image was read from: its file, or the first frame of it; empty where there was none."""
        return self.sha256 if self.whole or not self.sha256 else f"{self.sha256} frame 1"

    @property
    def drawn(self) -> Image.Image:
        """The image, which was asked for when the picture was opened."""
        if self.image is None:
            raise ValueError("the picture was opened without its image")
        return self.image
