"""A comparison as the JSON body of `POST /v1/maps`, and the cards of `GET /v1/models`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.engine.downloads import comparison_scale
from app.engine.trios import Trios
from lfi.comparison import MODELS, Comparison, model_of
from lfi.maps import InteractionMaps
from lfi.presence import Presence
from lfi.trio import Trio


class MapBlock(BaseModel):
    """Raw maps of one model."""

    queries: list[str] = Field(description="Names along the query axis: the words, or `word · head 1` with heads.")
    layers: list[str] = Field(description="Names along the layer axis, first to last.")
    shape: list[int] = Field(description="[layer, query, height, width]")
    weights: str = Field(
        description="Base64 of little-endian float16 in C order. Each map sums to 1 over height and width."
    )
    outside: list[list[float]] = Field(
        description="[layer][query]: share of the attention that fell on tokens that are not patches."
    )
    kind: str = Field(description="How the maps came about, such as cross-attention or interaction-query.")
    model: str = Field(description="name@fingerprint of the model that looked.")


class ModelBlock(MapBlock):
    """Raw maps of one model for the words, with its card."""

    default_layer: int = Field(description="Index of the layer to show first, from 0; the page counts from 1.")
    presence: list[float] | None = Field(
        description="How likely each word is in the image at all, in the order of `words`; null where this model was "
        "not calibrated for that."
    )
    absent: list[bool] | None = Field(
        description="Whether the model says that each word is not in the image: its map then means nothing. Null where "
        "`presence` is."
    )
    card: dict[str, Any] = Field(description="What the model is, what it was trained on, figures and limits.")


class QueryBlock(MapBlock):
    """The LFI student's Interaction Queries themselves, whatever the words."""

    named: list[tuple[str, float]] = Field(description="For every query the nearest known word and how near it is.")


class AddressBody(BaseModel):
    """Which Interaction Query shows a word."""

    word: str
    query: int = Field(
        description="Index of the query, from 0, along `interaction_queries`; the page and `scores.csv` count from 1."
    )
    nearness: float = Field(description="Cosine between the query's name and the word.")


class ImageBody(BaseModel):
    """The image as the models saw it: upright."""

    width: int
    height: int
    sha256: str = Field(description="Of the uploaded file.")
    note: str = Field("", description="What of the file could not be read, such as the last rows of a cut JPEG.")


class ScaleBody(BaseModel):
    """The scale on which these maps compare."""

    low: float
    high: float
    unit: str = "times uniform attention"
    spacing: str = Field("logarithmic", description="Each doubling is an equal step of colour.")


class MapsBody(BaseModel):
    """The answer of `POST /v1/maps` as JSON."""

    models: dict[str, ModelBlock]
    words: list[str]
    image: ImageBody
    addressed: list[AddressBody]
    scale: ScaleBody
    interaction_queries: QueryBlock | None
    trio: str
    seconds: dict[str, float]


def maps_body(comparison: Comparison, name: str, trio: Trio, image: dict[str, Any]) -> dict[str, Any]:
    """The JSON body as plain values; `MapsBody` describes it.

    Args:
        name: of the trio, to ask for it again by.
        image: width, height, sha256, and a note where there is one.
    """
    queries = comparison.queries
    return {
        "models": {
            model: {
                **_block(maps),
                "default_layer": comparison.default_layer[model],
                "presence": _listed(comparison.presence.get(model)),
                "absent": _listed(comparison.absent.get(model)),
                "card": trio.cards[model_of(model)],
            }
            for model, maps in comparison.maps.items()
        },
        "words": list(comparison.words),
        "image": image,
        "addressed": [
            {"word": address.word, "query": address.query, "nearness": address.nearness}
            for address in comparison.addressed
        ],
        "scale": comparison_scale(comparison).facts,
        "interaction_queries": None if queries is None else {**_block(queries), "named": list(comparison.named)},
        "trio": name,
        "seconds": comparison.seconds,
    }


def _listed(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else list(values)


def _block(maps: InteractionMaps) -> dict[str, Any]:
    weights = maps.weights[0].cpu().half().numpy()
    return {
        "queries": list(maps.queries[0]),
        "layers": list(maps.layers),
        "shape": list(weights.shape),
        "weights": base64.b64encode(weights.astype("<f2", copy=False).tobytes()).decode(),
        "outside": maps.outside[0].tolist(),
        "kind": maps.kind,
        "model": maps.model,
    }


class PresenceBody(BaseModel):
    """How well a model tells whether a word is in an image."""

    threshold: float = Field(description="Probability below which a word is said to be absent.")
    false_alarms: float = Field(description="Share of absent words that the model takes for present.")
    misses: float = Field(description="Share of present words that the model takes for absent.")
    auc: float = Field(description="Area under the ROC curve, on validation images.")


class ModelBody(BaseModel):
    """One model of a trio."""

    card: dict[str, Any]
    layers: list[str]
    presence: PresenceBody | None = Field(description="Null where the model was not calibrated for it.")


class TrioBody(BaseModel):
    """Three models that answer together."""

    name: str
    explanation: str = Field(description="How the maps of `baseline` are made: its best post-hoc explanation.")
    vocabulary: list[str] = Field(description="Words that can be typed; empty where any word can.")
    models: dict[str, ModelBody]
    explanations: dict[str, list[str]] = Field(
        description="Other explanations that `models` can name, and their layers."
    )


class ModelsBody(BaseModel):
    """The answer of `GET /v1/models`."""

    default: str
    trios: list[TrioBody]


def trios_body(trios: Trios) -> dict[str, Any]:
    """What can be asked as plain values; `ModelsBody` describes it.

    Raises:
        NotReadyError: the default trio is not loaded.
    """
    trios.get()
    return {"default": trios.default, "trios": [_trio(name, trio) for name, trio in trios.loaded.items()]}


def _trio(name: str, trio: Trio) -> dict[str, Any]:
    """One trio, under the name to ask for it by."""
    return {
        "name": name,
        "explanation": trio.explanation,
        "vocabulary": list(trio.vocabulary),
        "models": {
            model: {"card": card, "layers": list(trio.layers[model]), "presence": _judging(trio.presence.get(model))}
            for model, card in trio.cards.items()
        },
        "explanations": {name: list(layers) for name, layers in trio.layers.items() if name not in MODELS},
    }


def _judging(presence: Presence | None) -> dict[str, float] | None:
    return None if presence is None else {name: getattr(presence, name) for name in PresenceBody.model_fields}
