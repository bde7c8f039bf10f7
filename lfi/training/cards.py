"""What a trio's card says about each model: what it is, what it was trained on, and how well its run did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from lfi.errors import CheckpointError, reason
from lfi.training.config import ObjectiveConfig
from lfi.training.logbook import read_records

ABOUT = {
    "teacher": {
        "title": "Teacher",
        "kind": "CoCa",
        "summary": "A CoCa: the words of its decoder attend to the patches of a vision transformer.",
    },
    "lfi": {
        "title": "LFI student",
        "kind": "ViT with Interaction Queries",
        "summary": "A plain vision transformer with Interaction Queries, taught where the teacher's words look.",
    },
    "baseline": {
        "title": "Result-oriented baseline",
        "kind": "ViT",
        "summary": "A plain vision transformer; its map for a word is an explanation made afterwards.",
    },
}
"""What a card says of a model of which nothing else is known."""

CLIP = {"kind": "CLIP", "summary": "A CLIP: its maps are the similarity of every patch and the word."}
"""Of a teacher that has no decoder."""

WRITES = "A model that writes: a word's map is its decoder's attention to the image where it has written the word."
"""Of a teacher that does."""


def trio_card(
    name: str,
    summary: str,
    explanation: str,
    default_layer: Mapping[str, int],
    vocabulary: Sequence[str],
    phrases: Sequence[str],
    models: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """A card as `Trio` reads it."""
    return {
        "name": name,
        "summary": summary,
        "explanation": explanation,
        "default_layer": dict(default_layer),
        "vocabulary": list(vocabulary),
        "phrases": list(phrases),
        "models": {part: dict(card) for part, card in models.items()},
    }


def run_card(folder: Path) -> dict[str, Any]:
    """What a folder that `lfi train` left says of its model: data, steps, seed, losses, figures; else nothing.

    Raises:
        CheckpointError: its files cannot be read.
    """
    if not (folder / "config.json").is_file():
        return {}
    config = read_object(folder / "config.json")
    try:
        records = read_records(folder / "metrics.jsonl")
        card = {"data": _data(config["data"]), "seed": config["loop"]["seed"]}
        if config["task"] == "student":
            card["losses"] = losses_of(config["objective"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} is not a folder that `lfi train` wrote: {error!r}") from error
    if records:
        card["steps"] = int(records[-1]["step"])
    scores: Mapping[str, float] = next((each for each in reversed(records) if "loss" not in each), {})
    card["figures"] = {
        f"{name} on validation images, %": round(value, 1) for name, value in scores.items() if name != "step"
    }
    return card


def taught_by(folder: Path) -> str:
    """The label of the teacher that a folder of `lfi train` says its student learnt from; "" where it says none.

    Raises:
        CheckpointError: its file cannot be read.
    """
    environment = folder / "environment.json"
    return str(read_object(environment).get("teacher", "")) if environment.is_file() else ""


def losses_of(objective: ObjectiveConfig | Mapping[str, Any]) -> dict[str, float]:
    """Weights of what is copied from the teacher, by names to be read."""
    values = asdict(objective) if isinstance(objective, ObjectiveConfig) else objective
    copied = (
        "interaction",
        "relation",
        "naming",
        "patch_words",
        "logit_kd",
        "feature_kd",
        "activation_attention",
        "attention_transfer",
        "relational_kd",
        "dist",
        "token_labelling",
    )
    named = {name.replace("_kd", " KD").replace("_", " "): values.get(name, 0) for name in copied}
    return {name: weight for name, weight in {**named, **values.get("extra", {})}.items() if weight}


def parameters_of(model: nn.Module) -> int:
    """How many."""
    return sum(parameter.numel() for parameter in model.parameters())


def _data(data: Mapping[str, Any]) -> str:
    if data["source"] == "scenes":
        return f"{data['count']:,} generated scenes (seed {data['seed']})"
    said = f"{data['source']}: {Path(data['root']).name}"
    said += f", {data['fraction']:.0%} of it" if data["fraction"] < 1 else ""
    return said + (f", without {data['held_out']}" if data["held_out"] else "")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file.

    Raises:
        CheckpointError: it cannot be read, or holds no object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {reason(error)}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"cannot read {path}: an object was expected")
    return found
