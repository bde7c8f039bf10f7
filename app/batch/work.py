"""One image of a batch after the other: read, decode, compare, score, keep."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from app.batch.folder import THUMBNAIL, BatchFolder, BatchQuestion, Record, scores_csv, stem_of
from app.batch.gallery import gallery_page
from app.batch.sources import Images
from app.engine import Engine, File, MapsRequest, Turn
from app.engine.downloads import npz_bytes
from evaluation.scores import row, score
from lfi.comparison import model_of
from lfi.errors import ImageError, LFIError

log = logging.getLogger("lfi")


def question_of(engine: Engine, request: MapsRequest) -> BatchQuestion:
    """What a batch asks, with the models that are to answer.

    Raises:
        UnknownWordError, UnknownModelError: what this trio cannot answer; better said before the first image than
            after it.
        NotReadyError, CheckpointError: as `Engine.question`.
    """
    trio, question = engine.trios.get(request.trio), engine.question(request)
    at = trio.default_layer
    return BatchQuestion(
        words=question.words,
        models=question.models,
        trio=request.trio or engine.trios.default,
        fingerprints={model: trio.fingerprints[model_of(model)] for model in question.models},
        layers={model: (trio.layers[model][at[model]], at[model]) for model in question.models},
    )


def answer_image(
    folder: BatchFolder, images: Images, name: str, engine: Engine, request: MapsRequest, turn: Turn
) -> Record:
    """Answer one image and keep the answer. An image that cannot be read or answered is a record that says why.

    Raises:
        LateError, GoneError: as `Engine.ask`; nothing is kept, and the image can be tried again.
        OSError: the answer cannot be kept.
    """
    try:
        file = File(images.read(name, engine.settings.max_bytes))
        if folder.holds(name, file.sha256):
            return folder.records[name]
        picture = engine.open(file, request, turn, side=THUMBNAIL)
        comparison = engine.ask(picture, request, turn)
        rows = [row(each) for each in score(comparison)]
        width, height = picture.size
        seen = {"name": name, "width": width, "height": height, "sha256": file.sha256}
        maps = npz_bytes(comparison, {"trio": folder.asked.trio, "image": seen})
    except ImageError as error:
        return _unanswered(folder, name, str(error))
    except LFIError:
        raise
    except Exception:  # the other images may be well
        log.exception("an image of a batch failed")
        return _unanswered(folder, name, "it failed unexpectedly; see the log")
    record = Record(name, file.sha256, stem_of(name), width, height, rows, note=picture.note)
    folder.add(record, picture.drawn, maps)
    return record


def _unanswered(folder: BatchFolder, name: str, problem: str) -> Record:
    record = Record(name, problem=problem)
    folder.add(record)
    return record


@dataclass(frozen=True)
class Done:
    """What became of a batch's images so far, in their order."""

    read: tuple[Record, ...]
    unread: tuple[Record, ...]


def write_results(folder: BatchFolder, names: Sequence[str]) -> Done:
    """Write `scores.csv` and the gallery of what is done of these images."""
    records = [folder.records[name] for name in names if name in folder.records]
    folder.write("scores.csv", scores_csv(records, folder.asked.models))
    folder.write("index.html", gallery_page(folder, names))
    unread = tuple(record for record in records if record.problem)
    return Done(tuple(record for record in records if not record.problem), unread)
