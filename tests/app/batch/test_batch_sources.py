"""Folders and zips of images: what is taken, what is left aside, what is refused before it unfolds."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from uploads import as_bytes, scene

from app.archives import ArchiveLimits, open_archive
from app.batch.sources import FolderImages, ZipImages, open_images
from app.failures import ArchiveError
from lfi.errors import ImageError, ImageTooLargeError

MOST = 1_000_000


def zipped(folder: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "images.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_folder_gives_its_images_in_order_and_counts_what_else_lies_there(tmp_path):
    for name in ("b.png", "a/deep/C.JPG", "a/notes.txt", ".hidden/d.png", "__MACOSX/._b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    images = FolderImages(tmp_path)
    assert (images.names, images.others) == (("a/deep/C.JPG", "b.png"), ("a/notes.txt",))
    assert images.read("b.png", MOST) == b"b.png"


def test_a_zip_gives_the_same(tmp_path):
    files = {"b.png": b"b", "a/": b"", "a/C.JPG": b"c", "notes.txt": b"", "__MACOSX/._b.png": b"", ".DS_Store": b""}
    images = ZipImages(zipped(tmp_path, files))
    assert (images.names, images.others) == (("a/C.JPG", "b.png"), ("notes.txt",))
    assert images.read("a/C.JPG", MOST) == b"c"


def test_files_without_a_suffix_are_known_by_what_they_hold(tmp_path):
    files = {
        "IMG 0001": as_bytes(scene(), "JPEG"),
        "scan.2": as_bytes(scene(), "PNG"),
        "clip 2.0 red": as_bytes(scene(), "WEBP"),
        "phone": as_bytes(scene(), "HEIF"),
        "README": b"BM is how a bitmap begins, and this is none",
        "photo.txt": as_bytes(scene(), "JPEG"),
    }
    for name, data in files.items():
        (tmp_path / "folder" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    for images in (FolderImages(tmp_path / "folder"), ZipImages(zipped(tmp_path, files))):
        assert images.names == ("IMG 0001", "clip 2.0 red", "phone", "scan.2")
        assert images.others == ("README", "photo.txt")
        assert images.read("phone", MOST) == files["phone"]


def test_no_image_is_read_further_than_it_may_be_large(tmp_path):
    picture = as_bytes(scene())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(picture)
    for images in (FolderImages(tmp_path / "folder"), ZipImages(zipped(tmp_path, {"a.png": picture}))):
        with pytest.raises(ImageTooLargeError):
            images.read("a.png", len(picture) - 1)


def test_a_file_that_is_gone_and_an_entry_that_is_damaged_are_errors_of_that_image_alone(tmp_path):
    path = zipped(tmp_path, {"a.png": bytes(range(256)) * 9, "b.png": b"b"}, zipfile.ZIP_STORED)
    damaged = bytearray(path.read_bytes())
    damaged[60] ^= 255
    path.write_bytes(damaged)
    images = ZipImages(path)
    with pytest.raises(ImageError, match="damaged"):
        images.read("a.png", MOST)
    assert images.read("b.png", MOST) == b"b"

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    images = FolderImages(folder)
    (folder / "a.png").unlink()
    with pytest.raises(ImageError, match="cannot be read: no such file"):
        images.read("a.png", MOST)


def lying_bomb(folder: Path) -> Path:
    """An entry that says it is small and unfolds to more."""
    data = bytearray(zipped(folder, {"a.png": bytes(3_000_000)}).read_bytes())
    honest = (3_000_000).to_bytes(4, "little")
    place = data.find(honest, data.find(b"PK\x01\x02"))
    data[place : place + 4] = (900).to_bytes(4, "little")
    path = folder / "lying.zip"
    path.write_bytes(data)
    return path


def test_an_entry_that_lies_about_its_size_is_damaged_and_never_unfolds(tmp_path):
    with pytest.raises(ImageError, match="damaged"):
        ZipImages(lying_bomb(tmp_path)).read("a.png", MOST)


def encrypted(folder: Path) -> Path:
    data = bytearray(zipped(folder, {"a.png": b"a"}).read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path = folder / "secret.zip"
    path.write_bytes(data)
    return path


REFUSED = {
    "no zip": (lambda at: at / "text.zip", "cannot be read as a zip"),
    "no image in it": (lambda at: zipped(at, {"notes.txt": b""}), "has no images in it"),
    "encrypted": (encrypted, "is encrypted"),
    "parent folders": (lambda at: zipped(at, {"../../a.png": b"a"}), "outside of itself: '../../a.png'"),
    "absolute path": (lambda at: zipped(at, {"/etc/a.png": b"a"}), "outside of itself"),
    "another drive": (lambda at: zipped(at, {"C:/a.png": b"a"}), "outside of itself"),
    "backslashes": (lambda at: zipped(at, {"..\\a.png": b"a"}), "outside of itself"),
    "too many entries": (lambda at: zipped(at, {f"{n}.png": b"" for n in range(51)}), "51 entries; at most 50"),
    "too much unpacked": (lambda at: zipped(at, {f"{n}.png": bytes(900_000) for n in range(9)}), "unpacks to 8 MB"),
    "packed too tightly": (lambda at: zipped(at, {"a.png": bytes(2_000_000)}), r"compressed 1,\d\d\d times"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_zip_is_refused_by_its_table_of_contents(case, tmp_path):
    make, said = REFUSED[case]
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ArchiveError, match=said):
        ZipImages(make(tmp_path), ArchiveLimits(entries=50, unpacked=5_000_000, ratio=200))


def with_table(size: int, count: int, zip64: bool) -> bytes:
    """A zip of nothing but a table of contents, which says that it has so many entries."""
    entry = b"PK\x01\x02" + bytes(42)
    table = entry * size
    if not zip64:
        return table + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(table), 0, 0)
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(table), 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(table), 1)
    return table + end + locator + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, 0, 0, 0)


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("comment", [b"", b"made by hand"])
def test_a_table_of_contents_that_is_far_too_long_is_not_read_whatever_its_count_says(zip64, comment, tmp_path):
    data = with_table(20_000, 1, zip64)
    if comment:
        data = data[:-2] + struct.pack("<H", len(comment)) + comment
    (tmp_path / "a.zip").write_bytes(data)
    read: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZipInfo", read.append)
        with pytest.raises(ArchiveError, match="too many entries; at most 50 are accepted"):
            ZipImages(tmp_path / "a.zip", ArchiveLimits(entries=50))
        with pytest.raises(ArchiveError, match="too many entries; at most 50 are accepted"):
            open_archive(io.BytesIO(data), ArchiveLimits(entries=50), "the zip")
    assert read == []


def test_a_zip_that_is_refused_is_closed(tmp_path, monkeypatch):
    def fail(*_: object) -> list[str]:
        raise RuntimeError

    monkeypatch.setattr("app.batch.sources.names_of", fail)
    opened: list[io.BufferedReader] = []
    open_file = Path.open
    monkeypatch.setattr(Path, "open", lambda *given: opened.append(open_file(*given)) or opened[-1])
    with pytest.raises(RuntimeError):
        ZipImages(zipped(tmp_path, {"a.png": b"a"}))
    assert [file.closed for file in opened] == [True]


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ArchiveError, match=r"there is no .*nowhere"):
        open_images(tmp_path / "nowhere")
    with pytest.raises(ArchiveError, match="has no images in it"):
        open_images(tmp_path)
    (tmp_path / "cut.zip").write_bytes(zipped(tmp_path, {"a.png": io.BytesIO().getvalue()}).read_bytes()[:-5])
    with pytest.raises(ArchiveError, match="cannot be read as a zip"):
        open_images(tmp_path / "cut.zip")
