"""A grid of overlays on paper: row and column names, a note under every map, one colour bar, a caption.

Drawn with matplotlib's objects, never pyplot, so a server's threads share no figures. Vector formats keep
text as text (TrueType in PDF, which publishers ask for), and the same sheet gives the same bytes.
"""

from __future__ import annotations

import io
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from PIL import Image, ImageFilter

from lfi.errors import ConfigError
from lfi.rendering.difference import DIVERGING, DifferenceScale, difference
from lfi.rendering.embedding import embedded_once
from lfi.rendering.overlays import FAINT, OPACITY, ground, overlay, veil
from lfi.rendering.palettes import palette_table
from lfi.rendering.scale import Scale, Tick

FORMATS = ("svg", "pdf", "png")
MOST_ROWS = 48
"""More rows than this and a PNG exceeds what viewers open."""

_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lfi",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a word that somebody typed may hold dollar signs
}
_WRITING = threading.Lock()  # rc_context changes state of the whole process: one sheet is drawn at a time
_DPI = 200
_PIXELS = 400  # longest side of a panel's picture: sharp in print at two inches, small in a file
_GREY = "#555555"
_MARK = "#ffd600"
_GAP, _NOTE, _HEAD, _BAR, _LINE = 0.08, 0.12, 0.34, 0.75, 0.14  # inches; a note and a caption count lines
_HEAD_LINE = 0.15
_EDGE = 0.04  # inches beside the pictures of a narrow figure
_NARROWEST = 0.25  # inches of a panel in which something can still be seen


@dataclass(frozen=True)
class Panel:
    """One overlay: a raw map `[h, w]`, its place in the grid (column 0 is the image), the note under it."""

    row: int
    column: int
    weights: np.ndarray
    note: str
    faint: bool = False
    """The word is absent, as for `overlay`."""
    minus: np.ndarray | None = None
    """What is subtracted: the panel then shows the difference on the sheet's other scale."""


@dataclass(frozen=True)
class Sheet:
    """Everything on a figure but the ink."""

    image: Image.Image
    panels: list[Panel]
    rows: list[str]
    columns: list[str]
    caption: list[str]
    title: str
    cell: float
    """Width of a panel in inches."""
    opacity: float = OPACITY
    """Of the strongest attention."""
    smooth: bool = True
    """False shows the models' own patches."""
    contour: bool = False
    """Whether a line runs at half of each peak."""
    region: np.ndarray | None = None
    """Bool `[height, width]` over the whole image; outlined on the image and on every map."""
    width: float | None = None
    """Of the whole figure in inches; panels then share what the row names leave of it, whatever `cell` says."""
    points: float = 9
    """Size of the letters of names; notes, ticks and the caption are smaller in proportion."""
    captions: bool = True
    """Whether notes stand under the panels and the caption at the end; a paper has its own."""
    differences: DifferenceScale | None = None
    """The scale of panels that subtract."""


def save(sheet: Sheet, scale: Scale, palette: str, path: str | Path | None, format: str | None) -> bytes:
    """Draw the sheet; write it to `path` if there is one; return the file's bytes.

    Raises:
        ConfigError: an unknown format or palette, nothing to draw, more than `MOST_ROWS` rows, or more
            columns than fit into its width.
    """
    format = (format or (Path(path).suffix.removeprefix(".") if path else "") or "png").lower()
    if format not in FORMATS:
        raise ConfigError(f"unknown figure format {format!r}; one of {', '.join(FORMATS)} was expected")
    if not 0 < len(sheet.rows) <= MOST_ROWS:
        raise ConfigError(f"the figure has {len(sheet.rows)} rows; 1 to {MOST_ROWS} fit on one")
    buffer = io.BytesIO()
    with _WRITING, matplotlib.rc_context(_RC):
        drawn = _draw(sheet, scale, palette, format)
        drawn.savefig(buffer, format=format, dpi=_DPI, metadata=_metadata(sheet, format))
    data = embedded_once(buffer.getvalue()) if format == "svg" else buffer.getvalue()
    if path:
        Path(path).write_bytes(data)
    return data


def _draw(sheet: Sheet, scale: Scale, palette: str, format: str) -> Figure:
    picture = sheet.image.convert("RGB")
    picture.thumbnail((_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
    letters = sheet.points / 9  # all that holds letters grows with them
    names = [textwrap.fill(name, 16, break_long_words=True) for name in sheet.rows]
    narrow = sheet.width is not None  # row names then stand above their rows and leave the width to the pictures
    left = 0.2 + 0.085 * letters * max(len(line) for name in names for line in name.splitlines())
    if narrow:
        left = _EDGE
    cell = sheet.cell
    if sheet.width is not None:
        cell = (sheet.width - left - _EDGE + _GAP) / len(sheet.columns) - _GAP
        if cell < _NARROWEST:
            raise ConfigError(
                f"{len(sheet.columns)} columns do not fit into {2.54 * sheet.width:.1f} cm; "
                "take fewer columns, a wider figure or shorter words"
            )
    tall = cell * picture.height / picture.width
    heads = [textwrap.fill(name, max(int(cell / (0.073 * letters)), 1)) for name in sheet.columns]
    head = (_HEAD + _HEAD_LINE * max(name.count("\n") for name in heads)) * letters
    inner = len(sheet.columns) * (cell + _GAP)
    said = sheet.caption if sheet.captions else []
    caption = [line for text in said for line in textwrap.wrap(text, int((left + inner) / (0.058 * letters)))]
    width = left + inner + 0.1 if sheet.width is None else sheet.width
    bars = (_BAR + (0 if sheet.differences is None else _BAR)) * letters
    foot = bars + _LINE * letters * len(caption) + 0.1
    lines = max(1 + panel.note.count("\n") for panel in sheet.panels) if sheet.captions else 0
    above = _HEAD_LINE * letters * 1.2 if narrow else 0.0
    step = above + tall + _NOTE * letters * lines + 0.1
    height = head + len(sheet.rows) * step + foot
    mark = None if sheet.region is None else _outline(sheet.region, picture.size)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)

    def axes(x: float, y: float, w: float, h: float) -> Axes:
        """Axes at inches from the top left corner."""
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    def text(x: float, y: float, words: str, **how: Any) -> None:
        figure.text(x / width, 1 - y / height, words, **how)

    def place(row: int, column: int) -> tuple[float, float]:
        return left + column * (cell + _GAP), head + row * step + above

    def show(row: int, column: int, *drawings: Image.Image) -> None:
        """Pictures one above the other in a cell, the region's outline on the last."""
        *below, last = drawings
        if mark is not None:
            last = Image.composite(Image.new(last.mode, picture.size, _MARK), last, mark)
        panel = axes(*place(row, column), cell, tall)
        for drawing in (*below, last):
            how = "antialiased" if format == "png" else "none"
            panel.imshow(np.asarray(drawing), aspect="auto", interpolation=how)
        panel.set_axis_off()

    def drawn(panel: Panel) -> tuple[Image.Image, ...]:
        """A panel; in SVG the picture below and the map above apart, so that the picture is in the file once."""
        if panel.minus is not None and sheet.differences is not None:
            return (difference(picture, panel.weights, panel.minus, sheet.differences, sheet.opacity),)
        how = {"smooth": sheet.smooth, "contour": sheet.contour, "faint": panel.faint}
        if format != "svg":
            return (overlay(picture, panel.weights, scale, palette, sheet.opacity, **how),)
        below = ground(picture, sheet.opacity * FAINT if panel.faint else sheet.opacity)
        return below, veil(panel.weights, scale, picture.size, palette, sheet.opacity, **how)

    small = sheet.points * 2 / 3
    for column, name in enumerate(heads):
        text(place(0, column)[0] + cell / 2, head - 0.07, name, ha="center", va="bottom", fontsize=sheet.points)
    for row, name in enumerate(names):
        x, y = place(row, 0)
        beside: dict[str, Any] = {"x": left - 0.1, "y": y + tall / 2, "ha": "right", "va": "center"}
        words = sheet.rows[row] if narrow else name
        over: dict[str, Any] = {"x": x, "y": y - 0.04, "ha": "left", "va": "bottom"}
        text(**(over if narrow else beside), words=words, fontsize=sheet.points, weight="bold")
        show(row, 0, picture)
    for panel in sheet.panels:
        show(panel.row, panel.column, *drawn(panel))
        if sheet.captions:
            x, y = place(panel.row, panel.column)
            text(x + cell / 2, y + tall + 0.03, panel.note, ha="center", va="top", fontsize=small, color=_GREY)
    below = head + len(sheet.rows) * step
    bar = min(inner - _GAP, 4.2)
    _draw_bar(figure, axes(left, below + 0.12 * letters, bar, 0.12), scale, palette, sheet.points, narrow)
    if sheet.differences is not None:
        _draw_difference(
            figure, axes(left, below + (0.12 + _BAR) * letters, bar, 0.12), sheet.differences, sheet.points
        )
    for number, line in enumerate(caption):
        text(left, below + bars + _LINE * letters * number, line, ha="left", va="top", fontsize=small, color=_GREY)
    return figure


def _outline(region: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """The edge of a region as a mask of this size, some pixels wide and inside the region."""
    whole = Image.fromarray(region.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    framed = Image.new("L", (size[0] + 8, size[1] + 8))  # the image's own edge is one of the region's, too
    framed.paste(whole, (4, 4))
    inner = framed.filter(ImageFilter.MinFilter(7)).crop((4, 4, size[0] + 4, size[1] + 4))
    return Image.composite(Image.new("L", size), whole, inner)


def _draw_bar(figure: Figure, axes: Axes, scale: Scale, palette: str, points: float, narrow: bool) -> None:
    colours = ScalarMappable(Normalize(scale.low, scale.high), ListedColormap(palette_table(palette) / 255))
    said = "attention, as multiples of uniform" + (
        "" if narrow else " (1×: no preference; below, the photograph alone)"
    )
    _label(figure, axes, colours, scale.ticks(), said, points, "max" if scale.clipped else "neither")


def _draw_difference(figure: Figure, axes: Axes, scale: DifferenceScale, points: float) -> None:
    colours = ScalarMappable(Normalize(-scale.limit, scale.limit), ListedColormap(DIVERGING / 255))
    _label(figure, axes, colours, scale.ticks(), "difference, in multiples of uniform attention", points)


def _label(
    figure: Figure,
    axes: Axes,
    colours: ScalarMappable,
    ticks: Sequence[Tick],
    said: str,
    points: float,
    extend: str = "neither",
) -> None:
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", extend=extend)
    bar.set_ticks([tick.value for tick in ticks], labels=[tick.label for tick in ticks])
    bar.ax.tick_params(labelsize=points * 7 / 9, length=2)
    bar.set_label(said, fontsize=points * 7 / 9)
    bar.outline.set_visible(False)


def _metadata(sheet: Sheet, format: str) -> dict[str, str | None]:
    """Title and models inside the file, and no date, so that equal figures are equal files."""
    about = "; ".join(sheet.caption)
    if format == "pdf":
        return {"Title": sheet.title, "Subject": about, "CreationDate": None}
    return {"Title": sheet.title, "Description": about} | ({"Date": None} if format == "svg" else {})
