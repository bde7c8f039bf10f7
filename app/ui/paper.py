"""A figure for a paper: at a journal's width, and beside it what belongs into the text and the notes.

`maps.pdf` (or svg, png), `film-WORD.pdf` where the layers are wanted, `caption.tex` to be adapted, and
`provenance.json`, from which the same figure can be made again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from PIL import Image
from pydantic import Field, StringConstraints

from app.engine.papers import READING, PaperChoice, caption_tex, looking, zipped
from app.ui.depths import Position
from lfi.comparison import Comparison, model_of
from lfi.rendering import figure, film_strip, titled
from lfi.revision import revision


class PaperRequest(PaperChoice):
    """What a visitor chose for a paper's figure; the words are those of the request around it."""

    columns: list[Annotated[str, StringConstraints(max_length=60)]] | None = Field(
        default=None, min_length=1, max_length=3
    )
    """Some of those on screen, whose layers and scale they keep; all of them where nothing is said."""
    difference: bool = False
    film: bool = False


def paper_files(
    shown: Comparison,
    image: Image.Image,
    position: Position,
    wanted: PaperRequest,
    look: Mapping[str, Any],
    notes: Sequence[str],
    about: Mapping[str, Any],
) -> bytes:
    """The zip.

    Args:
        shown: the columns and words of the figure, at the layers on screen.
        look: palette, opacity and the like, and titles, as for `figure`.
        notes: what the models are and what limits them.
        about: what the service knows besides, for `provenance.json`.

    Raises:
        ConfigError: more columns than fit into the width.
    """
    minus = _compared(list(shown.maps)) if wanted.difference else None
    layers = dict(shown.default_layer)
    how = {**look, "paper": wanted.paper, "notes": list(notes), "format": wanted.format}
    files = {f"maps.{wanted.format}": figure(shown, image, layer=layers, scale=position.scale, minus=minus, **how)}
    if wanted.film:
        for index, word in enumerate(shown.words):
            absent = [model for model in shown.maps if shown.absence(model, index)]
            name = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") or str(index + 1)
            files[f"film-{name}.{wanted.format}"] = film_strip(shown.maps, image, word, absent=absent, **how)
    files["caption.tex"] = caption_tex(_caption(shown, look["titles"], minus), notes)
    files["provenance.json"] = orjson.dumps(
        _provenance(shown, position, wanted, look, about), option=orjson.OPT_INDENT_2
    )
    return zipped(files)


def _compared(columns: Sequence[str]) -> tuple[str, str] | None:
    """LFI less whatever is not the teacher, where both are there; else the last two columns."""
    if len(columns) < 2:
        return None
    others = [key for key in columns if key not in ("lfi", "teacher")]
    return ("lfi", others[0]) if "lfi" in columns and others else (columns[-2], columns[-1])


def _caption(shown: Comparison, titles: Mapping[str, str], minus: tuple[str, str] | None) -> list[str]:
    words = ", ".join(f"“{word}”" for word in shown.words)
    parts = [f"Where {looking([titled(key, titles) for key in shown.maps])} for {words}."]
    parts += [
        f"{titled(key, titles)}: {maps.kind}, layer {shown.default_layer[key] + 1} of {len(maps.layers)}."
        for key, maps in shown.maps.items()
    ]
    parts.append(READING)
    if minus is not None:
        parts.append(f"Last column: {titled(minus[0], titles)} minus {titled(minus[1], titles)}.")
    parts += [f"{titled(key, titles)} {sentence}." for key, _, sentence in shown.absences()]
    return parts


def _provenance(
    shown: Comparison, position: Position, wanted: PaperRequest, look: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **about,
        "commit": revision(),
        "words": list(shown.words),
        "columns": {
            key: {
                "model": maps.model,
                "kind": maps.kind,
                "layer": maps.layers[shown.default_layer[key]],
                "absent": [word for index, word in enumerate(shown.words) if shown.absence(key, index)],
            }
            for key, maps in shown.maps.items()
        },
        "models": list(dict.fromkeys(map(model_of, shown.maps))),
        "scale": position.scale.facts,
        "drawn": {name: look[name] for name in ("palette", "opacity", "smooth", "contour")},
        "figure": wanted.model_dump(),
    }
