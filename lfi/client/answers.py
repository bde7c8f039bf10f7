"""What a service answers, as values."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lfi.client.errors import ServiceError

if TYPE_CHECKING:  # tensors come with the first maps, not with the import
    from lfi.maps import InteractionMaps

_QUERIES = "interaction_queries"
_OVER = ("done", "stopped", "failed")
"""States of a batch that is over."""


@dataclass(frozen=True)
class ModelInfo:
    """A model of a trio: its card (what it is, what it learned from, figures, limits) and the names of its layers."""

    card: dict[str, Any]
    layers: tuple[str, ...]


@dataclass(frozen=True)
class TrioInfo:
    """Three models that answer together.

    Attributes:
        explanation: how the baseline's maps are made.
        vocabulary: words that can be asked; empty where any word can.
        models: `teacher`, `lfi` and `baseline`.
        explanations: other names that can be asked, such as `baseline:rollout`, and their layers.
    """

    name: str
    explanation: str
    vocabulary: tuple[str, ...]
    models: dict[str, ModelInfo]
    explanations: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Models:
    """All trios of a service, by name, and which one answers by default."""

    default: str
    trios: dict[str, TrioInfo]


@dataclass(frozen=True, eq=False)
class Answer:
    """Where the models look.

    Attributes:
        words: as they were answered, without articles where the models know none.
        maps: per model, a batch of one image; the query axis holds the words (or words and heads).
        queries: the Interaction Queries themselves, if LFI was asked.
        default_layer: per model, the layer to look at first, as an index into its maps.
        nearness: per word, how near the name of the query that LFI shows for it is (cosine).
        presence: per model that is calibrated for it, how likely each word is in the image at all.
        absent: per such model, whether it says that each word is not in the image; its map then means nothing.
        about: everything else the service says: the trio, the image's size and hash.
    """

    words: tuple[str, ...]
    maps: dict[str, InteractionMaps]
    queries: InteractionMaps | None
    default_layer: dict[str, int]
    nearness: dict[str, float]
    presence: dict[str, tuple[float, ...]]
    absent: dict[str, tuple[bool, ...]]
    about: dict[str, Any]


@dataclass(frozen=True)
class BatchStatus:
    """The state of a batch.

    Attributes:
        state: `waiting`, `running`, `done`, `stopped` or `failed`.
        total, done: images.
        unread: why each image that could not be read could not be, by name.
        seconds_left: at the pace so far; None while unknown.
        problem: why it failed, or was stopped by the service.
        finished: whether it is over and its results are there.
    """

    state: str
    total: int
    done: int
    unread: dict[str, str]
    seconds_left: float | None
    problem: str
    finished: bool

    @classmethod
    def of(cls, body: dict[str, Any]) -> BatchStatus:
        """Of `GET /v1/batches/ID`."""
        unread = {each["image"]: each["problem"] for each in body["unread"]}
        state, left, problem = body["state"], body["seconds_left"], body["problem"]
        finished = body.get("finished", state in _OVER)  # earlier services do not say it
        return cls(state, body["total"], body["done"], unread, left, problem, finished)


def read_models(body: dict[str, Any]) -> Models:
    """Of `GET /v1/models`."""
    trios = {}
    for trio in body["trios"]:
        models = {name: ModelInfo(each["card"], tuple(each["layers"])) for name, each in trio["models"].items()}
        others = {name: tuple(layers) for name, layers in trio["explanations"].items()}
        trios[trio["name"]] = TrioInfo(trio["name"], trio["explanation"], tuple(trio["vocabulary"]), models, others)
    return Models(body["default"], trios)


def read_maps(data: bytes) -> Answer:
    """Of `POST /v1/maps` as npz.

    Raises:
        ServiceError: the bytes are not such an answer.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            kinds = about.pop("maps")
            maps = {name: _maps(arrays, name.replace(":", "-"), kind) for name, kind in kinds.items()}
            words = tuple(arrays["words"].tolist())
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ServiceError(f"the service's answer has no maps that this version can read: {error}") from error
    queries = maps.pop(_QUERIES, None)
    nearness = {word: near for word, _, near in about.pop("addressed", [])}
    presence = {name: tuple(each) for name, each in about.pop("presence", {}).items()}
    absent = {name: tuple(each) for name, each in about.pop("absent", {}).items()}
    return Answer(words, maps, queries, about.pop("default_layer", {}), nearness, presence, absent, about)


def read_overlays(data: bytes) -> dict[str, bytes]:
    """Of `POST /v1/maps` as zip: WebP files by name, `lfi-01-star.webp`, and the colour bar `scale.webp`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".webp")}


def _maps(arrays: Any, name: str, about: dict[str, str]) -> InteractionMaps:
    import torch

    from lfi.maps import InteractionMaps

    return InteractionMaps(
        weights=torch.from_numpy(arrays[f"{name}_weights"])[None],
        outside=torch.from_numpy(arrays[f"{name}_outside"])[None],
        queries=(tuple(arrays[f"{name}_queries"].tolist()),),
        layers=tuple(arrays[f"{name}_layers"].tolist()),
        kind=about["kind"],
        model=about["model"],
    )
