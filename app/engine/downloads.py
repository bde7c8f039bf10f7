"""A comparison as files: raw numbers (npz) and a folder of overlays (zip)."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from lfi.comparison import Comparison
from lfi.errors import ConfigError
from lfi.maps import InteractionMaps
from lfi.rendering import (
    DEFAULT,
    OPACITY,
    SHORT_TITLES,
    Scale,
    colour_bar,
    encode_webp,
    overlay,
    shared_scale,
    titled,
)

MOST_OVERLAYS = 96
"""Overlays in one answer: 16 words and three models make 48."""


def comparison_scale(comparison: Comparison) -> Scale:
    """The one scale on which the overlays of a comparison are drawn: that of the layers they show.

    A model that does not find a word has no say in it (`Comparison.found`).
    """
    found, shown = comparison.found(), []
    for model, maps in comparison.maps.items():
        queries = range(len(maps.queries[0]))
        heads = len(queries) // len(comparison.words)  # a word has a map, or one per head
        kept = [query for query in queries if query // heads in found[model]]
        shown.append(maps.layer(comparison.default_layer[model]).select(queries=kept))
    return shared_scale(shown)


def at_layer(comparison: Comparison, layer: int | None) -> Comparison:
    """The comparison with this layer as every model's default; unchanged for None.

    Raises:
        ConfigError: a model has no such layer.
    """
    if layer is None:
        return comparison
    for model, maps in comparison.maps.items():
        if not 0 <= layer < len(maps.layers):
            raise ConfigError(f"{model} has no layer {layer}; 0 to {len(maps.layers) - 1} were expected")
    return replace(comparison, default_layer=dict.fromkeys(comparison.maps, layer))


def npz_bytes(comparison: Comparison, about: dict[str, Any] | None = None) -> bytes:
    """Raw weights as numpy's npz, without pickles.

    For every model `NAME_weights` float32 `[layer, query, height, width]`, `NAME_outside` float32
    `[layer, query]`, `NAME_queries` and `NAME_layers` (strings); the same with the name `interaction_queries`
    for LFI's own queries; `words`; `about`: a JSON text with models, kinds, default layers, the query that
    stands for each word and how near it is, per model the probability that each word is in the image and whether it is
    said to be absent (`presence`, `absent`; of calibrated models), and whatever the caller adds. In a NAME such as
    `baseline:rollout` the colon is a dash, since it becomes part of a file's name.
    """
    arrays: dict[str, np.ndarray] = {"words": np.array(comparison.words)}
    described: dict[str, Any] = {**(about or {}), "maps": {}}
    for name, maps in _all_maps(comparison):
        stem = array_stem(name)
        arrays[f"{stem}_weights"] = maps.weights[0].cpu().numpy()
        arrays[f"{stem}_outside"] = maps.outside[0].cpu().numpy()
        arrays[f"{stem}_queries"] = np.array(maps.queries[0])
        arrays[f"{stem}_layers"] = np.array(maps.layers)
        described["maps"][name] = {"model": maps.model, "kind": maps.kind}
    described["default_layer"] = comparison.default_layer
    described["presence"], described["absent"] = comparison.presence, comparison.absent
    described["addressed"] = [(address.word, address.query, address.nearness) for address in comparison.addressed]
    arrays["about"] = np.array(json.dumps(described, ensure_ascii=False))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def overlay_files(
    comparison: Comparison, image: Image.Image, side: int, palette: str = DEFAULT, opacity: float = OPACITY
) -> Iterator[tuple[str, bytes]]:
    """Name and WebP bytes of one overlay per model and query at the model's default layer, on one scale.

    Maps of words that the model says are absent are fainter.

    Args:
        side: longest side in pixels; a larger image is shown smaller.
        opacity: of the strongest attention, in [0, 1].

    Raises:
        ConfigError: more overlays than anybody would look at, or an unknown palette.
    """
    count = sum(len(maps.queries[0]) for maps in comparison.maps.values())
    if count > MOST_OVERLAYS:
        raise ConfigError(
            f"{count} overlays would be drawn; at most {MOST_OVERLAYS} are: "
            "ask for fewer words or models, or without heads"
        )
    shown = image.copy()
    shown.thumbnail((side, side), Image.Resampling.LANCZOS)
    scale = comparison_scale(comparison)
    for model, maps in comparison.maps.items():
        layer = comparison.default_layer[model]
        for number, query in enumerate(maps.queries[0]):
            word = number * len(comparison.words) // len(maps.queries[0])  # a word has a map, or one per head
            faint = bool(comparison.absence(model, word))
            drawn = overlay(shown, maps.weights[0, layer, number], scale, palette, opacity, faint=faint)
            yield f"{array_stem(model)}-{number + 1:02d}-{_slug(query)}.webp", encode_webp(drawn)


def zip_bytes(
    comparison: Comparison,
    image: Image.Image,
    side: int,
    about: dict[str, Any] | None = None,
    palette: str = DEFAULT,
    opacity: float = OPACITY,
) -> bytes:
    """Overlays, the colour bar, `maps.npz` and a `README.txt` that says what they are.

    Args:
        side: longest side of an overlay in pixels.
        about: goes into the npz.

    Raises:
        ConfigError: as `overlay_files`.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            # A fixed date: equal comparisons are equal files.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

        for name, data in overlay_files(comparison, image, side, palette, opacity):
            add(name, data)
        bar = Image.new("RGB", (480, 56), "white")
        legend = colour_bar(comparison_scale(comparison), palette, size=bar.size)
        bar.paste(legend, mask=legend.getchannel("A"))
        add("scale.webp", encode_webp(bar))
        add("maps.npz", npz_bytes(comparison, about))
        add("README.txt", _readme(comparison, side).encode())
    return buffer.getvalue()


def _all_maps(comparison: Comparison) -> Iterator[tuple[str, InteractionMaps]]:
    yield from comparison.maps.items()
    if comparison.queries is not None:
        yield "interaction_queries", comparison.queries


def array_stem(model: str) -> str:
    """A model's name as a part of file names."""
    return model.replace(":", "-")


def _slug(text: str) -> str:
    """A part of a file name that every system takes; the number before it keeps names apart."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "word"


def _readme(comparison: Comparison, side: int) -> str:
    scale = comparison_scale(comparison)
    lines = [
        "Where these models look for: " + ", ".join(comparison.words),
        "",
        "MODEL-NUMBER-WORD.webp",
        f"  The image, at most {side} pixels on its longer side, with one map laid over it.",
        f"  All share the colours of scale.webp: {scale.low:g} to {scale.high:.3g} times uniform attention;",
        "  1 means no preference for a place, and each doubling is an equal step of colour.",
        "maps.npz",
        "  The raw numbers of every layer, for numpy.load: NAME_weights [layer, query, height, width], each",
        "  map summing to 1, NAME_outside, NAME_queries, NAME_layers, words, and about (JSON).",
        "",
        "Models:",
    ]
    for model, maps in comparison.maps.items():
        layer = maps.layers[comparison.default_layer[model]]
        lines.append(f"  {model}: {maps.model}, {maps.kind}, drawn at {layer} (it has {len(maps.layers)})")
    lines += [
        f"  lfi shows {address.word!r} by its query {address.query + 1}, nearness {address.nearness:.2f}"
        for address in comparison.addressed
    ]
    lines += [
        f"  {titled(model, SHORT_TITLES)} {sentence}: its overlay is fainter"
        for model, _, sentence in comparison.absences()
    ]
    return "\n".join(lines) + "\n"
