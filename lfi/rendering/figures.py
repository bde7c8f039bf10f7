"""Figures for a paper: words by models, and one word through the layers."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from lfi.errors import ConfigError
from lfi.maps import PADDING, InteractionMaps
from lfi.rendering.difference import DifferenceScale, difference_scales
from lfi.rendering.overlays import OPACITY
from lfi.rendering.palettes import DEFAULT
from lfi.rendering.scale import Scale, found_scale, query_scale, times_uniform
from lfi.rendering.sheet import Panel, Sheet, save

TITLES = {"teacher": "Teacher", "lfi": "LFI student", "baseline": "Baseline"}
LONG_TITLES = {**TITLES, "baseline": "Result-oriented baseline"}
"""Titles for places with room to say what kind of baseline it is."""
SHORT_TITLES = {**TITLES, "lfi": "LFI"}
"""Titles for sentences and narrow columns."""

_LONGEST_NAME = 24
_LONGEST_NOTE = 34


@dataclass(frozen=True)
class Paper:
    """How a figure goes into a paper.

    Attributes:
        width: of the whole figure in centimetres; 8.5 is a column, 17.5 a page of most journals.
        points: size of the letters.
        captions: whether notes and the caption stand on the figure itself.
    """

    width: float
    points: float = 8
    captions: bool = False

    def sheet(self) -> dict[str, Any]:
        """As `Sheet` has it."""
        wide = self.width / 2.54
        return {"width": wide, "points": self.points, "captions": self.captions, "notes": self.captions}


class Compared(Protocol):
    """What a figure needs of a comparison; `lfi.comparison.Comparison` is one."""

    @property
    def maps(self) -> Mapping[str, InteractionMaps]: ...
    @property
    def default_layer(self) -> Mapping[str, int]: ...
    def absences(self) -> Iterable[tuple[str, str, str]]: ...


def figure(
    comparison: Compared,
    image: Image.Image,
    path: str | Path | None = None,
    format: str | None = None,
    layer: int | Mapping[str, int] | None = None,
    *,
    scale: Scale | None = None,
    palette: str = DEFAULT,
    titles: Mapping[str, str] = TITLES,
    notes: Sequence[str] = (),
    opacity: float = OPACITY,
    smooth: bool = True,
    contour: bool = False,
    region: np.ndarray | None = None,
    minus: tuple[str, str] | None = None,
    paper: Paper | None = None,
) -> bytes:
    """Rows = words, columns = the image and every model, one colour scale for all of them.

    The map of a word that its model says is absent is fainter, and its note says so.

    Args:
        path: also write the figure here; its suffix is the format where `format` is None.
        format: svg, pdf or png; png where neither says.
        layer: one layer number for all models, or one per model; default: each model's own default layer.
        scale: default: shared by the maps that are drawn; those of absent words have no say in it.
        titles: how each model is called above its column; its name and fingerprint stand in the caption.
        notes: more of the caption, such as what the models learned from.
        opacity: of the strongest attention, in [0, 1].
        smooth, contour: as for `overlay`.
        region: bool `[height, width]` over the whole image, outlined on it and on every map.
        minus: two of the models; one more column shows what the first has more than the second.
        paper: its width and letters, where the figure goes into one.

    Returns:
        The file's bytes.

    Raises:
        ConfigError: an unknown format or palette, a layer out of range, no maps, or too many rows.
    """
    chosen = {model: _at_layer(model, maps, layer, comparison) for model, maps in comparison.maps.items()}
    words = _query_names(chosen)
    absent = {(model, word): sentence for model, word, sentence in comparison.absences()}
    panels = [
        _panel(maps, 0, words.index(name), 1 + column, query, absence=absent.get((model, _word_of(name)), ""))
        for column, (model, maps) in enumerate(chosen.items())
        for query, name in enumerate(maps.queries[0])
        if name != PADDING
    ]
    scale = scale or found_scale((each.column, each.weights, each.faint) for each in panels)
    columns = ["Image", *(titled(model, titles) for model in chosen)]
    limit = None
    if minus is not None:
        one, two = (chosen[model] for model in minus)
        limit = DifferenceScale(max(each.limit for each in difference_scales(one, two)))
        panels += [
            replace(_panel(one, 0, row, len(columns), row), minus=two.weights[0, 0, row].cpu().numpy(), note="")
            for row in range(len(words))
        ]
        columns.append(" − ".join(titled(model, titles) for model in minus))
    sheet = Sheet(
        images=[image] * len(words),
        panels=panels,
        rows=words,
        columns=columns,
        differences=limit,
        **({} if paper is None else paper.sheet()),
        caption=[*(_legend(titled(model, titles), maps) for model, maps in chosen.items()), *notes],
        title="Where the models look for " + ", ".join(words),
        cell=1.75,
        opacity=opacity,
        smooth=smooth,
        contour=contour,
        region=region,
    )
    return save(sheet, scale, palette, path, format)


def film_strip(
    maps: Mapping[str, InteractionMaps],
    image: Image.Image,
    query: str,
    path: str | Path | None = None,
    format: str | None = None,
    *,
    scale: Scale | None = None,
    palette: str = DEFAULT,
    titles: Mapping[str, str] = TITLES,
    notes: Sequence[str] = (),
    opacity: float = OPACITY,
    smooth: bool = True,
    contour: bool = False,
    absent: Collection[str] = (),
    paper: Paper | None = None,
) -> bytes:
    """One query followed through the layers: rows = models, columns = the image and layers, one colour scale.

    Args:
        maps: batches of one, per model; a model without this query is left out.
        query: the query's name, as in `InteractionMaps.queries`.
        absent: models that say the query is not there; their maps are fainter and have no say in the scale.
        path, format, scale, palette, titles, notes, opacity, smooth, contour, paper: as for `figure`.

    Raises:
        ConfigError: no model has the query, or an unknown format or palette.
    """
    kept = {
        model: each.select(queries=[each.queries[0].index(query)])
        for model, each in maps.items()
        if query in each.queries[0]
    }
    if not kept:
        raise ConfigError(
            f"there is no map for {query!r}; there are maps for {', '.join(_query_names(maps)) or 'nothing'}"
        )
    panels = [
        replace(_panel(each, layer, row, 1 + layer, 0, note=_end_of(name) + "\n"), faint=model in absent)
        for row, (model, each) in enumerate(kept.items())
        for layer, name in enumerate(each.layers)
    ]
    most = max(len(each.layers) for each in kept.values())
    sheet = Sheet(
        images=[image] * len(kept),
        panels=panels,
        rows=[titled(model, titles) for model in kept],
        columns=["Image", *(f"layer {number + 1}" for number in range(most))],
        caption=[
            f"“{query}”, layer by layer",
            *(_legend(titled(model, titles), each) for model, each in kept.items()),
            *notes,
        ],
        title=f"Where the models look for {query}, layer by layer",
        cell=1.3,
        **({} if paper is None else paper.sheet()),
        opacity=opacity,
        smooth=smooth,
        contour=contour,
    )
    return save(sheet, scale or query_scale(kept, absent), palette, path, format)


def titled(model: str, titles: Mapping[str, str] = TITLES) -> str:
    """What a model is called; `baseline:rollout` by the baseline's title and the explanation, a peer as it is asked."""
    name, _, explanation = model.partition(":")
    title = titles.get(name, name)
    return f"{title}, {explanation}" if explanation else title


def _at_layer(
    model: str, maps: InteractionMaps, layer: int | Mapping[str, int] | None, comparison: Compared
) -> InteractionMaps:
    if isinstance(layer, int):
        number = layer
    else:
        number = {**comparison.default_layer, **(layer or {})}.get(model, len(maps.layers) - 1)
    if not 0 <= number < len(maps.layers):
        raise ConfigError(f"{model} has no layer {number}; 0 to {len(maps.layers) - 1} were expected")
    return maps.layer(number)


def _query_names(maps: Mapping[str, InteractionMaps]) -> list[str]:
    """Every query that some model has a map for, once, in order."""
    return list(dict.fromkeys(name for each in maps.values() for name in each.queries[0] if name != PADDING))


def _word_of(query: str) -> str:
    """`star` of `star · head 1`."""
    return query.partition(" · head ")[0]


def _panel(
    maps: InteractionMaps, layer: int, row: int, column: int, query: int, note: str = "", absence: str = ""
) -> Panel:
    weights = maps.weights[0, layer, query].detach().cpu().numpy()
    facts = [
        f"peak {times_uniform(weights).max():.3g}×",
        f"outside {float(maps.outside[0, layer, query]):.0%}",
    ]
    said = ["", *textwrap.wrap(absence, _LONGEST_NOTE)]
    return Panel(row, column, weights, note + " · ".join(facts) + "\n".join(said), faint=bool(absence))


def _legend(title: str, maps: InteractionMaps) -> str:
    layers = f"layer {maps.layers[0]}" if len(maps.layers) == 1 else f"{len(maps.layers)} layers"
    return f"{title}: {maps.model}, {maps.kind}, {layers}, {maps.grid[0]} × {maps.grid[1]} patches"


def _end_of(name: str) -> str:
    """The telling end of a long layer name."""
    return name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]
