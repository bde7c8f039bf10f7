"""Every way to train a student, once: LFI, the result-oriented baselines, the controls, with their weights.

Recipes (`method = "LFI"`), benchmarks and the trio that ships read them here. Weights of LFI, `logit KD` and
`feature KD` were chosen on validation scenes; docs/results.md says which records were made with others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lfi.training.config import ObjectiveConfig, StudentSource


@dataclass(frozen=True)
class Method:
    """What a student is trained for, and with how many Interaction Queries.

    Attributes:
        taps: which blocks the queries read: `all`, `every second` (the last among them) or the `last`.
        feedback, by_name: as in `StudentSource`.
        wide: a wider backbone instead of queries, with as many parameters as LFI has (`TransferScale.wide`).
    """

    objective: ObjectiveConfig
    queries: int = 0
    taps: str = "all"
    feedback: bool = False
    by_name: bool = True
    wide: bool = False

    def tapped(self, depth: int) -> tuple[int, ...]:
        """The tapped blocks of a backbone with `depth` blocks, counted from 0; empty for all, as in `StudentConfig`."""
        return {"all": (), "every second": tuple(range(1 - depth % 2, depth, 2)), "last": (depth - 1,)}[self.taps]

    def student(self, backbone: StudentSource) -> StudentSource:
        """That backbone with this method's queries; its `overrides` name the `depth` unless all blocks are tapped."""
        return replace(
            backbone,
            queries=self.queries,
            taps=() if self.taps == "all" else self.tapped(backbone.overrides["depth"]),
            feedback=self.feedback,
            by_name=self.by_name,
        )


def sections(method: Mapping[str, Any]) -> dict[str, Any]:
    """A method as a record keeps it (`asdict`), in sections as `lfi.training.provenance.difference` compares them."""
    own = {name: value for name, value in method.items() if name != "objective"}
    return {"method": own, "objective": method.get("objective", {})}


def weighted(method: Method, weights: Mapping[str, float]) -> Method:
    """A method with other weights for those losses that it has."""
    own: dict[str, Any] = {name: each for name, each in weights.items() if getattr(method.objective, name)}
    return replace(method, objective=replace(method.objective, **own))


def raised(method: Method) -> Method:
    """A method with its result-oriented weights at 1: so far below the best ones for one label among many that the
    weights of `METHODS` would lie at the edge of what is searched (`evaluation/tuning.py`)."""
    return weighted(method, dict.fromkeys(("logit_kd", "feature_kd", "dist"), 1.0))


_LFI = ObjectiveConfig(interaction=0.03, relation=0.03, naming=0.15)

METHODS: dict[str, Method] = {
    "no distillation": Method(ObjectiveConfig()),
    "logit KD": Method(ObjectiveConfig(logit_kd=1.0)),
    "feature KD": Method(ObjectiveConfig(feature_kd=0.1)),
    "logit + feature KD": Method(ObjectiveConfig(logit_kd=1.0, feature_kd=0.1)),
    "activation attention": Method(ObjectiveConfig(activation_attention=1.0)),
    "attention transfer": Method(ObjectiveConfig(attention_transfer=0.3)),
    "relational KD": Method(ObjectiveConfig(relational_kd=0.02)),
    "DIST": Method(ObjectiveConfig(dist=1.0)),
    "DIST + feature KD": Method(ObjectiveConfig(dist=1.0, feature_kd=0.1)),
    "DIST + feature KD, head that reads names": Method(ObjectiveConfig(dist=1.0, feature_kd=0.1, naming=0.15), 8),
    "token labelling": Method(ObjectiveConfig(token_labelling=0.5)),
    "token labelling + DIST + feature KD": Method(ObjectiveConfig(token_labelling=0.5, dist=1.0, feature_kd=0.1)),
    "queries only": Method(ObjectiveConfig(), 8),
    "queries + names, no maps": Method(replace(_LFI, interaction=0.0, relation=0.0), 8),
    "shuffled maps": Method(replace(_LFI, shuffle=True), 8),
    "LFI": Method(_LFI, 8),
    "LFI, head without names": Method(_LFI, 8, by_name=False),
    "LFI + patch words": Method(replace(_LFI, patch_words=0.15), 8),
    "LFI + logit KD": Method(replace(_LFI, logit_kd=1.0), 8),
    "LFI + logit + feature KD": Method(replace(_LFI, logit_kd=1.0, feature_kd=0.1), 8),
    "LFI + DIST + feature KD": Method(replace(_LFI, dist=1.0, feature_kd=0.1), 8),
    "LFI + patch words + DIST + feature KD": Method(replace(_LFI, patch_words=0.15, dist=1.0, feature_kd=0.1), 8),
    "shuffled maps + patch words + DIST + feature KD": Method(
        replace(_LFI, patch_words=0.15, dist=1.0, feature_kd=0.1, shuffle=True), 8
    ),
    "shuffled maps, own words + patch words + DIST + feature KD": Method(
        replace(_LFI, patch_words=0.15, dist=1.0, feature_kd=0.1, shuffle=True, own_words=True), 8
    ),
}
RESULT_ORIENTED = ("logit KD", "feature KD", "logit + feature KD", "DIST", "DIST + feature KD")
"""Those that copy what the teacher puts out; the best of them is what LFI is measured against."""
HEAD_ALONE = "DIST + feature KD, head that reads names"
UNSHUFFLED, SHUFFLED = "LFI + patch words + DIST + feature KD", "shuffled maps + patch words + DIST + feature KD"
OWN_WORDS = "shuffled maps, own words + patch words + DIST + feature KD"
PATCHES = "token labelling + DIST + feature KD"
WIDER = "DIST + feature KD, as many parameters as LFI"
"""The result-oriented student with a wider backbone (`lfi benchmark transfer`)."""
CONTROLS = {
    "queries only": "LFI",
    "shuffled maps": "LFI",
    HEAD_ALONE: UNSHUFFLED,
    SHUFFLED: UNSHUFFLED,
    OWN_WORDS: UNSHUFFLED,
}
"""What LFI has besides the right maps (its queries, head and names, another image's maps with or without its words),
and the LFI that each is to be compared with: the one that copies the same outputs."""
BEST_QUERIES, BEST_HEAD = "the best LFI, queries only", "the best LFI, head that reads names"
BEST_SHUFFLED, BEST_OWN_WORDS = "the best LFI, shuffled maps", "the best LFI, shuffled maps, own words"
CONTROLS_OF_THE_BEST = (BEST_QUERIES, BEST_HEAD, BEST_SHUFFLED, BEST_OWN_WORDS)
"""The controls with the weights, queries and taps of the tuned LFI that did best on source validation."""

ABLATIONS: dict[str, Method] = {
    "LFI": METHODS["LFI"],
    "4 queries": Method(_LFI, 4),
    "16 queries": Method(_LFI, 16),
    "last block tapped": Method(_LFI, 8, "last"),
    "every second block tapped": Method(_LFI, 8, "every second"),
    "no relation": Method(replace(_LFI, relation=0.0), 8),
    "no naming": Method(replace(_LFI, naming=0.0), 8),
    "no maps": METHODS["queries + names, no maps"],
    "patch words": METHODS["LFI + patch words"],
    "patch words, no maps of queries": Method(replace(_LFI, interaction=0.0, relation=0.0, patch_words=0.15), 8),
    "patch words, shuffled": Method(replace(_LFI, patch_words=0.15, shuffle=True), 8),
    "one assignment per layer": Method(replace(_LFI, persistent=False), 8),
    "feedback into the patches": Method(_LFI, 8, feedback=True),
}
"""LFI with one thing changed."""

ORDER = tuple(dict.fromkeys((*METHODS, WIDER, *CONTROLS_OF_THE_BEST, *ABLATIONS)))
"""Every method, as tables and plots list them."""
