"""Words in any script on figures and films, as far as a machine has fonts for them."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from drawings import spot
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image, ImageDraw

from lfi.rendering import GridRow, Paper, animation, fonts, grid_figure
from lfi.rendering.layout import lay_out

MOON, OX = "月", "ᠮ"  # Chinese and Mongolian, which DejaVu Sans has none of
WHITE = (255, 255, 255)


def make_font(path: Path, family: str, letters: str) -> Path:
    """A font in which every letter is a solid block."""
    pen = TTGlyphPen(None)
    for number, corner in enumerate([(50, 0), (50, 700), (950, 700), (950, 0)]):
        pen.lineTo(corner) if number else pen.moveTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "space", "block"])
    builder.setupCharacterMap({ord(letter): "block" for letter in letters} | {0x20: "space"})
    empty = TTGlyphPen(None).glyph()
    builder.setupGlyf({".notdef": empty, "space": empty, "block": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "space": (300, 0), "block": (1000, 50)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular", "psName": family})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`install(family=letters, ...)`: a machine that has these fonts and no others."""
    listed = list(font_manager.fontManager.ttflist)

    def forget() -> None:
        fonts.installed.cache_clear()
        fonts._others.cache_clear()
        fonts._said.clear()

    def install(**letters: str) -> None:
        made = [str(make_font(tmp_path / f"{family}.ttf", family, has)) for family, has in letters.items()]
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: made)
        forget()

    yield install
    font_manager.fontManager.ttflist[:] = listed
    forget()


def picture_of(text: str) -> np.ndarray:
    """How a text looks on a film."""
    page = Image.new("RGB", (300, 40), WHITE)
    fonts.write(ImageDraw.Draw(page), (5, 5), text, "#000000", 20)
    return np.asarray(page.convert("L"))


def figure_of(word: str, format: str = "png") -> bytes:
    maps = {"teacher": spot(4, 9).weights[0, 0, 0].numpy()}
    row = GridRow(Image.new("RGB", (60, 40), (200, 40, 40)), "a.jpg", word, maps, {})
    return grid_figure([row], format, paper=Paper(8.5))


def test_letters_are_taken_from_as_few_installed_fonts_as_have_them(install):
    install(One=MOON, Two=MOON + OX, Three=OX)
    assert fonts.families("cat × “cat”") == ["DejaVu Sans"]
    assert fonts.families(f"cat {MOON}") == ["DejaVu Sans", "One"]
    assert fonts.families(f"{MOON}{OX}") == ["DejaVu Sans", "Two"]


def test_a_film_has_the_letters_of_an_installed_font_beside_its_own(install):
    install(One=MOON)
    cat, both = picture_of("cat"), picture_of(f"cat {MOON} cat")
    block = (picture_of(MOON) < 128).sum()
    assert block > 150  # a block of about 18 x 14 pixels
    assert (both < 128).sum() == pytest.approx(2 * (cat < 128).sum() + block, rel=0.1)
    assert [run for _, run in fonts.runs(f"“{MOON} {MOON}”, cat")] == ["“", f"{MOON} {MOON}", "”, cat"]


@pytest.mark.parametrize("format", ["png", "pdf", "svg"])
def test_a_figure_has_the_letters_of_an_installed_font(install, format, caplog):
    install()
    without = figure_of(MOON, format)
    install(One=MOON)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = figure_of(MOON, format)
    if format == "png":
        dark = [(np.asarray(Image.open(io.BytesIO(each)).convert("L")) < 60).sum() for each in (found, without)]
        assert dark[0] > dark[1] + 150  # a solid block instead of an empty box
    else:
        assert (b"One" in found, b"One" in without) == (True, False)


def test_what_no_font_has_is_said_once_in_one_line_that_holds_no_word(install, caplog):
    install(One=MOON)
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure_of(f"{MOON}{OX}")
        figure_of(OX)
        picture_of(OX)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lfi.rendering"]
    assert "no installed font has all letters of Mongolian" in said
    assert OX not in said


def test_signs_without_a_shape_are_no_trouble(install, caplog):
    install()
    assert fonts.families("a\u200db\ufe0f\xa0") == ["DejaVu Sans"]
    assert caplog.records == []


def test_an_animation_shows_the_word(install):
    install()
    given = {"teacher": spot(4, 9, (MOON,))}, Image.new("RGB", (60, 40)), MOON, [{"teacher": 0}]
    without = animation(*given)
    install(One=MOON)
    assert animation(*given) != without


def test_names_in_wide_letters_have_the_room_that_they_need():
    how = {"cell": 1.0, "width": None, "points": 9.0, "bars": 1, "tallest": None}
    wide, narrow = (lay_out([name], ["image"], [1.0], {}, (), **how).left for name in (MOON * 8, "m" * 8))
    assert wide >= 8 * 9 / 72  # eight letters as wide as they are high
    assert wide > narrow
    lines = lay_out([MOON * 20], ["image"], [1.0], {}, (), **how).names[0].split("\n")
    assert [len(line) for line in lines] == [8, 8, 4]
