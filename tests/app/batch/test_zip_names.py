"""Zips name their files in many ways; all of them are read."""

from __future__ import annotations

import io
import struct
import time
import zipfile

import pytest

from app.batch.sources import ZipImages
from app.failures import ArchiveError
from app.zipnames import names_of
from lfi.errors import ImageError


def unmarked(names: list[str], encoding: str) -> bytes:
    """A zip whose names are in an encoding that it does not tell."""
    buffer, stands_for = io.BytesIO(), {}
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, name in enumerate(names):
            stand_in = f"{number:04}".ljust(len(name.encode(encoding)), "x")
            stands_for[stand_in.encode()] = name.encode(encoding)
            archive.writestr(stand_in, str(number))
    data = buffer.getvalue()
    for stand_in, name in stands_for.items():
        data = data.replace(stand_in, name)
    return data


NAMES = [
    (["写真.jpg", "テスト.png"], "cp932"),
    (["IMG写真01.jpg", "日本語/画像 1.jpg"], "cp932"),
    (["ソ表.jpg"], "cp932"),
    (["Grün käse.jpg", "schön.png"], "cp437"),
    (["été à la plage.jpg"], "cp437"),
    (["café/写真.jpg", "звезда.png"], "utf-8"),
    (["Screenshot 2026-11-01 12:30:05.jpg", "a:b.png"], "utf-8"),
]


@pytest.mark.parametrize(("names", "encoding"), NAMES)
def test_names_are_read_as_they_were_written(names, encoding, tmp_path):
    (tmp_path / "a.zip").write_bytes(unmarked(names, encoding))
    images = ZipImages(tmp_path / "a.zip")
    assert set(images.names) == set(names)
    assert images.read(names[0], 9) == b"0"


def test_files_of_one_name_are_all_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", "2")
    images = ZipImages(tmp_path / "a.zip")
    assert [(name, images.read(name, 9)) for name in images.names] == [("a (2).png", b"2"), ("a.png", b"1")]


@pytest.mark.parametrize(
    ("name", "refused"),
    [("/", True), ("//", True), ("..", True), (".", False), ("./", False), ("", False), ("a/", False), ("a/.", False)],
)
def test_two_entries_without_a_file_s_name_are_harmless(name, refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", "1")
        for stand_in in ("x" * len(name) + "1", "x" * len(name) + "2"):
            archive.writestr(stand_in, "2")
    data = (tmp_path / "a.zip").read_bytes()
    shorter = renamed(data, {("x" * len(name) + end).encode(): name.encode() for end in "12"})
    (tmp_path / "a.zip").write_bytes(shorter)
    if refused:
        with pytest.raises(ArchiveError, match="names a file outside of itself"):
            ZipImages(tmp_path / "a.zip")
    else:
        assert ZipImages(tmp_path / "a.zip").names == ("a.png",)


def renamed(data: bytes, names: dict[bytes, bytes]) -> bytes:
    """A zip whose table of contents gives these entries other names, of any length."""
    start = data.find(b"PK\x01\x02")
    table, end = data[start : data.rfind(b"PK\x05\x06")], data[data.rfind(b"PK\x05\x06") :]
    for old, new in names.items():
        at = table.find(old)
        table = table[: at - 18] + struct.pack("<H", len(new)) + table[at - 16 : at] + new + table[at + len(old) :]
    return data[:start] + table + end[:12] + struct.pack("<I", len(table)) + end[16:]


def test_a_thousand_entries_of_one_name_are_numbered_quickly():
    entries = [zipfile.ZipInfo("a.png") for _ in range(20_000)]
    begun = time.process_time()
    names = names_of(entries)
    assert time.process_time() - begun < 5
    assert (len(set(names)), names[:3], names[-1]) == (20_000, ["a.png", "a (2).png", "a (3).png"], "a (20000).png")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_damaged_entry_is_the_fault_of_one_file(method, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.png", bytes(range(256)) * 40)
        archive.writestr("b.png", b"b")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    start = data.find(b"a.png") + 5
    data[start + 9 : start + 60] = b"?" * 51
    (tmp_path / "a.zip").write_bytes(data)
    images = ZipImages(tmp_path / "a.zip")
    with pytest.raises(ImageError, match="damaged"):
        images.read("a.png", 1_000_000)
    assert images.read("b.png", 9) == b"b"
