"""The names of the files in a zip.

A zip either marks a name as UTF-8 or says nothing: then it should be in code page 437, and is in fact in whatever
encoding the program that wrote it uses. Info-ZIP adds the name in UTF-8 next to it. For the rest we take what can be
read: bytes that are valid UTF-8 are seldom anything else; Shift-JIS reads as Japanese throughout, where code page 437
would give more accents and box-drawing lines than letters.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Container, Iterable, Sequence
from pathlib import PurePosixPath
from posixpath import splitext
from zipfile import ZipInfo

_UTF8 = 0x800
_UNICODE_PATH = 0x7075
_DRIVE = re.compile(r"[A-Za-z]:/")
_JAPANESE = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
_WORD = re.compile(r"[^\W\d_]*[\u0080-\uffff][^\s./\\-]*")
"""A run with something in it that is not ASCII, in code page 437."""


def names_of(entries: Sequence[ZipInfo]) -> list[str]:
    """Names of the entries of one zip, with slashes; one that comes again has a number before its suffix."""
    unmarked = [_raw(entry) for entry in entries if not entry.flag_bits & _UTF8]
    encoding = _encoding([name for name in unmarked if name and not name.isascii()])
    taken: dict[str, None] = {}
    numbers: dict[str, int] = {}  # the last one of each name
    for entry in entries:
        name = _name(entry, encoding).replace("\\", "/")
        free, numbers[name] = _free(name, taken, numbers.get(name, 1))
        taken[free] = None
    return list(taken)


def leaves(name: str) -> bool:
    """Whether a name would lie outside of the folder that the zip is unpacked to."""
    return name.startswith("/") or ".." in PurePosixPath(name).parts or _DRIVE.match(name) is not None


def _name(entry: ZipInfo, encoding: str) -> str:
    raw = _raw(entry)
    if entry.flag_bits & _UTF8 or raw is None or raw.isascii():
        return entry.filename
    return _beside(entry, raw) or raw.decode(encoding)


def _raw(entry: ZipInfo) -> bytes | None:
    """The bytes of a name that is not marked as UTF-8."""
    try:
        return entry.filename.encode("cp437")
    except UnicodeEncodeError:
        return None


def _beside(entry: ZipInfo, raw: bytes) -> str:
    """The name in UTF-8 that Info-ZIP adds (APPNOTE 4.6.9), where it is of this name."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and field[1:5] == struct.pack("<I", zlib.crc32(raw)):
            return field[5:].decode("utf-8", "replace")
    return ""


def _encoding(names: Iterable[bytes]) -> str:
    """Of all names of a zip together: they were written by one program."""
    names = list(names)
    if _reads(names, "utf-8"):
        return "utf-8"
    if _reads(names, "cp932") and all(_is_japanese(name) for name in names):
        return "cp932"
    return "cp437"


def _reads(names: Iterable[bytes], encoding: str) -> bool:
    try:
        for name in names:
            name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_japanese(name: bytes) -> bool:
    """Whether a name is Japanese in Shift-JIS and makes no words in code page 437."""
    if not all(_JAPANESE.match(letter) for letter in name.decode("cp932") if not letter.isascii()):
        return False
    words = _WORD.findall(name.decode("cp437"))
    letters = sum(map(len, words))
    strange = sum(not letter.isascii() for word in words for letter in word)
    drawn = any(not letter.isascii() and not letter.isalpha() for word in words for letter in word)
    return drawn or 2 * strange >= letters


def _free(name: str, taken: Container[str], number: int) -> tuple[str, int]:
    """The name, with a number above this one where it is taken, and the number."""
    (stem, suffix), free = splitext(name), name
    while free in taken:
        number += 1
        free = f"{stem} ({number}){suffix}"
    return free, number
