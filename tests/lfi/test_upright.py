"""A picture is seen in one way: as the service decodes it, by readers of data, students, teachers and exports."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from pictures import pictures
from PIL import Image

from app.engine.decode import decode_image
from lfi.data.decode import decode
from lfi.images import pixels
from lfi.rendering import Scale, overlay
from lfi.trio import Trio
from lfi.upright import upright_rgb

FILES = {name: picture for name, picture in pictures().items() if name not in ("HSV", "YCbCr")}


def stored(picture: Image.Image) -> bytes:
    """As a file without loss; Pillow writes the EXIF block that a picture has only where it is told."""
    buffer = io.BytesIO()
    options = {"exif": picture.info["exif"]} if "exif" in picture.info else {}
    picture.save(buffer, "TIFF" if picture.mode == "CMYK" else "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_seen_as_the_service_sees_its_file(name, tmp_path, trio_folder):
    picture, expected = FILES[name], decode_image(stored(FILES[name]))
    before = picture.copy()
    seen = upright_rgb(picture)
    assert (seen.mode, seen.info) == ("RGB", {})
    assert np.array_equal(np.asarray(seen), np.asarray(expected))
    assert (picture.mode, picture.size, picture.info) == (before.mode, before.size, before.info), "it is left as it was"
    (tmp_path / "file").write_bytes(stored(picture))
    assert np.array_equal(
        decode(tmp_path / "file", 24), np.asarray(expected.resize((24, 24), Image.Resampling.BICUBIC))
    )
    trio = Trio.load(trio_folder)
    trio.models = ("lfi", "baseline")  # they read one size
    assert torch.equal(pixels([picture], (24, 32)), pixels([expected], (24, 32)))
    assert torch.equal(trio.teacher.preprocess([picture]), trio.teacher.preprocess([expected]))
    assert np.array_equal(np.asarray(trio.squash(picture)), np.asarray(trio.squash(expected)))
    drawn = [overlay(each, np.eye(4, dtype=np.float32) / 4, Scale(1, 8)) for each in (picture, expected)]
    assert np.array_equal(*map(np.asarray, drawn))


def test_values_are_right():
    turned = pictures()["turned"]
    assert np.array_equal(np.asarray(upright_rgb(turned)), np.rot90(np.asarray(turned), -1))
    assert upright_rgb(Image.new("RGBA", (2, 2), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert upright_rgb(Image.new("RGBA", (2, 2), (0, 0, 0, 51))).getpixel((0, 0)) == (204, 204, 204)
    assert upright_rgb(Image.fromarray(np.full((2, 2), 0x4080, np.uint16))).getpixel((0, 0)) == (0x40, 0x40, 0x40)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_white_are_refused(mode):
    with pytest.raises(ValueError, match="32-bit pixels, which have no fixed white"):
        upright_rgb(Image.new(mode, (4, 4)))
