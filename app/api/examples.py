"""Answers of the API as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

from app.engine.bodies import MapsBody
from app.web.negotiation import JSON, NPZ, ZIP

_BLOCK: dict[str, Any] = {
    "queries": ["star"],
    "layers": ["layer 1"],
    "shape": [1, 1, 2, 2],
    "weights": "ADgANAAwADA=",
    "outside": [[0.12]],
    "kind": "cross-attention",
    "model": "scenes-teacher@0f3a9c1be77d",
}
_CARD = {"title": "Teacher", "kind": "CoCa"}
_PRESENCE = {"threshold": 0.5, "false_alarms": 0.08, "misses": 0.11, "auc": 0.95}
_MAPS_EXAMPLE = {
    "models": {"teacher": {**_BLOCK, "default_layer": 0, "presence": [0.97], "absent": [False], "card": _CARD}},
    "words": ["star"],
    "image": {
        "width": 640,
        "height": 480,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    },
    "addressed": [{"word": "star", "query": 2, "nearness": 0.72}],
    "scale": {"low": 1.0, "high": 2.0, "unit": "times uniform attention", "spacing": "logarithmic"},
    "interaction_queries": {
        **_BLOCK,
        "queries": ["query 1"],
        "kind": "interaction-query",
        "model": "scenes-lfi@5b1d44e02c9a",
        "named": [["star", 0.72]],
    },
    "trio": "scenes",
    "seconds": {"teacher": 0.031},
}
_MODELS_EXAMPLE = {
    "default": "scenes",
    "trios": [
        {
            "name": "scenes",
            "explanation": "dense-similarity",
            "vocabulary": ["star", "circle"],
            "models": {"teacher": {"card": _CARD, "layers": ["layer 1"], "presence": _PRESENCE}},
            "explanations": {"baseline:rollout": ["block 1", "block 2"]},
        }
    ],
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
MAPS: dict[str, Any] = {
    "model": MapsBody,
    "description": "Raw maps as JSON or npz, or a zip of overlays, by the request's `Accept`.",
    "content": {JSON: {"example": _MAPS_EXAMPLE}, NPZ: _BINARY, ZIP: _BINARY},
}
WEBP: dict[str, Any] = {"description": "The picture.", "content": {"image/webp": _BINARY}}
MODELS: dict[str, Any] = {"content": {JSON: {"example": _MODELS_EXAMPLE}}}
