"""A batch as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.batch.folder import Record
from app.batch.store import Batch

_NAMED = 100


class Unread(BaseModel):
    """An image that could not be read."""

    image: str
    problem: str


class Noted(BaseModel):
    """An image that could be read, but not to its end."""

    image: str
    note: str


class Links(BaseModel):
    """Where everything of a batch is."""

    status: str
    gallery: str = Field(description="A page with all maps, to sort; while the batch runs, of what is done.")
    scores_csv: str = Field(description="One line per image and word.")
    scores_json: str = Field(description="The same as JSON.")
    figure: str = Field(description="Rows of the gallery as one figure for a paper, as PDF; also .svg, .png, .zip.")
    archive: str = Field(description="Gallery, scores and raw maps (npz) as a zip, once it is finished.")


class BatchBody(BaseModel):
    """The state of a batch."""

    id: str
    state: Literal["waiting", "running", "done", "stopped", "failed"]
    total: int = Field(description="Images in it.")
    done: int = Field(description="Images processed, including unreadable ones.")
    unread: list[Unread]
    noted: list[Noted] = Field(description="Images of which a part could not be read.")
    others: int = Field(description="Files that are not images; they are skipped.")
    other_names: list[str] = Field(description="The first hundred of them.")
    ahead: int = Field(description="Batches that come before it.")
    seconds_left: float | None = Field(description="At the pace so far; null while nobody knows.")
    finished: bool = Field(description="Whether it is over and its results are written; nothing of it changes then.")
    kept_seconds: float = Field(description="How long results are kept once the batch is over.")
    problem: str = Field(description="Why it failed, or was stopped by the service; empty otherwise.")
    words: list[str]
    models: list[str]
    trio: str
    links: Links


class ScoreRow(BaseModel):
    """One image and word: `scores` by the names of the columns in `scores.csv`."""

    image: str
    scores: dict[str, str | int | float | None]


class ScoresBody(BaseModel):
    """Scores of what is done."""

    rows: list[ScoreRow]


def batch_body(batch: Batch, ahead: int, root: str, kept: float) -> dict[str, Any]:
    """The JSON body as plain values; `BatchBody` describes it.

    Args:
        root: path under which the service is published.
        kept: seconds.
    """
    asked, records = batch.folder.asked, in_order(batch)
    at = f"{root}/v1/batches/{batch.id}"
    return {
        "id": batch.id,
        "state": batch.state,
        "total": len(batch.images.names),
        "done": len(records),
        "unread": [{"image": record.name, "problem": record.problem} for record in records if record.problem],
        "noted": [{"image": record.name, "note": record.note} for record in records if record.note],
        "others": len(batch.images.others),
        "other_names": list(batch.images.others[:_NAMED]),
        "ahead": ahead,
        "seconds_left": batch.seconds_left,
        "finished": batch.ended is not None,
        "kept_seconds": kept,
        "problem": batch.problem,
        "words": list(asked.words),
        "models": list(asked.models),
        "trio": asked.trio,
        "links": {
            "status": at,
            "gallery": f"{at}/gallery",
            "scores_csv": f"{at}/scores.csv",
            "scores_json": f"{at}/scores.json",
            "figure": f"{at}/figure.pdf",
            "archive": f"{at}/batch.zip",
        },
    }


def scores_body(batch: Batch) -> dict[str, Any]:
    """The JSON body as plain values; `ScoresBody` describes it."""
    rows = [{"image": record.name, "scores": row} for record in in_order(batch) for row in record.rows]
    return {"rows": rows}


def in_order(batch: Batch) -> list[Record]:
    """What is done, in the order of the images; the worker may add to it meanwhile."""
    records = dict(batch.folder.records)
    return [records[name] for name in batch.images.names if name in records]
