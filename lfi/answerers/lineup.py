"""All answers of a teacher, two students and their peers, in display order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lfi.answerers.answerer import Answerer
from lfi.answerers.explained import ExplainedAnswerer, explained_answerers
from lfi.answerers.peer import PeerAnswerer
from lfi.answerers.queries import QueriesAnswerer
from lfi.answerers.teacher import TeacherAnswerer, dense_answerers
from lfi.peers import Peer
from lfi.students import Student
from lfi.teachers.base import BaseTeacher


def line_up(
    teacher: BaseTeacher,
    lfi: Student,
    baseline: Student,
    explanation: str,
    *,
    phrases: Sequence[str] = (),
    peers: Mapping[str, tuple[Peer, str]] | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Answerer[Any]]:
    """The models by name, then the other ways to ask each of them.

    Args:
        explanation: the one that the baseline shows by default.
        phrases: what LFI's queries may be called.
        peers: each with the explanation that it shows by default.
        labels: `name@fingerprint` of the maps of students and peers.
    """
    labels, peers = labels or {}, peers or {}
    of = {model: labels.get(model, model) for model in ("lfi", "baseline", *peers)}
    models: list[Answerer[Any]] = [
        TeacherAnswerer(teacher),
        QueriesAnswerer("lfi", lfi, teacher, phrases, of["lfi"]),
        ExplainedAnswerer("baseline", baseline, explanation, teacher, of["baseline"]),
        *(PeerAnswerer(name, peer, shown, of[name]) for name, (peer, shown) in peers.items()),
    ]
    others: list[Answerer[Any]] = [
        *dense_answerers(teacher),
        *explained_answerers("lfi", lfi, teacher, of["lfi"]),
        *explained_answerers("baseline", baseline, teacher, of["baseline"]),
        *(
            PeerAnswerer(f"{name}:{each}", peer, each, of[name])
            for name, (peer, _) in peers.items()
            for each in peer.explanations
        ),
    ]
    return {answerer.name: answerer for answerer in [*models, *others]}
