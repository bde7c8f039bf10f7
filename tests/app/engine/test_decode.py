"""`decode_image`: every common kind of picture becomes upright RGB; everything else is one clear error."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from uploads import as_bytes, black_png, cut_jpeg, nine_hundred_megapixels, png, scene, truncated_jpeg, two_frames

from app.engine.decode import DAMAGED, decode_image, decoded, opened, several
from app.failures import NotAnImageError
from app.limits import ImageLimits
from bench.hostile.bombs import tiff, tile_bomb
from lfi.data.decode import read_picture
from lfi.errors import ImageError, ImageTooLargeError


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_photo_with_an_orientation_equals_the_photo_turned_by_hand(orientation, format):
    turn = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_270],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_90],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if format != "PNG" else {}
    stored = as_bytes(scene(), format, exif=exif, **options)
    turned = Image.open(io.BytesIO(as_bytes(scene(), format, **options))).convert("RGB")
    for step in turn[orientation]:
        turned = turned.transpose(step)

    decoded = decode_image(stored)

    assert decoded.size == turned.size
    assert np.array_equal(pixels(decoded), pixels(turned))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"])
def test_every_common_format_shows_the_same_picture(format):
    decoded = decode_image(as_bytes(scene(), format))

    assert (decoded.mode, decoded.size) == ("RGB", (96, 64))
    assert np.abs(pixels(decoded) - pixels(scene())).mean() < 8


def test_an_icon_shows_its_largest_picture():
    image = scene().resize((64, 64))
    decoded = decode_image(as_bytes(image, "ICO", sizes=[(16, 16), (64, 64)]))
    assert decoded.size == (64, 64)
    assert np.abs(pixels(decoded) - pixels(image)).mean() < 8


def test_an_icon_whose_picture_is_larger_than_icons_are_is_refused_before_it_is_decoded():
    bomb = png(5_000, 5_000)
    header = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(bomb), 22)
    with pytest.raises(ImageError, match="the icon holds a picture of 5000 x 5000 pixels; at most 1024 are read"):
        decode_image(header + bomb)


@pytest.mark.parametrize("length", range(4, 23))
def test_an_icon_that_ends_in_its_table_is_one_clear_error(length):
    icon = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, 40, 22)
    with pytest.raises(ImageError, match=DAMAGED):
        decode_image(icon[:length])


def test_a_sixteen_bit_pgm_is_scaled_and_not_cut_off():
    levels = np.linspace(0, 65535, 64).astype(">u2")[None].repeat(8, 0)
    decoded = decode_image(b"P5 64 8 65535\n" + levels.tobytes())
    assert np.abs(pixels(decoded)[0, :, 0] - np.linspace(0, 255, 64)).max() < 2


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken_where_somebody_asks_for_it(format):
    data = two_frames(format)
    first = opened(data, first_frame=True)
    assert several(first) == ("pages" if format == "TIFF" else "frames")
    assert decoded(first, data).image.size == Image.open(io.BytesIO(data)).size


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_becomes_white(format):
    image = scene().convert("RGBA")
    image.putalpha(Image.fromarray(np.where(np.arange(96) < 48, 255, 0).astype(np.uint8)[None].repeat(64, 0)))

    decoded = pixels(decode_image(as_bytes(image, format, lossless=True)))

    assert np.array_equal(decoded[:, :48], pixels(scene())[:, :48])
    assert (decoded[:, 48:] == 255).all()


def test_a_half_transparent_black_becomes_grey():
    decoded = decode_image(as_bytes(Image.new("RGBA", (2, 2), (0, 0, 0, 128))))
    assert decoded.getpixel((0, 0)) == (127, 127, 127)


def test_a_transparent_palette_colour_becomes_white():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 0)

    decoded = decode_image(as_bytes(image, "PNG", transparency=0))

    assert [decoded.getpixel((0, 0)), decoded.getpixel((1, 1))] == [(255, 255, 255), (200, 100, 50)]


@pytest.mark.parametrize(("mode", "colour"), [("L", 200), ("LA", (200, 255)), ("1", 1), ("I;16", 200 * 257)])
def test_grey_pictures_of_any_depth_keep_their_brightness(mode, colour):
    expected = 255 if mode == "1" else 200
    decoded = decode_image(as_bytes(Image.new(mode, (8, 8), colour)))
    assert decoded.getpixel((3, 3)) == (expected,) * 3


def test_sixteen_bit_grey_is_scaled_and_not_cut_off():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(64, 0)
    decoded = pixels(decode_image(as_bytes(Image.fromarray(ramp))))
    assert np.array_equal(decoded[0, :, 0], np.arange(256))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_grey_tiff_in_which_zero_is_white_is_no_negative(kind):
    data = as_bytes(Image.fromarray(np.full((8, 8), np.iinfo(kind).max // 5, kind)), "TIFF")
    at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    assert pixels(decode_image(data))[0, 0].tolist() == [51, 51, 51]
    data = data[:at] + struct.pack("<H", 0) + data[at + 2 :]
    assert pixels(decode_image(data))[0, 0].tolist() == [204, 204, 204]


def test_a_small_picture_in_one_ordinary_tile_is_read():
    grey = zlib.compress(bytes([90]) * 256 * 256)
    tags = {256: 64, 257: 48, 258: 8, 259: 8, 262: 1, 277: 1, 322: 256, 323: 256}
    image = decode_image(tiff(tags, grey))
    assert (image.size, image.getpixel((63, 47))) == ((64, 48), (90, 90, 90))


def test_cmyk_keeps_its_colours():
    decoded = decode_image(as_bytes(scene().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels(decoded) - pixels(scene())).mean() < 8


def test_a_phone_photo_with_a_second_picture_inside_shows_the_first():
    second = scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    stored = as_bytes(scene(), "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(pixels(decode_image(stored)) - pixels(scene())).mean() < 8


def test_nothing_of_a_photo_s_metadata_travels_on():
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    decoded = decode_image(as_bytes(scene(), "JPEG", exif=exif, comment=b"at home"))
    assert (decoded.info, dict(decoded.getexif())) == ({}, {})


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_leaves_the_photo_as_it_is():
    stored = as_bytes(scene(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(pixels(decode_image(stored)), pixels(scene()))


def test_an_exif_block_that_cannot_be_written_anew_still_says_which_way_is_up():
    maker_as_fraction = struct.pack("<HHII", 0x010F, 5, 1, 38)
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + maker_as_fraction + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    stored = as_bytes(scene(), "PNG", exif=b"Exif\0\0" + block + struct.pack("<III", 0, 1, 2))
    turned = scene().transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(pixels(decode_image(stored)), pixels(turned))


def test_a_jpeg_that_lacks_its_last_bytes_is_read_as_far_as_it_goes_and_that_is_noted():
    data = cut_jpeg()
    image, note = decoded(opened(data), data)
    told = re.fullmatch(r"the JPEG lacks its last bytes: (\d+\.\d)% of it is missing and shown in grey", note)
    assert told is not None
    rows = round(240 * float(told[1]) / 100)
    assert 0 < rows < 40
    assert image.size == (320, 240)
    assert np.abs(pixels(image) - pixels(scene(320, 240)))[: 240 - rows - 16].mean() < 8
    assert np.abs(pixels(image)[-8:, -8:] - 128).max() < 4  # grey where nothing is left

    end = as_bytes(scene(320, 240), "JPEG")[:-2]  # the mark alone
    image, note = decoded(opened(end), end)
    assert note == "the JPEG lacks its last bytes"
    assert np.array_equal(pixels(image), pixels(Image.open(io.BytesIO(end + b"\xff\xd9")).convert("RGB")))


def test_a_cut_photo_is_turned_upright_as_well():
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = as_bytes(scene(320, 240), "JPEG", quality=95, exif=exif)
    assert decode_image(whole[: len(whole) * 95 // 100]).size == (240, 320)


def test_uploads_read_a_cut_jpeg_as_training_does(tmp_path):
    (tmp_path / "cut.jpg").write_bytes(cut_jpeg())
    trained = read_picture(tmp_path / "cut.jpg", 320)
    shown = decode_image(cut_jpeg()).resize((320, 320), Image.Resampling.BICUBIC)
    assert trained.remarks[0][0] == "JPEGs that lack their last bytes"
    assert np.abs(pixels(shown) - trained.pixels.astype(int)).mean() < 1


REFUSED = {
    "empty file": (b"", NotAnImageError, "the file is empty"),
    "text renamed .png": (b"just words\n" * 100, NotAnImageError, "the file is not an image we can read"),
    "SVG": (
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        NotAnImageError,
        "the file is not an image we can read",
    ),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", NotAnImageError, "the file is not an image we can read"),
    "PNG signature alone": (b"\x89PNG\r\n\x1a\n", NotAnImageError, "the file is not an image we can read"),
    "truncated JPEG": (truncated_jpeg(), ImageError, "the image is damaged or incomplete"),
    "PNG without pixels": (png(64, 64), ImageError, "the image is damaged or incomplete"),
    "PNG of no size": (png(0, 64), NotAnImageError, "the file is not an image we can read"),
    "two-frame GIF": (two_frames("GIF"), ImageError, "the GIF image has several frames"),
    "two-frame WebP": (two_frames("WEBP"), ImageError, "the WEBP image has several frames"),
    "two-frame PNG": (two_frames("PNG"), ImageError, "the PNG image has several frames"),
    "two-page TIFF": (two_frames("TIFF"), ImageError, "the TIFF image has several pages"),
    "a line": (png(2100, 100), ImageError, "the image is 2100 x 100 pixels; its longer side"),
    "60 megapixels": (
        png(10_000, 6_000),
        ImageTooLargeError,
        "the image has 10000 x 6000 pixels (60 megapixels)",
    ),
    "900 megapixels": (
        nine_hundred_megapixels(),
        ImageTooLargeError,
        "the image has 900 megapixels; at most 50",
    ),
    "a tile of 300 megapixels": (
        tile_bomb(np.random.default_rng(0)),
        ImageError,
        "the TIFF image is 64 x 64 pixels in tiles of",
    ),
    "lying header": (png(2**31 - 1, 2**31 - 1), ImageTooLargeError, "the image has"),
    "40 MB": (b"\xff\xd8" + bytes(40_000_000), ImageTooLargeError, "the file is 40.0 MB; at most 20 MB"),
    "float TIFF": (
        as_bytes(Image.new("F", (8, 8), 0.5), "TIFF"),
        ImageError,
        "the image has 32-bit pixels, which have no fixed white",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused_with_one_clear_line(name):
    data, kind, start = REFUSED[name]

    with pytest.raises(ImageError) as refused:
        decode_image(data)

    assert (type(refused.value), str(refused.value)[: len(start)]) == (kind, start)
    assert "\n" not in str(refused.value)
    assert "0x" not in str(refused.value)


def test_a_bomb_is_a_real_picture_that_would_open_but_for_its_size():
    decoded = decode_image(black_png(3000, 2000))
    assert (decoded.size, decoded.getextrema()) == ((3000, 2000), ((0, 0),) * 3)


def test_limits_are_inclusive():
    stored = as_bytes(scene())
    limits = ImageLimits(bytes=len(stored), pixels=96 * 64, aspect=1.5)
    assert decode_image(stored, limits).size == (96, 64)


@pytest.mark.filterwarnings("ignore:Truncated File Read", "ignore:Corrupt EXIF data")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "AVIF"])
def test_no_damage_to_a_file_gets_past_as_anything_but_a_picture_or_an_image_error(format):
    whole = as_bytes(scene(), format)
    dice = np.random.default_rng(20)
    outcomes = {"picture": 0, "refused": 0}
    for _ in range(150):
        data = bytearray(whole)
        for place in dice.integers(0, len(data), dice.integers(1, 8)):
            data[place] = dice.integers(0, 256)
        try:
            decoded = decode_image(bytes(data[: dice.integers(len(data) // 2, len(data) + 1)]))
            outcomes["picture"] += decoded.mode == "RGB"
        except ImageError:
            outcomes["refused"] += 1
    assert sum(outcomes.values()) == 150
