"""From image files to pixels: what is read is right, and what is not read is told."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfi.data import decode as module
from lfi.data.coco import refuse_missing
from lfi.data.decode import decode, load_images
from lfi.data.imagecache import cached
from lfi.data.imagefiles import image_files
from lfi.errors import DataError


def damaged(folder, picture):
    """One file of every kind of damage."""
    whole = picture(folder / "whole.jpg", size=(64, 64)).read_bytes()
    contents = {
        "empty.jpg": b"",
        "text.jpg": b"not an image",
        "cut.jpg": whole[: len(whole) // 2],
        "header.jpg": whole[:20],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_pixels_of_the_right_size_are_left_as_they_are(tmp_path, picture):
    path = picture(tmp_path / "a.png")
    assert (load_images([path], 16).images[0] == np.asarray(Image.open(path))).all()


def test_images_come_in_the_order_of_their_paths_whatever_decodes_them(tmp_path, picture):
    paths = [picture(tmp_path / f"{row}.png", row % 251, size=(8, 8)) for row in range(300)]
    for processes in (1, 2):
        found = load_images(paths, 8, processes=processes)
        assert found.images[:, 0, 0, 0].tolist() == [row % 251 for row in range(300)]
        assert found.kept.tolist() == list(range(300))


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))  # white on the left as stored; orientation 6 is turned a quarter to the right
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    upright = decode(tmp_path / "a.png", 16)
    assert upright[:7].min() > 200
    assert upright[9:].max() < 55


def test_squashing_keeps_the_sides_and_cropping_cuts_them_off(tmp_path):
    image = Image.new("RGB", (48, 16), "black")
    image.paste("white", (16, 0, 32, 16))
    image.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 16, "crop").min() == 255
    assert decode(tmp_path / "a.png", 16, "squash")[:, 0].max() == 0


def test_a_large_photograph_is_close_to_itself_decoded_whole(tmp_path):
    ramp = np.linspace(0, 255, 512)[None, :, None] * np.ones((512, 1, 3))
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    whole = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(decode(tmp_path / "a.jpg", 32).astype(int) - whole).max() <= 3


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (4, 4), 77), (77, 77, 77)),
        (Image.new("RGBA", (4, 4), (9, 9, 9, 0)), (255, 255, 255)),
        (Image.fromarray(np.full((4, 4), 0x8000, np.uint16)), (128, 128, 128)),
        (Image.new("P", (4, 4), 0), (0, 0, 0)),
    ],
    ids=["grey", "transparent", "16 bit", "palette"],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path, image, expected):
    image.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", 4)[0, 0].tolist() == list(expected)


def test_files_that_cannot_be_read_are_counted_named_and_left_out(tmp_path, picture, capsys):
    good = [picture(tmp_path / f"{row}.png", row) for row in range(4)]
    bad = [*damaged(tmp_path, picture), tmp_path / "missing.jpg"]
    found = load_images([good[0], *bad, *good[1:]], 8, limit=0.6)
    assert found.kept.tolist() == [0, 6, 7, 8]
    assert found.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert [line.split(": ")[0] for line in found.skipped] == [str(path) for path in bad]
    assert all(len(line.split(": ")[1]) > 10 for line in found.skipped)
    assert "skipped 5 of 9 images" in capsys.readouterr().err


def test_more_of_them_than_the_limit_is_an_error_that_names_the_first(tmp_path, picture):
    paths = [picture(tmp_path / f"{row}.png", row) for row in range(9)] + damaged(tmp_path, picture)[:1]
    assert len(load_images(paths, 8, limit=0.1).skipped) == 1
    with pytest.raises(
        DataError, match=r"at least 1 of 10 images cannot be read.*9\.0%.*empty\.jpg: the file is empty"
    ):
        load_images(paths, 8, limit=0.09)


def test_nothing_that_can_be_read_is_an_error_whatever_the_limit(tmp_path, picture):
    with pytest.raises(DataError, match="none of 4 images can be read"):
        load_images(damaged(tmp_path, picture), 8, limit=1)


def test_an_image_that_unfolds_to_hundreds_of_megapixels_is_not_decoded(tmp_path):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match="10000 x 10000 pixels; at most 89 megapixels"):
        decode(io.BytesIO(bomb), 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "at least 1 px"),
        ({"size": 8, "fit": "pad"}, "'pad'; one of squash, crop"),
        ({"size": 8, "limit": 2}, "0 to 1"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, picture, arguments, message):
    with pytest.raises(DataError, match=message):
        load_images([picture(tmp_path / "a.png")], **arguments)


def test_no_files_are_an_error():
    with pytest.raises(DataError, match="no images"):
        load_images([], 8)


def test_files_are_found_in_torchvisions_order(tmp_path, picture):
    """Folders by their whole path, then names, both as bytes sort: that is `ImageFolder`'s order."""
    for name in ("b/2.png", "b/10.JPG", "a/z/1.png", "a/y.png", "a/Z.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)]
    assert found == ["a/Z.png", "a/y.png", "a/z/1.png", "b/10.JPG", "b/2.png"]


def test_only_formats_that_need_no_other_program_are_opened():
    assert "EPS" not in module.FORMATS


def test_processes_that_decode_end_with_the_one_that_was_killed(tmp_path, picture):
    """Left behind they would wait for work for ever, and hold their memory."""
    path = picture(tmp_path / "a.png", 5, (640, 640))
    script = (
        "import sys, pathlib; from lfi.data.decode import readable, Skipped\n"
        "paths = [pathlib.Path(sys.argv[1])] * 300\n"
        "images = readable(paths, 8, 'squash', 2, 'x', Skipped(len(paths), 0)); next(images)\n"
        "import multiprocessing; print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        children = [int(pid) for pid in process.stdout.readline().split()]
        assert len(children) == 2
        process.kill()
    for _ in range(100):
        if not any(alive(child) for child in children):
            break
        time.sleep(0.1)
    assert [child for child in children if alive(child)] == []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"  # one that ended may lie unreaped


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.png"])
def test_a_name_that_no_file_can_have_is_skipped_as_one_that_is_missing(tmp_path, picture, monkeypatch, name):
    monkeypatch.setenv("LFI_CACHE", str(tmp_path / "decoded"))
    paths = [picture(tmp_path / "a.png"), tmp_path / name]
    assert cached(paths, 16, limit=0.5).kept.tolist() == [0]
    with pytest.raises(DataError, match="are not in"):
        refuse_missing([name], tmp_path, Path("list.json"))
