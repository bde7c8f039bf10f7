"""Many images in one figure: rows = an image and a word, columns = the image and the models, one colour scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lfi.errors import ConfigError
from lfi.presence import short
from lfi.rendering.figures import TITLES, Paper, titled
from lfi.rendering.overlays import OPACITY
from lfi.rendering.palettes import DEFAULT
from lfi.rendering.scale import Scale, found_scale, times_uniform
from lfi.rendering.sheet import Panel, Sheet, save

_TALLEST = 4 / 3
"""Height of a row in widths of a column: a portrait as cameras take them is not cut down, a taller one is."""


@dataclass(frozen=True)
class GridRow:
    """One image and word.

    Attributes:
        image: upright. name: of its file.
        maps: raw map `[height, width]` per model, each summing to 1.
        absent: how likely the word is in the image, for each model that says that it is not.
    """

    image: Image.Image
    name: str
    word: str
    maps: Mapping[str, np.ndarray]
    absent: Mapping[str, float]


def grid_figure(
    rows: Sequence[GridRow],
    format: str | None = None,
    path: str | Path | None = None,
    *,
    paper: Paper,
    scale: Scale | None = None,
    palette: str = DEFAULT,
    titles: Mapping[str, str] = TITLES,
    notes: Sequence[str] = (),
    opacity: float = OPACITY,
    smooth: bool = True,
    contour: bool = False,
) -> bytes:
    """A figure of these rows, with the models of the first one as columns, in its order.

    A map whose model says that the word is absent is fainter, and a note under it says so. With captions, the
    names of files, peaks and `notes` stand on the figure as well.

    Args:
        path, format, palette, titles, opacity, smooth, contour: as for `lfi.rendering.figure`.
        scale: default: `grid_scale` of these rows.
        notes: the caption.

    Returns:
        The file's bytes.

    Raises:
        ConfigError: as `lfi.rendering.figure`.
    """
    models = list(rows[0].maps) if rows else []
    panels = [
        Panel(
            number,
            1 + column,
            row.maps[model],
            _note(row, model, paper.captions),
            faint=model in row.absent,
        )
        for number, row in enumerate(rows)
        for column, model in enumerate(models)
    ]
    words = list(dict.fromkeys(row.word for row in rows))
    sheet = Sheet(
        images=[row.image for row in rows],
        panels=panels,
        rows=[row.word for row in rows],
        columns=["Image", *(titled(model, titles) for model in models)],
        caption=list(notes),
        title="Where the models look for " + ", ".join(words),
        cell=1.75,
        opacity=opacity,
        smooth=smooth,
        contour=contour,
        sources=[row.name for row in rows] if paper.captions else [],
        tallest=_TALLEST,
        **paper.sheet() | {"notes": True},
    )
    if not rows:
        raise ConfigError("the figure has no rows; at least one image and word was expected")
    return save(sheet, scale or grid_scale(rows), palette, path, format)


def grid_scale(rows: Iterable[GridRow]) -> Scale:
    """The one scale of all maps; see `found_scale`.

    Raises:
        ValueError: there are no maps.
    """
    return found_scale((model, weights, model in row.absent) for row in rows for model, weights in row.maps.items())


def _note(row: GridRow, model: str, captions: bool) -> str:
    peak = f"peak {times_uniform(row.maps[model]).max():.3g}×" if captions else ""
    absent = f"not found ({short(row.absent[model])})" if model in row.absent else ""
    return "\n".join(filter(None, (peak, absent)))
