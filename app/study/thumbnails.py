"""What raters see in a cell, small, for the owner's page: the picture and its map, as the rater's page draws them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image
from sqlalchemy import select

from app.database.models import Stimulus
from app.failures import NothingHereError
from app.study.service import Studies, find_study
from app.study.stimuli import BARE
from lfi.rendering import OPACITY, encode_webp, ground

_SIDE = 160  # twice as many pixels as the page shows, for sharp screens


def thumbnail(studies: Studies, name: str, item: str, condition: str) -> bytes:
    """An item of a study in one condition, as WebP.

    Args:
        item: the item's key, such as `i001`.

    Raises:
        NothingHereError: there is no such study, or no such map in it.
    """
    with studies.database.reading() as session:
        study = find_study(session, name)
        drawn = Stimulus.study_id == study.id, Stimulus.item == item, Stimulus.condition == condition
        image = session.scalar(select(Stimulus.image).where(*drawn))
        if image is None or not item:
            raise NothingHereError(f"study {name!r} has no map of {item!r} for {condition!r}")
        map_ = studies.stimulus(session, study.id, name, (image, item, condition))
        bare = studies.stimulus(session, study.id, name, (image, "", BARE))
    if map_ is None or bare is None:
        raise NothingHereError(f"the files of study {name!r} are gone")
    return _composed(bare, map_)


@lru_cache(1024)  # of some three kilobytes; the names of files are drawn by lot and never used again
def _composed(bare: Path, map_: Path) -> bytes:
    below, above = Image.open(bare).convert("RGB"), Image.open(map_).convert("RGBA")
    below.thumbnail((_SIDE, _SIDE))
    above = above.resize(below.size)
    alpha = above.getchannel("A").point([round(level * OPACITY) for level in range(256)])
    grey = ground(below)
    grey.paste(above.convert("RGB"), (0, 0), alpha)
    return encode_webp(grey)
