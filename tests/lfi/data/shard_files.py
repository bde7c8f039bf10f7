"""Shards made by hand, for tests of their reader."""

import io
import tarfile

from PIL import Image


def add(path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def encoded(colour: int, kind: str = "JPEG", size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (colour,) * 3).save(buffer, kind)
    return buffer.getvalue()
