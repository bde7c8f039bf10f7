"""What a visitor can take away: the maps that are on screen as overlays, raw numbers or a figure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from PIL import Image
from torch import Tensor

from app.engine.bodies import maps_body
from app.engine.downloads import npz_bytes, zip_bytes
from app.ui.about import name_of
from app.ui.depths import Position
from app.ui.paper import PaperRequest, paper_files
from app.ui.studyitems import study_items
from lfi.comparison import Comparison, model_of
from lfi.rendering import OPACITY, animation, figure, film_strip
from lfi.trio import Trio

MEDIA_TYPES = {
    "overlays": ("zip", "application/zip"),
    "npz": ("npz", "application/x-npz"),
    "json": ("json", "application/json"),
    "study": ("zip", "application/zip"),
    "svg": ("svg", "image/svg+xml"),
    "pdf": ("pdf", "application/pdf"),
    "png": ("png", "image/png"),
    "paper": ("zip", "application/zip"),
    "film-gif": ("gif", "image/gif"),
    "film-svg": ("svg", "image/svg+xml"),
    "film-pdf": ("pdf", "application/pdf"),
    "film-png": ("png", "image/png"),
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
    places: Sequence[Position],
    at: int,
    palette: str,
    trio: Trio,
    token: str,
    side: int,
    opacity: float = OPACITY,
    smooth: bool = True,
    contour: bool = False,
    region: Tensor | None = None,
    word: int = 0,
    paper: PaperRequest | None = None,
) -> TakenFile:
    """The file of one format, at the layers and on the scale that are on screen.

    Args:
        format: a key of `MEDIA_TYPES`.
        places: all positions of the layer slider. at: the one on screen.
        trio: that made the comparison; its cards go along.
        token: SHA-256 of the picture's file.
        side: longest side of an overlay, in pixels.
        opacity: of the strongest attention, in [0, 1].
        smooth, contour: of a figure, as for `lfi.rendering.overlay`.
        region: what is marked on the picture, bool `[height, width]`; a figure outlines it.
        word: number of the word that a film follows. paper: how a paper's figure is wanted.

    Raises:
        ConfigError: the palette is unknown.
    """
    suffix, media_type = MEDIA_TYPES[format]
    position = places[at]
    layers = {column: position.layers[column] for column in comparison.maps}
    shown = replace(comparison, default_layer=layers)
    about = {"trio": trio.name, "sha256": token}
    if format == "overlays":
        data = zip_bytes(shown, image, side, about, palette, opacity)
    elif format == "npz":
        data = npz_bytes(shown, about)
    elif format == "json":
        seen = {"width": image.width, "height": image.height, "sha256": token}
        data = orjson.dumps(maps_body(shown, trio.name, trio, seen), option=orjson.OPT_INDENT_2)
    elif format == "study":
        data = study_items(shown.words, image, token)
    else:
        look: dict[str, Any] = {"palette": palette, "opacity": opacity, "smooth": smooth, "contour": contour}
        look["titles"] = {model: name_of(trio, model) for model in trio.models}
        if format == "paper":
            notes = list(_notes(trio, list(shown.maps), region))
            data = paper_files(shown, image, position, paper or PaperRequest(), look, notes, about)
        elif format.startswith("film-"):
            data = _film(suffix, shown, image, places, word, look, list(_notes(trio, list(shown.maps), None)))
        else:
            marked = None if region is None else region.numpy()
            notes = list(_notes(trio, list(shown.maps), region))
            data = figure(shown, image, None, format, layers, scale=position.scale, notes=notes, region=marked, **look)
    named = [comparison.words[word]] if format.startswith("film-") else comparison.words
    words = re.sub(r"[^a-z0-9]+", "-", " ".join(named).lower()).strip("-")[:60] or "maps"
    kind = next((f"{each}-" for each in ("study", "film", "paper") if format.startswith(each)), "")
    return TakenFile(f"lfi-{kind}{words}.{suffix}", media_type, data)


def _film(
    suffix: str,
    shown: Comparison,
    image: Image.Image,
    places: Sequence[Position],
    word: int,
    look: dict[str, Any],
    notes: list[str],
) -> bytes:
    """One word through the layers: an animation, or its frames side by side."""
    absent = [model for model in shown.maps if shown.absence(model, word)]
    query = shown.words[word]
    if suffix == "gif":
        return animation(shown.maps, image, query, [place.layers for place in places[1:]], absent=absent, **look)
    return film_strip(shown.maps, image, query, format=suffix, notes=notes, absent=absent, **look)


def _notes(trio: Trio, answers: Sequence[str], region: Tensor | None) -> Iterator[str]:
    """The cards of the models on a figure: what each is and learned from, then what limits them, each thing once."""
    if region is not None:
        yield f"Yellow outline: the region that was marked, {float(region.float().mean()):.0%} of the image."
    limits: list[str] = []
    for model in dict.fromkeys(map(model_of, answers)):
        card = trio.cards[model]
        said = [card.get("summary"), f"Learned from {card['data']}." if card.get("data") else ""]
        yield " ".join([f"{name_of(trio, model)}:", *filter(None, said)])
        own = card.get("limits") or []
        limits += [own] if isinstance(own, str) else own
    if limits:
        yield " ".join(["Limits:", *dict.fromkeys(limits)])
