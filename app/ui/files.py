"""What a visitor can take away: the maps that are on screen as overlays, raw numbers or a figure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from PIL import Image

from app.inspector.downloads import npz_bytes, zip_bytes
from app.ui.view import Position
from lfi.comparison import Comparison
from lfi.rendering import figure

MEDIA_TYPES = {
    "overlays": ("zip", "application/zip"),
    "npz": ("npz", "application/x-npz"),
    "svg": ("svg", "image/svg+xml"),
    "pdf": ("pdf", "application/pdf"),
    "png": ("png", "image/png"),
}
"""What can be asked for: the file's suffix and media type."""


@dataclass(frozen=True)
class TakenFile:
    """A file on its way to a visitor."""

    name: str
    media_type: str
    data: bytes


def taken_file(
    format: str,
    comparison: Comparison,
    image: Image.Image,
    position: Position,
    palette: str,
    about: Mapping[str, str],
    side: int,
) -> TakenFile:
    """The file of one format, at the layers and on the scale that are on screen.

    Args:
        format: a key of `MEDIA_TYPES`.
        about: goes into the raw maps.
        side: longest side of an overlay, in pixels.

    Raises:
        ConfigError: the palette is unknown.
    """
    suffix, media_type = MEDIA_TYPES[format]
    shown = replace(comparison, default_layer=position.layers)
    if format == "overlays":
        data = zip_bytes(shown, image, side, dict(about), palette)
    elif format == "npz":
        data = npz_bytes(shown, dict(about))
    else:
        data = figure(shown, image, format=format, layer=position.layers, scale=position.scale, palette=palette)
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(comparison.words).lower()).strip("-")[:60] or "maps"
    return TakenFile(f"lfi-{words}.{suffix}", media_type, data)
