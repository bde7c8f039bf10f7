"""Maps as pictures: overlays for the screen, figures for papers, one shared scale."""

from lfi.rendering.animation import animation
from lfi.rendering.difference import DIVERGING, DifferenceScale, difference, difference_scales
from lfi.rendering.figures import LONG_TITLES, SHORT_TITLES, TITLES, Paper, figure, film_strip, titled
from lfi.rendering.grid import GridRow, grid_figure, grid_scale
from lfi.rendering.overlays import OPACITY, colour_bar, encode_webp, ground, heatmap, overlay, veil
from lfi.rendering.palettes import DEFAULT, PALETTES
from lfi.rendering.scale import NO_PREFERENCE, Scale, Tick, shared_scale, times_uniform
from lfi.rendering.sheet import FORMATS

__all__ = [
    "DEFAULT",
    "DIVERGING",
    "FORMATS",
    "LONG_TITLES",
    "NO_PREFERENCE",
    "OPACITY",
    "PALETTES",
    "SHORT_TITLES",
    "TITLES",
    "DifferenceScale",
    "GridRow",
    "Paper",
    "Scale",
    "Tick",
    "animation",
    "colour_bar",
    "difference",
    "difference_scales",
    "encode_webp",
    "figure",
    "film_strip",
    "grid_figure",
    "grid_scale",
    "ground",
    "heatmap",
    "overlay",
    "shared_scale",
    "times_uniform",
    "titled",
    "veil",
]
