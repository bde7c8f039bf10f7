"""A comparison as the page draws it: native-grid maps, where to look in each layer, one scale for all panels.

The page colours the maps itself (`static/js/colour.js`, the same steps as `lfi.rendering.overlay`), so that
another word, layer, opacity or palette needs no request.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from lfi.comparison import Comparison
from lfi.maps import InteractionMaps
from lfi.rendering import PALETTES, Scale, encode_webp, shared_scale

PREVIEW = 960
"""Longest side, in pixels, of the picture behind the maps; larger ones are shown smaller."""

KINDS = {
    "cross-attention": "cross-attention",
    "dense-similarity": "patch-text similarity",
    "interaction-query": "Interaction Query",
    "self-attention": "self-attention",
    "rollout": "attention rollout",
    "gradient": "gradient relevance",
    "grad-cam": "Grad-CAM",
    "legrad": "LeGrad",
}
SOURCES = {
    "cross-attention": "the word's own token",
    "dense-similarity": "each patch's likeness to the word, worked out afterwards",
    "self-attention": "the class token, whatever the word",
    "rollout": "attention followed through all layers, worked out afterwards",
    "gradient": "what the word's score depends on, worked out afterwards",
    "grad-cam": "what the word's score depends on in the patches, worked out afterwards",
    "legrad": "what the word's score depends on in any block, worked out afterwards",
}
"""What a map was read from, in the page's words. Interaction Queries say which query answered instead."""


@dataclass(frozen=True)
class Position:
    """One position of the layer slider.

    Attributes:
        layers: the layer shown, per model.
        scale: shared by all models and words at this position.
        word_scales: for every word, the scale that all models share on it: one word's strong peak need not make
            another word's maps pale.
    """

    layers: dict[str, int]
    scale: Scale
    word_scales: tuple[Scale, ...]


def positions(comparison: Comparison) -> list[Position]:
    """Each model's default layer, then as many equal depths as the deepest model has layers.

    Models of different depth are aligned by relative depth: first layers together, last ones together.
    """
    counts = {model: len(maps.layers) for model, maps in comparison.maps.items()}
    deepest = max(counts.values())
    depths = [dict(comparison.default_layer)] + [
        {model: round(step / max(deepest - 1, 1) * (count - 1)) for model, count in counts.items()}
        for step in range(deepest)
    ]
    return [_position(comparison, layers) for layers in depths]


def comparison_view(comparison: Comparison) -> dict[str, Any]:
    """Everything the page draws for these words, as JSON."""
    return {
        "words": list(comparison.words),
        "models": {
            model: {
                **_maps_view(maps),
                "model": maps.model,
                "kind": KINDS[maps.kind],
                "source": SOURCES.get(maps.kind, ""),
            }
            for model, maps in comparison.maps.items()
        },
        "queries": None
        if comparison.queries is None
        else {**_maps_view(comparison.queries), "named": [list(pair) for pair in comparison.named]},
        "addressed": [{"word": one.word, "query": one.query, "nearness": one.nearness} for one in comparison.addressed],
        "positions": [_position_view(position) for position in positions(comparison)],
        "seconds": sum(comparison.seconds.values()),
    }


def preview(image: Image.Image) -> str:
    """The picture for the screen, as a data URI: no address to guess, nothing on disk."""
    small = image.copy()
    small.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    return data_uri(small, quality=88)


def data_uri(image: Image.Image, quality: int = 80) -> str:
    """A picture as a WebP data URI."""
    return "data:image/webp;base64," + base64.b64encode(encode_webp(image, quality)).decode()


def palettes_view() -> dict[str, str]:
    """Every palette as 768 bytes of RGB, base64."""
    return {name: base64.b64encode(table.tobytes()).decode() for name, table in PALETTES.items()}


def _position(comparison: Comparison, layers: dict[str, int]) -> Position:
    shown = [maps.layer(layers[model]) for model, maps in comparison.maps.items()]
    words = range(len(comparison.words))
    word_scales = tuple(shared_scale(maps.select(queries=[word]) for maps in shown) for word in words)
    return Position(layers, shared_scale(shown), word_scales)


def _position_view(position: Position) -> dict[str, Any]:
    return {
        "layers": position.layers,
        "scale": _scale_view(position.scale),
        "word_scales": [_scale_view(scale) for scale in position.word_scales],
    }


def _maps_view(maps: InteractionMaps) -> dict[str, Any]:
    """Values in times uniform attention, little-endian float32 `[layer, query, height, width]`, base64."""
    height, width = maps.grid
    values = maps.weights[0].numpy() * (height * width)
    return {
        "names": list(maps.queries[0]),
        "layers": list(maps.layers),
        "grid": [height, width],
        "values": base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode(),
        "outside": maps.outside[0].tolist(),
    }


def _scale_view(scale: Scale) -> dict[str, Any]:
    span = scale.high - scale.low
    ticks = [{"at": (tick.value - scale.low) / span, "label": tick.label} for tick in scale.ticks()]
    return {"low": scale.low, "high": scale.high, "ticks": ticks}
