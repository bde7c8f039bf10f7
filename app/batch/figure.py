"""Rows of a batch as one figure for a paper, with its caption and what it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from PIL import Image
from pydantic import Field, ValidationError

from app.batch.folder import BatchFolder, Record
from app.engine.downloads import array_stem
from app.engine.papers import READING, PaperChoice, caption_tex, listed, looking, zipped
from lfi.errors import ConfigError
from lfi.rendering import DEFAULT, OPACITY, GridRow, grid_figure, grid_scale, titled
from lfi.revision import revision

MOST_ROWS = 24
"""That fill two pages of a journal."""
_ABSENT = (
    "Not found: the model says that the word is not in the image, with this probability that it is; its map is fainter."
)


class FigureRequest(PaperChoice):
    """Which rows and columns of a batch are wanted on a figure, and how."""

    row: list[str] = Field(
        default_factory=list,
        max_length=MOST_ROWS,
        description="`IMAGE:WORD`; or an image, with all its words, or a word, in all images. In the order given; "
        "by default the first ones of the gallery.",
        examples=[["cat.jpg:cat", "coffee.jpg"]],
    )
    first: int = Field(default=6, ge=1, le=MOST_ROWS, description="How many rows, where none are named.")
    models: list[str] = Field(
        default_factory=list,
        description="Columns, some of the batch's models, in this order; all by default.",
        examples=[["teacher", "lfi"]],
    )


def figure_request(**given: object) -> FigureRequest:
    """A request of these fields.

    Raises:
        ConfigError: one of them is unknown or out of range.
    """
    try:
        return FigureRequest.model_validate(given)
    except ValidationError as error:
        wrong = [(".".join(map(str, item["loc"])), item["input"], item["msg"]) for item in error.errors()]
        said = [f"{name} is {value!r}: {text.removeprefix('Value error, ').lower()}" for name, value, text in wrong]
        raise ConfigError("; ".join(said)) from error


@dataclass(frozen=True)
class BatchFigure:
    """The figure, its caption in LaTeX, and its provenance in JSON."""

    drawn: bytes
    caption: bytes
    provenance: bytes
    format: str

    def zipped(self) -> bytes:
        """All three in a zip."""
        return zipped(
            {f"figure.{self.format}": self.drawn, "caption.tex": self.caption, "provenance.json": self.provenance}
        )


@dataclass(frozen=True)
class _Column:
    """A model: its name and fingerprint, the kind of its maps, the layer shown, the patches."""

    model: str
    kind: str
    layer: str
    grid: tuple[int, int]


def batch_figure(folder: BatchFolder, names: Sequence[str], wanted: FigureRequest) -> BatchFigure:
    """A figure of what is done of a batch.

    Args:
        names: of the images that belong to it, in the order of the gallery's rows.

    Raises:
        ConfigError: a row or a model that the batch does not have, too many rows, or too many columns for the width.
    """
    rows = _chosen_rows([folder.records[name] for name in names if name in folder.records], wanted)
    models = _chosen_models(folder.asked.models, wanted.models)
    opened: dict[str, tuple[Image.Image, dict[str, np.ndarray], dict[str, _Column]]] = {}
    grid = []
    for record, values in rows:
        if record.name not in opened:
            opened[record.name] = _opened(folder, record, models)
        image, maps, _ = opened[record.name]
        word = str(values["word"])
        at = folder.asked.words.index(word)
        absent = {model: float(values[f"{model} presence"]) for model in models if values.get(f"{model} absent")}
        grid.append(GridRow(image, record.name, word, {model: maps[model][at] for model in models}, absent))
    columns = opened[rows[0][0].name][2]
    scale = grid_scale(grid)
    notes = [
        f"{titled(model)}: {each.model}, {each.kind} at {each.layer}, {each.grid[0]} × {each.grid[1]} patches"
        for model, each in columns.items()
    ]
    about = {
        "trio": folder.asked.trio,
        "commit": revision(),
        "images": [_described(folder.records[name]) for name in opened],
        "rows": [{"image": each.name, "word": each.word, "absent": dict(each.absent)} for each in grid],
        "columns": {
            model: {"model": each.model, "kind": each.kind, "layer": each.layer} for model, each in columns.items()
        },
        "scale": scale.facts,
        "drawn": {"palette": DEFAULT, "opacity": OPACITY, "smooth": True, "contour": False},
        "figure": wanted.model_dump(),
    }
    return BatchFigure(
        drawn=grid_figure(grid, wanted.format, paper=wanted.paper, scale=scale, notes=notes),
        caption=caption_tex(_caption(grid, columns), notes),
        provenance=orjson.dumps(about, option=orjson.OPT_INDENT_2),
        format=wanted.format,
    )


def _chosen_rows(records: Sequence[Record], wanted: FigureRequest) -> list[tuple[Record, Mapping[str, Any]]]:
    every: list[tuple[Record, Mapping[str, Any]]] = [
        (record, values) for record in records if not record.problem for values in record.rows
    ]
    if not every:
        raise ConfigError("no image of this batch has been answered, so there is nothing to draw")
    if not wanted.row:
        return every[: wanted.first]
    called = [(f"{record.name}:{values['word']}", record.name, values["word"]) for record, values in every]
    picked: dict[int, None] = {}
    for name in wanted.row:
        ways = ([number for number, each in enumerate(called) if each[way] == name] for way in range(3))
        found = next(filter(None, ways), None)
        if found is None:
            raise ConfigError(
                f"this batch has no row {name!r}; IMAGE:WORD, an image or a word of it was expected, "
                f"such as {called[0][0]!r}"
            )
        picked |= dict.fromkeys(found)
    if len(picked) > MOST_ROWS:
        raise ConfigError(f"the figure would have {len(picked)} rows; at most {MOST_ROWS} are drawn: name fewer")
    return [every[number] for number in picked]


def _chosen_models(asked: Sequence[str], wanted: Sequence[str]) -> list[str]:
    models = list(dict.fromkeys(name.strip() for each in wanted for name in each.split(",") if name.strip()))
    for model in models:
        if model not in asked:
            raise ConfigError(f"this batch has no model {model!r}; it has {', '.join(asked)}")
    return models or list(asked)


def _opened(
    folder: BatchFolder, record: Record, models: Sequence[str]
) -> tuple[Image.Image, dict[str, np.ndarray], dict[str, _Column]]:
    """An image, its maps per model `[word, height, width]`, and what made them."""
    with Image.open(folder.thumbnail_file(record)) as kept:
        image = kept.convert("RGB")
    maps, columns = {}, {}
    with np.load(folder.maps_file(record)) as arrays:
        made = json.loads(str(arrays["about"]))["maps"]
        for model in models:
            layer, index = folder.asked.layers[model]
            maps[model] = arrays[f"{array_stem(model)}_weights"][index]
            columns[model] = _Column(made[model]["model"], made[model]["kind"], layer, maps[model].shape[1:])
    return image, maps, columns


def _caption(grid: Sequence[GridRow], columns: Mapping[str, _Column]) -> list[str]:
    words = [f"“{word}”" for word in dict.fromkeys(each.word for each in grid)]
    images = len({each.name for each in grid})
    return [
        f"Where {looking([titled(model) for model in columns])} for {listed(words)} "
        f"in {images} image{'' if images == 1 else 's'}.",
        "From top to bottom: " + "; ".join(f"“{each.word}” in {each.name}" for each in grid) + ".",
        *(f"{titled(model)}: {each.kind} at {each.layer}." for model, each in columns.items()),
        READING,
        *([_ABSENT] if any(each.absent for each in grid) else []),
    ]


def _described(record: Record) -> dict[str, Any]:
    return {"name": record.name, "sha256": record.sha256, "width": record.width, "height": record.height}
