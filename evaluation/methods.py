"""The methods that a table of knowledge transfer compares: ours, every other objective, and both controls."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lfi.training.config import ObjectiveConfig

LFI = ObjectiveConfig(interaction=0.1, relation=0.03, naming=0.5)


@dataclass(frozen=True)
class Method:
    """What a student is trained for, and with how many Interaction Queries.

    Attributes:
        taps: which blocks the queries read: `all`, `every second` (the last among them) or the `last`.
    """

    objective: ObjectiveConfig
    queries: int = 0
    taps: str = "all"
    feedback: bool = False

    def tapped(self, depth: int) -> tuple[int, ...]:
        """The blocks in a backbone of so many, counted from 0; empty for all, as `StudentConfig` has it."""
        return {"all": (), "every second": tuple(range(1 - depth % 2, depth, 2)), "last": (depth - 1,)}[self.taps]


METHODS: dict[str, Method] = {
    "no distillation": Method(ObjectiveConfig()),
    "logit KD": Method(ObjectiveConfig(logit_kd=1.0)),
    "feature KD": Method(ObjectiveConfig(feature_kd=1.0)),
    "logit + feature KD": Method(ObjectiveConfig(logit_kd=1.0, feature_kd=1.0)),
    "activation attention": Method(ObjectiveConfig(activation_attention=1.0)),
    "attention transfer": Method(ObjectiveConfig(attention_transfer=0.3)),
    "relational KD": Method(ObjectiveConfig(relational_kd=0.02)),
    "DIST": Method(ObjectiveConfig(dist=1.0)),
    "queries only": Method(ObjectiveConfig(), 8),
    "shuffled maps": Method(replace(LFI, shuffle=True), 8),
    "LFI": Method(LFI, 8),
    "LFI + logit KD": Method(replace(LFI, logit_kd=1.0), 8),
    "LFI + logit + feature KD": Method(replace(LFI, logit_kd=1.0, feature_kd=1.0), 8),
}
RESULT_ORIENTED = ("logit KD", "feature KD", "logit + feature KD", "DIST", "DIST + feature KD")
"""Those that copy what the teacher puts out; the best of them is what LFI is measured against."""
CONTROLS = ("queries only", "shuffled maps")
CONTROLS_OF_THE_BEST = ("the best LFI, queries only", "the best LFI, shuffled maps")
"""Both controls with the weights, queries and taps of the tuned LFI that did best on source validation."""

ABLATIONS: dict[str, Method] = {
    "LFI": METHODS["LFI"],
    "4 queries": Method(LFI, 4),
    "16 queries": Method(LFI, 16),
    "last block tapped": Method(LFI, 8, "last"),
    "every second block tapped": Method(LFI, 8, "every second"),
    "no relation": Method(replace(LFI, relation=0.0), 8),
    "no naming": Method(replace(LFI, naming=0.0), 8),
    "no maps": Method(replace(LFI, interaction=0.0, relation=0.0), 8),
    "one assignment per layer": Method(replace(LFI, persistent=False), 8),
    "feedback into the patches": Method(LFI, 8, feedback=True),
}
"""LFI with one thing changed."""

CONTENDERS: dict[str, Method] = {
    "logit + feature KD": METHODS["logit + feature KD"],
    "DIST + feature KD": Method(ObjectiveConfig(dist=1.0, feature_kd=1.0)),
    "LFI + logit + feature KD": METHODS["LFI + logit + feature KD"],
    "LFI + DIST + feature KD": Method(replace(LFI, dist=1.0, feature_kd=1.0), 8),
}
"""What `lfi benchmark tune` starts from: the strongest of both kinds, with every loss their kind may use."""
ORDER = tuple(dict.fromkeys((*METHODS, *CONTENDERS, *CONTROLS_OF_THE_BEST, *ABLATIONS)))
"""Every method, as tables and plots list them."""
