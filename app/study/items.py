"""Items that an owner adds to a draft: a zip as the inspector's page gives it, `items.toml` and the pictures it names.

The draft becomes exactly what `lfi study create` makes of its plan's file with the blocks pasted at its end.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tomllib
import zipfile
import zlib
from dataclasses import dataclass

from PIL import Image
from sqlalchemy import select

from app.archives import ArchiveLimits, open_archive
from app.database.models import Rater, Study
from app.engine import Engine, Turn
from app.failures import ArchiveError, StudyError
from app.study.checks import item_of, known_name, named_as_known
from app.study.creation import check_free, check_uninvited, make_draft
from app.study.plan import Item, StudyPlan, check_texts, extended
from app.study.planfile import written_as_toml
from app.study.service import Studies, find_study
from app.study.stimuli import scaled
from lfi.configuration import build
from lfi.errors import ConfigError

LIST = "items.toml"
_LIMITS = ArchiveLimits(entries=200, unpacked=200_000_000)
_MOST, _LONGEST = 500, 200


@dataclass(frozen=True)
class _List:
    items: tuple[Item, ...]


@dataclass(frozen=True)
class NewItems:
    """What a zip holds.

    Attributes:
        pictures: files by the name that the items use.
    """

    items: tuple[Item, ...]
    pictures: dict[str, bytes]


@dataclass(frozen=True)
class Added:
    """How many items were new to the draft, and how many it had already."""

    added: int
    known: int


def editable_drafts(studies: Studies) -> list[str]:
    """Names of the studies that items can be added to: drafts without invitations, the newest first."""
    invited = select(Rater.study_id).where(~Rater.preview)
    with studies.database.reading() as session:
        drafts = select(Study.name).where(Study.status == "draft", Study.id.not_in(invited))
        return list(session.scalars(drafts.order_by(Study.id.desc())))


def add_items(studies: Studies, name: str, data: bytes, engine: Engine, actor: str, turn: Turn) -> Added:
    """Add the items of a zip to a draft, and redraw all its maps. Items that it already has are left out.

    A picture that the draft has under another name keeps the name that it has there.

    Raises:
        NothingHereError: there is no such study.
        StudyError: it is not a draft, has invitations, or was made by a version that kept no pictures.
        ConflictError: it was changed meanwhile.
        ArchiveError, ConfigError: the zip is none, or does not hold what it should.
        ImageError, UnknownWordError: a picture cannot be read, or the models do not know a word.
        LateError, GoneError: as `render_all`.
    """
    new = read_items(data)
    plan = _draft(studies, name)
    kept = _kept(studies, plan)
    drawn = {path: scaled(engine, file, plan.side, turn) for path, file in new.pictures.items()}
    names: dict[str, str] = {}
    known_pictures = dict(kept)
    for path, picture in drawn.items():
        same = known_name(picture, known_pictures)
        if not same and path in kept:
            raise ConfigError(f"the draft has another picture called {path}; give this one a different name")
        names[path] = same or path
        known_pictures.setdefault(names[path], picture)
    hashes = {path: hashlib.sha256(file).hexdigest() for path, file in new.pictures.items() if names[path] not in kept}
    known = {item_of(item) for item in plan.items}
    fresh = []
    for item in named_as_known(new.items, names):
        if item_of(item) not in known:
            known.add(item_of(item))
            fresh.append(item)
    if fresh:
        used = {item.image for item in fresh}
        grown = extended(plan, fresh, {path: hash for path, hash in hashes.items() if path in used})
        pictures = {**kept, **{path: drawn[path] for path in used - set(kept)}}
        with studies.drawings.of(name) as tell:
            make_draft(studies, grown, pictures, engine, turn, actor, "items added", follows=plan.hash, tell=tell)
    return Added(len(fresh), len(new.items) - len(fresh))


def read_items(data: bytes) -> NewItems:
    """The items in a zip.

    Raises:
        ArchiveError: as `open_archive`.
        ConfigError: it has no list, or the list is not TOML, holds something else, or names a picture that is missing.
    """
    try:
        with open_archive(io.BytesIO(data), _LIMITS, "the file") as archive:
            there = set(archive.namelist())
            if LIST not in there:
                raise ConfigError(f"the zip has no {LIST}; the inspector's page makes one: *Study items*")
            items = _listed(archive.read(LIST))
            missing = [item.image for item in items if item.image not in there]
            if missing:
                raise ConfigError(f"{LIST} names {missing[0]}, which is not in the zip")
            return NewItems(items, {path: archive.read(path) for path in {item.image for item in items}})
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise ArchiveError("the file cannot be read as a zip") from error


def _listed(data: bytes) -> tuple[Item, ...]:
    """The items in a list.

    Raises:
        ConfigError: it is not TOML, holds something else, or more than is drawn at once.
    """
    with written_as_toml(LIST):
        items = build(_List, tomllib.loads(data.decode())).items
    for item in items:
        check_texts(f"shown of {item.word!r}", item.shown)
    if len(items) > _MOST:
        raise ConfigError(f"{LIST} holds {len(items)} items; at most {_MOST} can be added at once")
    too_long = next((item.word for item in items if not item.word.strip() or len(item.word) > _LONGEST), None)
    if too_long is not None:
        raise ConfigError(f"{LIST} holds the word {too_long[:40]!r}; one to {_LONGEST} characters were expected")
    return items


def _draft(studies: Studies, name: str) -> StudyPlan:
    with studies.database.reading() as session:
        study = find_study(session, name)
        check_free(session, name)
        check_uninvited(session, study)
        return studies.plan(session, study)


def _kept(studies: Studies, plan: StudyPlan) -> dict[str, Image.Image]:
    """The draft's own pictures."""
    folder = studies.pictures(plan.name)
    try:
        return {path: Image.open(folder / hash).convert("RGB") for path, hash in plan.pictures.items()}
    except OSError as error:
        raise StudyError(f"the pictures of {plan.name!r} are gone; `lfi study create` makes it again") from error
