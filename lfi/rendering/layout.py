"""Where everything of a sheet stands, in inches: columns, rows as tall as their images, notes, bars, caption."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from lfi.errors import ConfigError

SMALLEST = 6.0
"""Points below which journals take no letters: notes and ticks get no smaller, however small the names are."""
EDGE = 0.04
"""Inches beside the pictures of a narrow figure."""
BAR = 0.75
"""Inches of a colour bar with its ticks and label, at 9 points."""
LINE = 0.14
"""Inches of a line of the caption, at 9 points."""
_GAP, _NOTE, _HEAD, _HEAD_LINE = 0.08, 0.12, 0.34, 0.15  # inches; a note counts lines
_NARROWEST = 0.25  # inches of a panel in which something can still be seen
_BETWEEN = " · "
_UNBROKEN = "\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}"
_HALF = "\0"
_RELATION = re.compile(" ([=<>]) ")


@dataclass(frozen=True)
class Layout:
    """A sheet in inches from its upper left corner.

    Attributes:
        width, height: of the whole.
        left: where the pictures begin.
        cell: width of a panel.
        head: height of the column names.
        tops, talls: per row, where its pictures begin and how tall they are.
        names, heads, notes, caption: wrapped to what they have; notes by row and column.
        below: where the colour bar begins. after: where the caption does.
        small, tick: points of notes and caption, and of ticks.
    """

    width: float
    height: float
    left: float
    cell: float
    head: float
    tops: tuple[float, ...]
    talls: tuple[float, ...]
    names: tuple[str, ...]
    heads: tuple[str, ...]
    notes: dict[tuple[int, int], str]
    caption: tuple[str, ...]
    below: float
    after: float
    small: float
    tick: float

    @property
    def inner(self) -> float:
        """Width of all columns."""
        return len(self.heads) * (self.cell + _GAP) - _GAP

    def x(self, column: int) -> float:
        """Where a column begins."""
        return self.left + column * (self.cell + _GAP)

    def source(self, row: int, text: str, points: float) -> str:
        """What of a file's name fits beside the name of its row."""
        room = self.inner - 0.085 * points / 9 * len(_wide(self.names[row])) - 0.1
        return shortened(text, max(int(room / (0.058 * self.small / 6)), 4))


def lay_out(
    rows: Sequence[str],
    columns: Sequence[str],
    ratios: Sequence[float],
    notes: dict[tuple[int, int], str],
    caption: Sequence[str],
    *,
    cell: float,
    width: float | None,
    points: float,
    bars: int,
    tallest: float | None,
) -> Layout:
    """The layout of a sheet.

    Args:
        rows, columns: names.
        ratios: height over width of each row's image.
        notes: under panels, by row and column.
        caption: nothing where none is drawn.
        cell, width, points, tallest: as for `lfi.rendering.sheet.Sheet`.
        bars: how many colour bars there are.

    Raises:
        ConfigError: more columns than fit into the width.
    """
    letters = points / 9  # all that holds letters grows with them
    small, tick = max(points * 2 / 3, SMALLEST), max(points * 7 / 9, SMALLEST)
    fine = small / 6
    narrow = width is not None  # row names then stand above their rows and leave the width to the pictures
    names = ["\n".join(_lines(name, 16)) for name in rows]
    left = (
        EDGE
        if narrow
        else 0.2 + 0.085 * letters * max(len(_wide(line)) for name in names for line in name.splitlines())
    )
    if width is not None:
        cell = (width - left - EDGE + _GAP) / len(columns) - _GAP
        if cell < _NARROWEST:
            raise ConfigError(
                f"{len(columns)} columns do not fit into {2.54 * width:.1f} cm; "
                "take fewer columns, a wider figure or shorter words"
            )
        notes = {place: _wrapped(note, int(cell / (0.058 * fine))) for place, note in notes.items()}
    heads = ["\n".join(_lines(name, max(int(cell / (0.073 * letters)), 1))) for name in columns]
    head = (_HEAD + _HEAD_LINE * max(name.count("\n") for name in heads)) * letters
    above = _HEAD_LINE * letters * 1.2 if narrow else 0.0
    talls = tuple(cell * min(ratio, tallest or ratio) for ratio in ratios)
    tops, y = [], head
    for row, tall in enumerate(talls):
        tops.append(y + above)
        lines = max((1 + note.count("\n") for (at, _), note in notes.items() if at == row and note), default=0)
        y += above + tall + _NOTE * fine * lines + 0.1
    inner = len(columns) * (cell + _GAP)
    said = [line for text in caption for line in _lines(text, int((left + inner) / (0.058 * fine)))]
    after = y + bars * BAR * tick / 7
    return Layout(
        width=left + inner + 0.1 if width is None else width,
        height=after + LINE * fine * len(said) + 0.1,
        left=left,
        cell=cell,
        head=head,
        tops=tuple(tops),
        talls=talls,
        names=tuple(rows) if narrow else tuple(names),
        heads=tuple(heads),
        notes=notes,
        caption=tuple(said),
        below=y,
        after=after,
        small=small,
        tick=tick,
    )


def _lines(text: str, most: int) -> list[str]:
    """The text in lines of so many letters."""
    return [line.replace(_HALF, "") for line in textwrap.wrap(_wide(text), most)]


def _wide(text: str) -> str:
    """As long as the text is wide: a Chinese, Japanese or Korean letter takes the room of two."""
    return "".join(letter + _HALF * (east_asian_width(letter) in "WF") for letter in text)


def shortened(text: str, most: int) -> str:
    """The text with its middle left out where it has more than `most` letters."""
    if len(text) <= most:
        return text
    first = (most - 1) // 2
    return f"{text[:first]}…{text[len(text) - (most - 1 - first) :]}"


def _wrapped(note: str, most: int) -> str:
    """A note in lines of at most `most` letters, broken between its facts where it has to be."""
    lines = []
    for line in note.splitlines():
        facts = [line] if len(_wide(line)) <= most else line.split(_BETWEEN)
        lines += [part for fact in facts for part in _lines(_RELATION.sub(_UNBROKEN, fact), most)]
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
