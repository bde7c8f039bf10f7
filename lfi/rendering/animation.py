"""Maps through the layers as an animation: all columns together, on one scale, for slides and messages.

A layer is held and then fades into the next one. What is seen in between is a mixture of both for the eye; nothing was
measured there, and the label under a map names a layer only while it is held.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from lfi.errors import ConfigError
from lfi.maps import InteractionMaps
from lfi.rendering.figures import TITLES, titled
from lfi.rendering.fonts import length, write
from lfi.rendering.layout import shortened
from lfi.rendering.overlays import OPACITY, colour_bar, ground, overlay
from lfi.rendering.palettes import DEFAULT
from lfi.rendering.scale import Scale, query_scale
from lfi.upright import upright_rgb

_HOLD, _FADE, _END = 700, 70, 1400  # milliseconds: a layer, a step of the way, the last layer
_STEPS = 3  # between two layers
_MARGIN, _GAP, _TEXT, _BAR = 16, 12, 26, 52  # pixels
_TITLE, _NAME = 17, 14  # pixels, of letters
_PAPER, _INK, _SOFT = "#ffffff", "#1c1b18", "#595549"


def animation(
    maps: Mapping[str, InteractionMaps],
    image: Image.Image,
    query: str,
    layers: Sequence[Mapping[str, int]],
    *,
    scale: Scale | None = None,
    palette: str = DEFAULT,
    titles: Mapping[str, str] = TITLES,
    opacity: float = OPACITY,
    smooth: bool = True,
    contour: bool = False,
    absent: Collection[str] = (),
    side: int = 320,
) -> bytes:
    """One query followed through the layers, as a GIF that runs until it is stopped.

    Args:
        maps: batches of one, per model.
        query: its name, as in `InteractionMaps.queries`.
        layers: one after the other, the layer of every model; models of different depth are aligned by whoever asks.
        scale: default: shared by all layers of the query.
        absent: models that say the query is not there; their maps are fainter and have no say in the scale.
        side: longest side of a map, in pixels.
        palette, titles, opacity, smooth, contour: as for `lfi.rendering.figure`.

    Raises:
        ConfigError: a model has no such query, there are no layers, or an unknown palette.
    """
    missing = [model for model, each in maps.items() if query not in each.queries[0]]
    if missing or not layers:
        raise ConfigError(f"{', '.join(missing)} has no map for {query!r}" if missing else "there are no layers")
    chosen = {model: each.select(queries=[each.queries[0].index(query)]) for model, each in maps.items()}
    scale = scale or query_scale(chosen, absent)
    picture = upright_rgb(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)

    def still(step: int, share: float) -> Image.Image:
        """All columns at a layer, or on the way from it to the next."""
        drawn = []
        for model, each in chosen.items():
            here, there = layers[step][model], layers[min(step + 1, len(layers) - 1)][model]
            values = each.weights[0, :, 0].cpu().numpy()
            mixed = (1 - share) * values[here] + share * values[there]
            how: dict[str, Any] = {"palette": palette, "opacity": opacity, "smooth": smooth, "contour": contour}
            label = "" if share and here != there else _numbered(each, here)
            drawn.append((titled(model, titles), overlay(picture, mixed, scale, faint=model in absent, **how), label))
        return _page(drawn, query, colour_bar(scale, palette, (480, _BAR)))

    frames, times = [], []
    for step in range(len(layers)):
        frames.append(still(step, 0))
        times.append(_HOLD if step < len(layers) - 1 else _END)
        if step < len(layers) - 1:
            frames += [still(step, part / (_STEPS + 1)) for part in range(1, _STEPS + 1)]
            times += [_FADE] * _STEPS
    return _gif(frames, times, ground(picture, opacity))


def _numbered(maps: InteractionMaps, layer: int) -> str:
    return f"layer {layer + 1} of {len(maps.layers)}" if len(maps.layers) > 1 else "its one layer"


def _page(columns: Sequence[tuple[str, Image.Image, str]], query: str, bar: Image.Image) -> Image.Image:
    """Columns are as wide as their names need; of a long query the middle is left out."""
    width, height = columns[0][1].size
    cell = max(width, 200, *(math.ceil(length(name, _NAME)) for name, _, _ in columns))
    inner = len(columns) * cell + (len(columns) - 1) * _GAP
    whole = Image.new("RGB", (max(inner, bar.width) + 2 * _MARGIN, height + 3 * _TEXT + _BAR + 2 * _MARGIN), _PAPER)
    draw = ImageDraw.Draw(whole)
    write(draw, (_MARGIN, _MARGIN), _title(query, whole.width - 2 * _MARGIN), _INK, _TITLE)
    top = _MARGIN + 2 * _TEXT
    for column, (name, drawn, label) in enumerate(columns):
        left = _MARGIN + column * (cell + _GAP)
        write(draw, (left, top - _TEXT + 2), name, _INK, _NAME)
        whole.paste(drawn, (left, top))
        write(draw, (left, top + height + 5), label, _SOFT, 13)
    whole.paste(bar, (_MARGIN, top + height + _TEXT + 4), bar)
    return whole


def _title(query: str, room: int) -> str:
    titles = (f"“{shortened(query, most)}”, layer by layer" for most in range(len(query), 0, -1))
    return next((title for title in titles if length(title, _TITLE) <= room), "layer by layer")


def _gif(frames: Sequence[Image.Image], times: Sequence[int], plain: Image.Image) -> bytes:
    """Frames in one palette of 256 colours, so that what stands still does not flicker."""
    width, height = frames[0].size
    some = frames[:: _STEPS + 1]  # of every layer
    sample = Image.new("RGB", (width, height * len(some) + plain.height))
    for index, frame in enumerate(some):
        sample.paste(frame, (0, index * height))
    sample.paste(plain, (0, height * len(some)))
    colours = sample.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    drawn = [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    drawn[0].save(buffer, "GIF", save_all=True, append_images=drawn[1:], duration=list(times), loop=0, optimize=False)
    return buffer.getvalue()
