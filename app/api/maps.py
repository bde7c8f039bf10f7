"""One request for maps, answered as bytes."""

from __future__ import annotations

from typing import BinaryIO

import orjson

from app.engine import Engine, File, MapsRequest, Turn
from app.engine.bodies import maps_body
from app.engine.downloads import npz_bytes, zip_bytes
from app.web.negotiation import NPZ, ZIP


def answer(engine: Engine, request: MapsRequest, upload: BinaryIO, media_type: str, turn: Turn) -> bytes:
    """The answer in one of `negotiation.MAPS_TYPES`. Takes a while: call it in a thread.

    Raises:
        ImageError, WordsError, UnknownModelError, ConfigError: what is asked for cannot be.
        LateError, GoneError: the turn was over before the answer was begun.
    """
    settings = engine.settings
    file = File.read(upload, settings.image_limits.bytes)
    picture = engine.open(file, request, turn, side=settings.overlay_side if media_type == ZIP else None)
    comparison = engine.ask(picture, request, turn)
    turn.check()
    name = request.trio or engine.trios.default
    seen = {"width": picture.size[0], "height": picture.size[1], "sha256": file.sha256}
    if picture.note:
        seen["note"] = picture.note
    about = {"trio": name, "image": seen}
    if media_type == NPZ:
        return npz_bytes(comparison, about)
    if media_type == ZIP:
        return zip_bytes(comparison, picture.drawn, settings.overlay_side, about)
    return orjson.dumps(maps_body(comparison, name, engine.trios.get(name), seen))
