"""Maps as pictures: overlays for the screen, figures for papers, one shared scale."""

from lfi.rendering.difference import DIVERGING, DifferenceScale, difference, difference_scales
from lfi.rendering.figures import LONG_TITLES, SHORT_TITLES, TITLES, figure, film_strip, titled
from lfi.rendering.overlays import FAINT, OPACITY, colour_bar, encode_webp, heatmap, overlay, veil
from lfi.rendering.palettes import DEFAULT, PALETTES
from lfi.rendering.scale import Scale, Tick, shared_scale, times_uniform
from lfi.rendering.sheet import FORMATS

__all__ = [
    "DEFAULT",
    "DIVERGING",
    "FAINT",
    "FORMATS",
    "LONG_TITLES",
    "OPACITY",
    "PALETTES",
    "SHORT_TITLES",
    "TITLES",
    "DifferenceScale",
    "Scale",
    "Tick",
    "colour_bar",
    "difference",
    "difference_scales",
    "encode_webp",
    "figure",
    "film_strip",
    "heatmap",
    "overlay",
    "shared_scale",
    "times_uniform",
    "titled",
    "veil",
]
