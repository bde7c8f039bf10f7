"""One image of a batch after the other: read, decode, compare, score, keep."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from app.batch.folder import THUMBNAIL, Asked, BatchFolder, Record, scores_csv, stem_of
from app.batch.gallery import gallery_page
from app.batch.sources import Images
from app.inspector.decode import decode_image
from app.inspector.downloads import npz_bytes
from app.inspector.questions import Question
from app.inspector.words import plain_words
from app.limits import ImageLimits
from evaluation.scores import row, score
from lfi.comparison import Comparison, model_of
from lfi.errors import ImageError
from lfi.trio import Trio

Compare = Callable[[Image.Image], Comparison]


def asked_of(question: Question, trio: Trio, name: str) -> Asked:
    """What a batch asks, with the models that are to answer.

    Args:
        name: of the trio, to ask for it again by.

    Raises:
        UnknownWordError, UnknownModelError: what this trio cannot answer; better said before the first image than
            after it.
    """
    words, models = plain_words(question.words, trio.vocabulary), trio.ordered(question.models)
    trio.question(words, models)
    shown = {model: (trio.layers[model][trio.default_layer[model]], trio.default_layer[model]) for model in models}
    return Asked(words, models, name, {model: trio.fingerprints[model_of(model)] for model in models}, shown)


def answer_image(folder: BatchFolder, images: Images, name: str, compare: Compare, limits: ImageLimits) -> Record:
    """Answer one image and keep the answer. An image that cannot be read is a record that says why.

    Args:
        compare: the models' answer for a decoded image, for the batch's words and all layers.
    """
    try:
        data = images.read(name, limits.bytes)
        sha256 = hashlib.sha256(data).hexdigest()
        if folder.holds(name, sha256):
            return folder.records[name]
        picture = decode_image(data, limits)
    except ImageError as error:
        record = Record(name, problem=str(error))
        folder.add(record)
        return record
    comparison = compare(picture)
    record = Record(
        name, sha256, stem_of(name), picture.width, picture.height, [row(each) for each in score(comparison)]
    )
    about = {
        "trio": folder.asked.trio,
        "image": {"name": name, "width": picture.width, "height": picture.height, "sha256": sha256},
    }
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    folder.add(record, picture, npz_bytes(comparison, about))
    return record


@dataclass(frozen=True)
class Done:
    """What became of a batch's images so far, in their order."""

    read: tuple[Record, ...]
    unread: tuple[Record, ...]


def write_results(folder: BatchFolder, names: Sequence[str]) -> Done:
    """Write `scores.csv` and the gallery of what is done of these images."""
    records = [folder.records[name] for name in names if name in folder.records]
    (folder.path / "scores.csv").write_text(scores_csv(records, folder.asked.models), encoding="utf-8")
    (folder.path / "index.html").write_text(gallery_page(folder, names), encoding="utf-8")
    unread = tuple(record for record in records if record.problem)
    return Done(tuple(record for record in records if not record.problem), unread)
