"""What raters see, rendered once: pictures and the maps that are laid over them.

A map is a WebP of its own, colour with an opacity that follows the attention, so the page can lay it over the picture
at any strength. All maps of one item share one scale, and every file of a study has the same size to the byte, a
random name, one modification time and no metadata: nothing outside the drawing itself tells conditions apart.
"""

from __future__ import annotations

import io
import os
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from app.engine import Engine, File, MapsRequest, Picture, Turn
from app.study.drawing import Tell, silent
from app.study.plan import Known, StudyPlan
from app.study.trials import item_key, known_key
from evaluation.study.ratings import DRAWN
from lfi.comparison import MODELS
from lfi.errors import ImageError
from lfi.maps import InteractionMaps
from lfi.rendering import NO_PREFERENCE, Scale, shared_scale, veil

BARE = "bare"

_STEP = 4096
_GRID = 8
_JUNK = 8  # bytes of a RIFF chunk's head


@dataclass(frozen=True)
class Rendered:
    """One file to be: `item` is empty for a bare picture."""

    image: str
    item: str
    condition: str
    data: bytes


def image_keys(plan: StudyPlan) -> dict[str, str]:
    """An opaque, stable key for every picture of the plan, by its path."""
    return {path: f"p{number:03}" for number, path in enumerate(plan.pictures, 1)}


def scaled(engine: Engine, data: bytes, side: int, turn: Turn) -> Image.Image:
    """The picture in a file, RGB, its longest side `side` pixels; one that was scaled before stays as it is.

    Raises:
        ImageError: it cannot be read, or not whole.
        LateError, GoneError: as `Engine.decode`.
    """
    opened = engine.decode(File(data), turn.renewed())
    if opened.note:  # raters would see grey where the picture is
        raise ImageError(f"{opened.note}; save it again and retry")
    picture = opened.drawn
    share = side / max(picture.size)
    size = (max(round(picture.width * share), 1), max(round(picture.height * share), 1))
    return picture.resize(size, Image.Resampling.LANCZOS)


def render_all(
    plan: StudyPlan, pictures: Mapping[str, Image.Image], engine: Engine, turn: Turn, tell: Tell = silent
) -> Iterator[Rendered]:
    """Every picture and every map of the study, one after another.

    Args:
        pictures: by the plan's paths, as `scaled` gives them.
        turn: of the request that waits for the study; every item has the time of one request.
        tell: how many items are drawn.

    Raises:
        UnknownWordError: the models do not know a word.
        LateError, GoneError: as `Engine.ask`.
    """
    keys = image_keys(plan)
    for path, key in keys.items():
        yield Rendered(key, "", BARE, _encode(pictures[path]))
    asked = {condition: plan.maps.get(condition, condition) for condition in MODELS}
    maps = []
    for number, item in enumerate(plan.items):
        tell("maps", number, len(plan.items))
        picture = Picture.of(pictures[item.image])
        maps.append(_maps(engine, picture, item.word, asked, plan.trio, turn.renewed()))
    tell("maps", len(plan.items), len(plan.items))
    floor = _elsewhere([item.image for item in plan.items], plan.seed) if "shuffled" in plan.conditions else {}
    for number, item in enumerate(plan.items):
        shown = maps[number] | ({"shuffled": maps[floor[number]]["lfi"]} if floor else {})
        scale = shared_scale(shown[condition] for condition in plan.conditions)
        for condition in plan.conditions:
            weights = shown[condition].weights[0, 0, 0].numpy()
            drawn = veil(weights, scale, pictures[item.image].size, opacity=1)
            yield Rendered(keys[item.image], item_key(number), condition, _encode(drawn))
    for kind, trials in (("practice", plan.practice), ("catch", plan.catch)):
        for number, trial in enumerate(trials):
            weights = box_map(trial)
            drawn = veil(weights, known_scale(weights), pictures[trial.image].size, opacity=1)
            yield Rendered(keys[trial.image], known_key(kind, number), DRAWN, _encode(drawn))


def known_scale(weights: np.ndarray) -> Scale:
    """The scale of a map that was drawn by hand."""
    return Scale(NO_PREFERENCE, max(2.0, float(weights.max() * weights.size)))


def write_all(rendered: Sequence[Rendered], folder: Path) -> list[str]:
    """Write the files under random names, all of one size and of one time; the names, in the order given."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    size = -(-max(len(each.data) + _JUNK for each in rendered) // _STEP) * _STEP
    names = []
    for each in rendered:
        name = secrets.token_hex(16)
        path = folder / name
        path.write_bytes(padded(each.data, size))
        os.utime(path, (0, 0))
        names.append(name)
    return names


def padded(webp: bytes, size: int) -> bytes:
    """The same picture as a file of exactly `size` bytes: an unknown chunk at the end, which readers skip.

    Source: WebP container specification, "Unknown chunks".
    """
    spare = size - len(webp) - _JUNK
    if spare < 0 or size % 2:
        raise ValueError(f"{len(webp)} bytes do not fit into {size}")
    return b"RIFF" + struct.pack("<I", size - 8) + webp[8:] + b"JUNK" + struct.pack("<I", spare) + bytes(spare)


def box_map(trial: Known) -> np.ndarray:
    """A map `[8, 8]` that sums to 1 and fades at the edges of the trial's box, as models' maps do."""
    left, top, right, bottom = trial.box
    centres = (np.arange(_GRID) + 0.5) / _GRID

    def bump(low: float, high: float) -> np.ndarray:
        return np.exp(-0.5 * ((centres - (low + high) / 2) / max((high - low) / 3, 0.5 / _GRID)) ** 2)

    weights = np.outer(bump(top, bottom), bump(left, right))
    return (weights / weights.sum()).astype(np.float32)


def _maps(
    engine: Engine, picture: Picture, word: str, asked: dict[str, str], trio: str, turn: Turn
) -> dict[str, InteractionMaps]:
    """Per condition its map of the word, at its default layer alone."""
    found = engine.ask(picture, MapsRequest((word,), tuple(asked.values()), trio=trio), turn)
    return {
        condition: found.maps[answer].select(layers=[found.default_layer[answer]])
        for condition, answer in asked.items()
    }


def _elsewhere(images: Sequence[str], seed: int) -> dict[int, int]:
    """For every item another one on another picture, each used about as often: a random rotation, mended."""
    order = [int(number) for number in np.random.default_rng((seed, 1)).permutation(len(images))]
    chosen = {}
    for place, number in enumerate(order):
        others = [*order[place + 1 :], *order[:place]]
        chosen[number] = next(other for other in others if images[other] != images[number])
    return chosen


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85, method=4, exif=b"", icc_profile=b"", xmp=b"")
    data = buffer.getvalue()
    return data + bytes(len(data) % 2)
