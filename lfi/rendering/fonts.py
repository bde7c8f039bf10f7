"""Letters of any script: those of DejaVu Sans, which matplotlib brings, then of installed fonts for what it lacks.

Nothing is looked for while DejaVu Sans has all letters, so such figures are the same bytes on every machine.
"""

from __future__ import annotations

import logging
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageDraw, ImageFont

FIRST = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
"""Pillow's built-in font has no multiplication sign."""

_PLAIN = ("Regular", "Book", "Roman", "Normal")

log = logging.getLogger("lfi.rendering")
_said: set[str] = set()


@dataclass(frozen=True)
class Face:
    """What a font file holds: the name of its family, its style, its characters."""

    family: str
    style: str
    letters: frozenset[int]


def families(text: str) -> list[str]:
    """Names of the fonts that have these letters, for matplotlib's `font.family`, which asks them in this order."""
    fonts = fonts_for(text)
    known = {entry.name for entry in font_manager.fontManager.ttflist}
    for path in fonts[1:]:
        if face(path).family not in known:  # installed since matplotlib made its list
            font_manager.fontManager.addfont(path)
    return [face(path).family for path in fonts]


def write(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, ink: str, size: int) -> None:
    """Write on a picture.

    Args:
        at: upper left corner of the line, in pixels.
        size: of the letters, in pixels.
    """
    x, y = at
    base = y + font(size).getmetrics()[0]
    for path, run in runs(text):
        letters = font(size, path)
        draw.text((x, base), run, ink, letters, anchor="ls")
        x += letters.getlength(run)


def length(text: str, size: int) -> float:
    """How wide `write` writes it, in pixels."""
    return sum(font(size, path).getlength(run) for path, run in runs(text))


@cache
def font(size: int, path: Path = FIRST) -> ImageFont.FreeTypeFont:
    """What words on pictures are set in, at a size in pixels."""
    return ImageFont.truetype(path, size)


def fonts_for(text: str) -> tuple[Path, ...]:
    """The first font, and as few others as have between them what it lacks; logs, once, what none of them has."""
    lacking = frozenset(ord(letter) for letter in text if _has_shape(letter)) - face(FIRST).letters
    return (FIRST, *_others(lacking)) if lacking else (FIRST,)


def runs(text: str) -> list[tuple[Path, str]]:
    """The text in parts that one font has each; spaces and marks stay with the letters before them."""
    fonts = fonts_for(text)
    found: list[tuple[Path, str]] = []
    for letter in text:
        current, run = found[-1] if found else (FIRST, "")
        stays = unicodedata.category(letter)[0] in "MZC" and ord(letter) in face(current).letters
        wanted = current if stays else next((path for path in fonts if ord(letter) in face(path).letters), current)
        if found and wanted == current:
            found[-1] = current, run + letter
        else:
            found.append((wanted, letter))
    return found


@lru_cache(maxsize=256)
def _others(lacking: frozenset[int]) -> tuple[Path, ...]:
    left, chosen = set(lacking), []
    while left:
        best = max(installed(), key=lambda path: len(left & face(path).letters), default=None)
        if best is None or not left & face(best).letters:
            _say({_script(letter) for letter in left})
            break
        chosen.append(best)
        left -= face(best).letters
    return tuple(chosen)


def _say(scripts: set[str]) -> None:
    """Scripts and not letters: a log holds nobody's words."""
    if scripts - _said:
        log.warning(
            "no installed font has all letters of %s: figures show boxes instead; docs/deployment.md names fonts",
            ", ".join(sorted(scripts - _said)),
        )
    _said.update(scripts)


def _has_shape(letter: str) -> bool:
    return unicodedata.category(letter)[0] not in "CZ" and not 0xFE00 <= ord(letter) <= 0xFE0F


def _script(letter: int) -> str:
    first = unicodedata.name(chr(letter), "unknown signs").split()[0]
    return "Chinese" if first == "CJK" else first.capitalize()


@cache
def installed() -> tuple[Path, ...]:
    """Outline fonts of this machine; of equals the first is taken: upright, of ordinary weight, without serifs."""
    found = []
    for name in font_manager.findSystemFonts():
        path = Path(name)
        try:
            found.append((face(path).style not in _PLAIN, "Sans" not in face(path).family, face(path).family, path))
        except (OSError, RuntimeError):
            continue  # FreeType cannot read it, or there is nothing in it to be drawn at any size
    return tuple(path for *_, path in sorted(found))


@cache
def face(path: Path) -> Face:
    """What is in a font file.

    Raises:
        OSError, RuntimeError: it is none, or holds pictures instead of outlines.
    """
    opened = FT2Font(str(path))
    if not opened.scalable:
        raise RuntimeError(f"{path} holds no outlines")
    return Face(opened.family_name, opened.style_name, frozenset(opened.get_charmap()))
