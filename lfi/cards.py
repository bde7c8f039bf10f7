"""What a trio's card says, checked against its models. `lfi.training.cards` writes cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lfi.comparison import MODELS
from lfi.errors import CheckpointError
from lfi.peers import Peer
from lfi.students import Student
from lfi.teachers.base import BaseTeacher


def check_student(part: str, student: Student, teacher: BaseTeacher, where: str) -> None:
    """Refuse a student that does not fit this teacher.

    Args:
        part: `lfi` or `baseline`.
        where: what an error names: the trio, or the student's file.

    Raises:
        CheckpointError: LFI has no named queries, or the student projects into another text space.
    """
    if part == "lfi" and (student.queries is None or student.name is None):
        raise CheckpointError(f"{where}: the LFI student has no named Interaction Queries")
    projects = student.name is not None or student.embed is not None
    if projects and student.config.text_dim != teacher.embed_dim:
        raise CheckpointError(
            f"{where}: the {part} student projects into {student.config.text_dim} dimensions; the text space of "
            f"{teacher.name} has {teacher.embed_dim}"
        )


def check_explanation(trio: str, whose: str, explanation: str, possible: Sequence[str]) -> None:
    """Refuse an explanation that a model cannot give.

    Args:
        whose: what an error adds to "explanation", such as ` of clip`.

    Raises:
        CheckpointError: names those that it can.
    """
    if explanation not in possible:
        raise CheckpointError(
            f"{trio}: explanation{whose} is {explanation!r}; one of {', '.join(possible)} was expected"
        )


def peer_cards(card: Mapping[str, Any], peers: Mapping[str, Peer]) -> dict[str, dict[str, Any]]:
    """What is known of every peer, with the explanation that it shows.

    Raises:
        CheckpointError: one that it cannot give.
    """
    cards = {}
    for name, peer in peers.items():
        cards[name] = {"explanation": peer.explanation, **peer.about, **card.get("peers", {}).get(name, {})}
        check_explanation(card["name"], f" of {name}", cards[name]["explanation"], peer.explanations)
    return cards


def default_layers(card: Mapping[str, Any], layers: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The layer of each answer that is shown first: the card's choice, which it must make for `MODELS`, or the last.

    Args:
        layers: names of the layers of every answer.

    Raises:
        CheckpointError: an answer or a layer that is not there.
    """
    last = {name: len(own) - 1 for name, own in layers.items() if name not in MODELS}
    chosen = {name: int(layer) for name, layer in {**last, **card["default_layer"]}.items()}
    for name, layer in chosen.items():
        if name not in layers:
            raise CheckpointError(f"{card['name']}: a default layer for {name!r}, which it does not have")
        if not 0 <= layer < len(layers[name]):
            raise CheckpointError(
                f"{card['name']}: default layer {layer} of {name}; 0 to {len(layers[name]) - 1} exist"
            )
    return chosen
