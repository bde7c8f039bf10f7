"""Files that are not our kind of picture: nothing, noise, archives, documents, formats that run programs."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import zipfile

import numpy as np

from bench.hostile.pictures import any_format

_BEGINNINGS = (
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF\xff\xff\xff\x7fWEBPVP8 ",
    b"\0\0\0\x20ftypavif",
    b"\0\0\0\x18ftypheic",
)


def nothing(rng: np.random.Generator) -> bytes:
    """An empty file, or zeros."""
    return bytes(int(rng.choice([0, 1, 2, 1000, 10**6])))


def noise(rng: np.random.Generator) -> bytes:
    """Random bytes."""
    return rng.bytes(int(rng.integers(1, 20_000)))


def noise_with_a_beginning(rng: np.random.Generator) -> bytes:
    """Random bytes after the first bytes of a picture."""
    return _BEGINNINGS[rng.integers(len(_BEGINNINGS))] + rng.bytes(int(rng.integers(0, 5_000)))


def archive(rng: np.random.Generator) -> bytes:
    """A zip, tar, gzip or bzip2 with a picture, or with 64 MB of zeros."""
    content = any_format(rng)[1] if rng.random() < 0.5 else bytes(64 * 1024**2)
    kind = rng.integers(4)
    if kind == 0:
        return gzip.compress(content, 1)
    if kind == 1:
        return bz2.compress(content[: 8 * 1024**2], 1)
    buffer = io.BytesIO()
    if kind == 2:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("../../../picture.png", content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            about = tarfile.TarInfo("/etc/picture.png")
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def drawing(rng: np.random.Generator) -> bytes:
    """An SVG that reads files, asks other hosts, runs scripts or grows."""
    lol = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    kinds = (
        '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&x;</svg>',
        f'<!DOCTYPE svg [<!ENTITY a0 "ha">{lol}]><svg xmlns="http://www.w3.org/2000/svg"><text>&a9;</text></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://169.254.169.254/latest/meta-data"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" width="1e9" height="1e9"/>',
    )
    return ('<?xml version="1.0"?>' + kinds[rng.integers(len(kinds))]).encode()


def document(rng: np.random.Generator) -> bytes:
    """PostScript and PDF, which Pillow would hand to another program; a page; a program; a pickle."""
    kinds = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) (r) file pop showpage\n",
        b"\xc5\xd0\xd3\xc6\x20\0\0\0\x40\0\0\0" + bytes(20) + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n",
        b"<!doctype html><script>alert(1)</script>",
        b"\x7fELF\x02\x01\x01" + bytes(60),
        b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        b"push graphic-context\nviewbox 0 0 640 480\nfill 'url(https://elsewhere.example/\"|id\")'\n",
    )
    return kinds[rng.integers(len(kinds))]


def other_format(rng: np.random.Generator) -> bytes:
    """A picture in a format that we do not read, though Pillow does."""
    kinds = (
        b"P6 8 8 255\n" + bytes(192),
        b"P6 999999999 999999999 255\n",
        b"\x0a\x05\x01\x08\0\0\0\0\x07\0\x07\0" + bytes(200),
        b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\x75\x30\0\0\x75\x30\0\x08\0\3" + bytes(40),
        b"\0\0\1\0\1\0\x08\x08\0\0\1\0\x20\0\x68\1\0\0\x16\0\0\0" + bytes(400),
        b"SIMPLE  =                    T" + bytes(80),
        b"\xff\x4f\xff\x51" + bytes(100),
    )
    return kinds[rng.integers(len(kinds))]
