"""A batch as one self-contained page: every image, word and model on one scale, sorted by any score.

An image is in the page once, and each of its maps as a small transparent layer over it. The page's script is always the
same, so a service can allow exactly that one (`page_policy`).
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from app.batch.folder import BatchFolder, Record, judges_of
from app.engine.downloads import array_stem
from app.settings import STATIC
from evaluation.scores import REFERENCE
from lfi.presence import absence
from lfi.rendering import LONG_TITLES, NO_PREFERENCE, SHORT_TITLES, Scale, titled, veil
from lfi.rendering.palettes import DEFAULT, palette_table
from lfi.rendering.scale import SMALLEST_TOP

_VEIL = 96
"""Longest side of a map's layer in pixels; the browser stretches it over the image."""
_LEGEND = {
    "nearness": "Cosine between the word and the name of the LFI student's query that stands for it.",
    "agrees": "Share of the model's map that overlaps the teacher's: 0 means none, 1 means equal.",
    "peak": "The map's strongest patch, in multiples of uniform attention.",
    "presence": "The model's probability that the word is in the image at all, whatever the map.",
    "density": "Share of the map on the tenth of its patches that get most; .1 if it is even.",
}
"""What a column of figures means, by the last word of its title."""


@dataclass(frozen=True)
class Column:
    """One column: its title, by what it is sorted (nothing: not at all), and what it means."""

    title: str
    sort: str = ""
    hint: str = ""


def gallery_page(folder: BatchFolder, names: Sequence[str]) -> str:
    """The page of a batch, as far as it is done.

    Args:
        names: of the images that belong to it, in the order of its rows.
    """
    records = [folder.records[name] for name in names if name in folder.records]
    read = [record for record in records if not record.problem]
    scale = _scale(read, folder.asked.models)
    figures = _figures(folder.asked.models, judges_of(read, folder.asked.models))
    columns = [Column("Image", "image"), Column("Word", "word")]
    columns += [Column(titled(model, LONG_TITLES)) for model in folder.asked.models]
    columns += [Column(title, name, _LEGEND[_kind(title)]) for name, title in figures]
    photos: list[str] = []
    rows: list[dict[str, Any]] = []
    for number, record in enumerate(read):
        kept = folder.photo_file(record)
        if not kept.is_file():  # earlier versions kept one, as small as this
            kept = folder.thumbnail_file(record)
        photos.append(_photo(f"p{number}", kept.read_bytes(), record))
        rows += _rows(folder, record, f"p{number}", scale, [name for name, _ in figures])
    ticks = scale.ticks(4)
    return _template().render(
        asked=folder.asked,
        images=len(read),
        missing=len(names) - len(records),
        unread=[record for record in records if record.problem],
        names={model: titled(model, LONG_TITLES) for model in folder.asked.models},
        columns=columns,
        legend={kind: _LEGEND[kind] for kind in dict.fromkeys(_kind(title) for _, title in figures)},
        rows=rows,
        ticks=ticks,
        style=Markup(_style() + _ramp() + _places(scale, [tick.value for tick in ticks]) + "".join(photos)),
        script=Markup(_script()),
    )


def page_policy() -> str:
    """A content policy that lets the page run its own script and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def _figures(models: Sequence[str], judges: Sequence[str]) -> list[tuple[str, str]]:
    """Columns of figures: the name in a record's row, and the title."""
    found = []
    if "lfi" in models:
        found.append(("nearness", "Nearness"))
    found += [(f"{model} presence", f"{titled(model, SHORT_TITLES)} presence") for model in judges]
    if REFERENCE in models:
        others = [model for model in models if model != REFERENCE]
        found += [(f"{model} {REFERENCE} shared mass", f"{titled(model, SHORT_TITLES)} agrees") for model in others]
    found += [(f"{model} peak", f"{titled(model, SHORT_TITLES)} peak") for model in models]
    found += [(f"{model} densest tenth", f"{titled(model, SHORT_TITLES)} density") for model in models]
    return found


def _kind(title: str) -> str:
    return title.rpartition(" ")[2].lower()


def _scale(records: Sequence[Record], models: Sequence[str]) -> Scale:
    """Up to the median peak: in many images there is always one map that would darken all others."""
    peaks = [float(row[f"{model} peak"] or 0) for record in records for row in record.rows for model in models]
    high = max(SMALLEST_TOP, float(np.median(peaks)) if peaks else 0.0)
    return Scale(NO_PREFERENCE, high, clipped=max(peaks, default=0) > high)


def _rows(
    folder: BatchFolder, record: Record, photo: str, scale: Scale, figures: Sequence[str]
) -> Iterator[dict[str, Any]]:
    shrink = _VEIL / max(record.width, record.height)
    size = max(round(record.width * shrink), 1), max(round(record.height * shrink), 1)
    with np.load(folder.maps_file(record)) as arrays:
        shown = {
            model: arrays[f"{array_stem(model)}_weights"][folder.asked.layers[model][1]]
            for model in folder.asked.models
        }
    for number, row in enumerate(record.rows):
        yield {
            "image": record.name,
            "word": row["word"],
            "width": record.width,
            "height": record.height,
            "photo": photo,
            "maps": [_map(model, weights[number], row, scale, size) for model, weights in shown.items()],
            "figures": [row.get(name) for name in figures],
        }


def _map(
    model: str, weights: np.ndarray, row: Mapping[str, Any], scale: Scale, size: tuple[int, int]
) -> dict[str, str]:
    """One map; fainter where the model says that the word is absent."""
    said = absence(row["word"], row[f"{model} presence"]) if row.get(f"{model} absent") else ""
    layer = veil(weights, scale, size, faint=bool(said))
    return {"model": model, "source": _layer(layer), "absence": said}


def _layer(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=60, alpha_quality=60, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _photo(name: str, small: bytes, record: Record) -> str:
    source = f"data:image/webp;base64,{base64.b64encode(small).decode()}"
    return f".{name}{{--ratio:{record.width / record.height:.4f};background-image:url({source})}}\n"


def _ramp() -> str:
    colours = palette_table(DEFAULT)[:: 255 // 15]
    stops = ",".join(f"rgb({red} {green} {blue})" for red, green, blue in colours)
    return f".lfi-ramp{{background:linear-gradient(90deg,{stops})}}\n"


def _places(scale: Scale, values: Sequence[float]) -> str:
    return "".join(f".t{n}{{left:{100 * share:.1f}%}}\n" for n, share in enumerate(scale.share(values).tolist(), 1))


@cache
def _style() -> str:
    return "\n".join((STATIC / "css" / f"{name}.css").read_text(encoding="utf-8") for name in ("tokens", "gallery"))


@cache
def _script() -> str:
    return "\n".join((STATIC / "js" / f"{name}.js").read_text(encoding="utf-8") for name in ("theme", "gallery"))


@cache
def _template() -> Any:
    environment = Environment(autoescape=True)
    environment.filters["figure"] = _figure
    return environment.from_string(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


def _figure(value: object) -> str:
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.1f}"
