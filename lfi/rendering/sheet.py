"""A grid of overlays on paper: row and column names, a note under every map, one colour bar, a caption.

Drawn with matplotlib's objects, never pyplot, so a server's threads share no figures. Vector formats keep
text as text (TrueType in PDF, which publishers ask for), and the same sheet gives the same bytes.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from PIL import Image, ImageFilter

from lfi.errors import ConfigError
from lfi.rendering.difference import DIVERGING, DifferenceScale, difference
from lfi.rendering.embedding import embedded_once
from lfi.rendering.fonts import families
from lfi.rendering.layout import BAR, LINE, Layout, lay_out
from lfi.rendering.overlays import FAINT, OPACITY, ground, overlay, veil
from lfi.rendering.palettes import palette_table
from lfi.rendering.scale import Scale, Tick
from lfi.upright import upright_rgb

FORMATS = ("svg", "pdf", "png")
MOST_ROWS = 48
"""More rows than this and a PNG exceeds what viewers open."""

_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lfi",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a word that somebody typed may hold dollar signs
}
_WRITING = threading.Lock()  # rc_context changes state of the whole process: one sheet is drawn at a time
_DPI = 200
_PIXELS = 400  # longest side of a panel's picture: sharp in print at two inches, small in a file
_GREY = "#555555"
_MARK = "#ffd600"


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

    images: list[Image.Image]
    """One a row; often the same one."""
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
    """Bool `[height, width]` over the whole of every image; outlined on it and on every map."""
    width: float | None = None
    """Of the whole figure in inches; panels then share what the row names leave of it, whatever `cell` says."""
    points: float = 9
    """Size of the letters of names; notes, ticks and the caption are smaller in proportion."""
    captions: bool = True
    """Whether the caption stands at the end; a paper has its own."""
    notes: bool = True
    """Whether notes stand under the panels."""
    sources: list[str] = field(default_factory=list)
    """Of a figure with a width: what stands at the other end of each row's name, such as the name of its image."""
    tallest: float | None = None
    """Height of a row in widths of a panel that no image exceeds; taller ones are as wide as that allows."""
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
    with _WRITING, matplotlib.rc_context(_RC | {"font.family": families(_words(sheet))}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # `families` has said it, in one line
        drawn = _draw(sheet, scale, palette, format)
        drawn.savefig(buffer, format=format, dpi=_DPI, metadata=_metadata(sheet, format))
    data = embedded_once(buffer.getvalue()) if format == "svg" else buffer.getvalue()
    if path:
        Path(path).write_bytes(data)
    return data


def _words(sheet: Sheet) -> str:
    """All that is written on a sheet."""
    notes = [panel.note for panel in sheet.panels]
    return " ".join([*sheet.rows, *sheet.columns, *sheet.caption, *sheet.sources, *notes])


def _draw(sheet: Sheet, scale: Scale, palette: str, format: str) -> Figure:
    shrunk = {id(image): _shrunk(image) for image in sheet.images}
    pictures = [shrunk[id(image)] for image in sheet.images]
    narrow = sheet.width is not None
    layout = lay_out(
        sheet.rows,
        sheet.columns,
        [picture.height / picture.width for picture in pictures],
        {(panel.row, panel.column): panel.note for panel in sheet.panels} if sheet.notes else {},
        sheet.caption if sheet.captions else (),
        cell=sheet.cell,
        width=sheet.width,
        points=sheet.points,
        bars=1 if sheet.differences is None else 2,
        tallest=sheet.tallest,
    )
    width, height, cell = layout.width, layout.height, layout.cell
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)

    def axes(x: float, y: float, w: float, h: float) -> Axes:
        """Axes at inches from the top left corner."""
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    def text(x: float, y: float, words: str, **how: Any) -> None:
        figure.text(x / width, 1 - y / height, words, **how)

    @cache
    def outline(size: tuple[int, int]) -> Image.Image:
        assert sheet.region is not None
        return _outline(sheet.region, size)

    def show(row: int, column: int, *drawings: Image.Image) -> None:
        """Pictures one above the other in the middle of a cell, the region's outline on the last."""
        *below, last = drawings
        if sheet.region is not None:
            last = Image.composite(Image.new(last.mode, last.size, _MARK), last, outline(last.size))
        tall = layout.talls[row]
        wide = min(tall * last.width / last.height, cell)
        panel = axes(layout.x(column) + (cell - wide) / 2, layout.tops[row], wide, tall)
        for drawing in (*below, last):
            how = "antialiased" if format == "png" else "none"
            panel.imshow(np.asarray(drawing), aspect="auto", interpolation=how)
        panel.set_axis_off()

    def drawn(panel: Panel) -> tuple[Image.Image, ...]:
        """A panel; in SVG the picture below and the map above apart, so that the picture is in the file once."""
        picture = pictures[panel.row]
        if panel.minus is not None and sheet.differences is not None:
            return (difference(picture, panel.weights, panel.minus, sheet.differences, sheet.opacity),)
        how = {"smooth": sheet.smooth, "contour": sheet.contour, "faint": panel.faint}
        if format != "svg":
            return (overlay(picture, panel.weights, scale, palette, sheet.opacity, **how),)
        below = ground(picture, sheet.opacity * FAINT if panel.faint else sheet.opacity)
        return below, veil(panel.weights, scale, picture.size, palette, sheet.opacity, **how)

    quiet: dict[str, Any] = {"fontsize": layout.small, "color": _GREY}
    for column, name in enumerate(layout.heads):
        middle = layout.x(column) + cell / 2
        text(middle, layout.head - 0.07, name, ha="center", va="bottom", fontsize=sheet.points)
    for row, name in enumerate(layout.names):
        top, tall = layout.tops[row], layout.talls[row]
        beside: dict[str, Any] = {"x": layout.left - 0.1, "y": top + tall / 2, "ha": "right", "va": "center"}
        over: dict[str, Any] = {"x": layout.left, "y": top - 0.04, "ha": "left", "va": "bottom"}
        text(**(over if narrow else beside), words=name, fontsize=sheet.points, weight="bold")
        if narrow and sheet.sources:
            source = layout.source(row, sheet.sources[row], sheet.points)
            text(layout.left + layout.inner, top - 0.04, source, ha="right", va="bottom", **quiet)
        show(row, 0, pictures[row])
    for panel in sheet.panels:
        show(panel.row, panel.column, *drawn(panel))
    for (row, column), note in layout.notes.items():
        under = layout.tops[row] + layout.talls[row] + 0.03
        text(layout.x(column) + cell / 2, under, note, ha="center", va="top", **quiet)
    step = BAR * layout.tick / 7
    bar = min(layout.inner, 4.2)
    at = layout.left, layout.below + 0.12 * sheet.points / 9, bar, 0.09 if narrow else 0.12
    _draw_bar(figure, axes(*at), scale, palette, layout, narrow)
    if sheet.differences is not None:
        _draw_difference(figure, axes(at[0], at[1] + step, *at[2:]), sheet.differences, layout, narrow)
    for number, line in enumerate(layout.caption):
        text(layout.left, layout.after + LINE * layout.small / 6 * number, line, ha="left", va="top", **quiet)
    return figure


def _shrunk(image: Image.Image) -> Image.Image:
    picture = upright_rgb(image)
    picture.thumbnail((_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
    return picture


def _outline(region: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """The edge of a region as a mask of this size, some pixels wide and inside the region."""
    whole = Image.fromarray(region.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    framed = Image.new("L", (size[0] + 8, size[1] + 8))  # the image's own edge is one of the region's, too
    framed.paste(whole, (4, 4))
    inner = framed.filter(ImageFilter.MinFilter(7)).crop((4, 4, size[0] + 4, size[1] + 4))
    return Image.composite(Image.new("L", size), whole, inner)


def _draw_bar(figure: Figure, axes: Axes, scale: Scale, palette: str, layout: Layout, narrow: bool) -> None:
    colours = ScalarMappable(LogNorm(scale.low, scale.high), ListedColormap(palette_table(palette) / 255))
    said = "attention, as multiples of uniform" + (
        "" if narrow else " (1×: no preference; below, the photograph alone)"
    )
    _label(figure, axes, colours, scale, said, layout, narrow, "max" if scale.clipped else "neither")


def _draw_difference(figure: Figure, axes: Axes, scale: DifferenceScale, layout: Layout, narrow: bool) -> None:
    colours = ScalarMappable(Normalize(-scale.limit, scale.limit), ListedColormap(DIVERGING / 255))
    _label(figure, axes, colours, scale, "difference, in multiples of uniform attention", layout, narrow)


def _label(
    figure: Figure,
    axes: Axes,
    colours: ScalarMappable,
    scale: Scale | DifferenceScale,
    said: str,
    layout: Layout,
    narrow: bool,
    extend: str = "neither",
) -> None:
    ticks: Sequence[Tick] = scale.ticks()
    if narrow:
        ticks = _apart(scale, axes.get_position().width * figure.get_figwidth(), layout.tick)
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal", extend=extend)
    bar.set_ticks([tick.value for tick in ticks], labels=[tick.label for tick in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=layout.tick, length=2)
    bar.set_label(said, fontsize=layout.tick)
    bar.outline.set_visible(False)
    if narrow:  # the bar is as wide as the figure, and the labels at its ends stay within
        first, *_, last = bar.ax.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")


def _apart(scale: Scale | DifferenceScale, width: float, points: float) -> list[Tick]:
    """Ticks whose labels leave room for the two at the ends of a bar of this width in inches, which stand within it."""
    first, *inner, last = scale.ticks()
    letters = width / (0.64 * points / 72)

    def fits(tick: Tick) -> bool:
        half, at = len(tick.label) / 2 + 1, float(scale.share(tick.value))
        after, before = at * letters, (1 - at) * letters
        return after > len(first.label) + half and before > len(last.label) + half

    return [first, *filter(fits, inner), last]


def _metadata(sheet: Sheet, format: str) -> dict[str, str | None]:
    """Title and models inside the file, and no date, so that equal figures are equal files."""
    about = "; ".join(sheet.caption)
    if format == "pdf":
        return {"Title": sheet.title, "Subject": about, "CreationDate": None}
    return {"Title": sheet.title, "Description": about} | ({"Date": None} if format == "svg" else {})
