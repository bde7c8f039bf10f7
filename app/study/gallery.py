"""What raters saw, small enough to stand in a report: every item's picture, and its map in every condition."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image
from sqlalchemy import select

from app.database.models import Stimulus
from app.study.service import Studies, find_study
from app.study.stimuli import BARE

_SIDE = 240  # pixels, longest side
_OPACITY = 0.8  # of the overlay, so that the picture shows through


def gallery_of(studies: Studies, name: str) -> dict[tuple[str, str], str]:
    """`data:` addresses by item and condition; nothing where a file is gone.

    Raises:
        NothingHereError: there is no such study.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        rows = session.execute(
            select(Stimulus.image, Stimulus.item, Stimulus.condition, Stimulus.file).where(
                Stimulus.study_id == study.id
            )
        ).all()
    folder = studies.stimuli(name)
    bare = {row.image: folder / row.file for row in rows if row.condition == BARE}
    found = {}
    for row in rows:
        if row.item.startswith("i") and row.image in bare:
            try:
                found[row.item, row.condition] = _laid_over(bare[row.image], folder / row.file)
            except OSError:
                continue
    return found


def _laid_over(picture: Path, overlay: Path) -> str:
    with Image.open(picture) as below, Image.open(overlay) as above:
        drawn = below.convert("RGBA")
        colour = above.convert("RGBA").resize(drawn.size)
    colour.putalpha(colour.getchannel("A").point(lambda alpha: round(alpha * _OPACITY)))
    drawn.alpha_composite(colour)
    drawn.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    drawn.convert("RGB").save(buffer, "WEBP", quality=75)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
