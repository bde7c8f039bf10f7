"""Colours for attention: palettes that grow steadily lighter, also for colour-blind eyes.

Each begins where it is about as light as a photograph's shadows (L* near 30), not where it is nearly black: over a
photograph the dark end of a palette is a veil that looks like dirt. Inferno is the default. On grey photographs, as
they lie under maps, every hue is free, and of the five it has the widest range of lightness from there on (30 to 98),
and no violet at its low end, where attention is weak and should hardly show. It reads for colour-blind eyes by its
lightness, which rises without a turn for every kind of colour vision (tested with the matrices of Machado et al. 2009).
"""

from __future__ import annotations

import matplotlib
import numpy as np

from lfi.errors import ConfigError

_STARTS = {"inferno": 0.33, "plasma": 0.2, "magma": 0.33, "viridis": 0.14, "cividis": 0.14}
NAMES = tuple(_STARTS)
DEFAULT = "inferno"


def _table(name: str) -> np.ndarray:
    table = matplotlib.colormaps[name](np.linspace(_STARTS[name], 1, 256), bytes=True)[:, :3].copy()
    table.flags.writeable = False
    return table


PALETTES: dict[str, np.ndarray] = {name: _table(name) for name in NAMES}
"""uint8 `[256, 3]` per palette, from the bottom of the scale to its top; read-only."""


def palette_table(name: str) -> np.ndarray:
    """The uint8 `[256, 3]` table of a palette.

    Raises:
        ConfigError: the palette is unknown.
    """
    if name not in PALETTES:
        raise ConfigError(f"unknown palette {name!r}; known: {', '.join(NAMES)}")
    return PALETTES[name]
