"""A comparison as the page draws it: native-grid maps, where to look in each layer, one scale for all panels.

The page colours the maps itself (`static/js/colour.js`, the same steps as `lfi.rendering.overlay`), so that
another word, layer, opacity or palette needs no request.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from math import isnan
from typing import Any

import numpy as np
from PIL import Image

from app.ui.depths import Pair, Position, film_scales, positions
from lfi.comparison import Comparison
from lfi.drift import drift, mean_drift
from lfi.maps import InteractionMaps
from lfi.rendering import DIVERGING, PALETTES, DifferenceScale, Scale, Tick, encode_webp

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
    "layer-cam": "LayerCAM",
}
SOURCES = {
    "cross-attention": "the word's own token",
    "dense-similarity": "each patch's likeness to the word, worked out afterwards",
    "self-attention": "the class token, whatever the word",
    "rollout": "attention followed through all layers, worked out afterwards",
    "gradient": "what the word's score depends on, worked out afterwards",
    "grad-cam": "what the word's score depends on in the patches, worked out afterwards",
    "legrad": "what the word's score depends on in any block, worked out afterwards",
    "layer-cam": "what the word's score depends on at every place of the features, worked out afterwards",
}
"""What a map was read from, in the page's words. Interaction Queries say which query answered instead."""


def comparison_view(comparison: Comparison, columns: Sequence[str]) -> dict[str, Any]:
    """Everything the page draws for these words, as JSON.

    Args:
        columns: the answers that stand side by side; the comparison holds them, and the teacher.
    """
    return {
        "words": list(comparison.words),
        "models": {
            model: {
                **_maps_view(maps),
                "model": maps.model,
                "kind": KINDS[maps.kind],
                "source": SOURCES.get(maps.kind, ""),
                "absences": [comparison.absence(model, word) for word in range(len(comparison.words))],
            }
            for model, maps in ((column, comparison.maps[column]) for column in columns)
        },
        "queries": None
        if comparison.queries is None
        else {**_maps_view(comparison.queries), "named": [list(pair) for pair in comparison.named]},
        "addressed": [{"word": one.word, "query": one.query, "nearness": one.nearness} for one in comparison.addressed],
        "positions": [_position_view(position) for position in positions(comparison, columns)],
        "film_scales": [_scale_view(scale, ticks=5) for scale in film_scales(comparison, columns)],
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
    return {name: _table_view(table) for name, table in PALETTES.items()}


def diverging_view() -> str:
    """The palette of differences, likewise."""
    return _table_view(DIVERGING)


def _table_view(table: np.ndarray) -> str:
    return base64.b64encode(table.tobytes()).decode()


def _position_view(position: Position) -> dict[str, Any]:
    return {
        "layers": position.layers,
        "scale": _scale_view(position.scale),
        "word_scales": [_scale_view(scale) for scale in position.word_scales],
        "pairs": [_pair_view(pair) for pair in position.pairs],
    }


def _pair_view(pair: Pair) -> dict[str, Any]:
    words = zip(pair.agreements, pair.scales, strict=True)
    return {
        "first": pair.first,
        "second": pair.second,
        "words": [
            {"correlation": one.correlation, "shared": one.shared, "scale": _difference_scale_view(scale)}
            for one, scale in words
        ],
    }


def _maps_view(maps: InteractionMaps) -> dict[str, Any]:
    """Values in times uniform attention, little-endian float32 `[layer, query, height, width]`, base64.

    `drift` says for every query how much of its attention moved at each step from layer to layer, and on average.
    """
    height, width = maps.grid
    values = maps.weights[0].numpy() * (height * width)
    return {
        "names": list(maps.queries[0]),
        "layers": list(maps.layers),
        "grid": [height, width],
        "values": base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode(),
        "outside": maps.outside[0].tolist(),
        "drift": _drift_view(maps),
    }


def _drift_view(maps: InteractionMaps) -> list[dict[str, Any]]:
    steps, mean = drift(maps)[0].T.tolist(), mean_drift(maps)[0].tolist()
    return [{"steps": each, "mean": None if isnan(whole) else whole} for each, whole in zip(steps, mean, strict=True)]


def _scale_view(scale: Scale, ticks: int = 6) -> dict[str, Any]:
    return {"low": scale.low, "high": scale.high, "ticks": _tick_views(scale.ticks(ticks), scale.share)}


def _difference_scale_view(scale: DifferenceScale) -> dict[str, Any]:
    return {"limit": scale.limit, "ticks": _tick_views(scale.ticks(), scale.share)}


def _tick_views(ticks: Sequence[Tick], share: Callable[[float], Any]) -> list[dict[str, Any]]:
    return [{"at": float(share(tick.value)), "label": tick.label.replace("-", "−")} for tick in ticks]
