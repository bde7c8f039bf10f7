"""Is the word in the image at all? Evidence of an answerer, calibrated on validation images to a probability.

"presence": {"lfi": {"weights": [9.1, 14.2], "bias": -8.8, "threshold": 0.5,
                     "false_alarms": 0.08, "misses": 0.11, "auc": 0.95, "words": 4000}, ...}       in card.json
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from lfi.errors import CheckpointError


@dataclass(frozen=True)
class Presence:
    """How one model's evidence becomes a probability, and how good that is on statements about images.

    Attributes:
        weights, bias: of the logistic regression over an answer's features.
        threshold: below it a word is said to be absent.
        false_alarms, misses: share of absent words that are taken for present, and of present ones taken for absent.
        auc: area under the ROC curve. words: statements it was measured on, half of them true.
    """

    weights: tuple[float, ...]
    bias: float
    threshold: float
    false_alarms: float
    misses: float
    auc: float
    words: int

    def probability(self, evidence: Tensor) -> Tensor:
        """Of each word's presence, `[word]`, from evidence `[word, feature]`."""
        return (evidence.float() @ torch.tensor(self.weights) + self.bias).sigmoid()

    def fits(self, evidence: Tensor | None) -> bool:
        """Whether an answer has the features that this was calibrated on."""
        return evidence is not None and evidence.shape[-1] == len(self.weights)

    def to_dict(self) -> dict[str, Any]:
        """As a card holds it."""
        return {**asdict(self), "weights": list(self.weights)}


def absence(word: str, probability: float) -> str:
    """What is said where a word is absent: `finds no dog here (p = .03)`, after the name of whoever looked."""
    return f"finds no {word} here ({short(probability)})"


def short(probability: float) -> str:
    """`p = .03`; `p < .01` and `p > .99` where two digits would claim certainty."""
    if probability < 0.005:
        return "p < .01"
    return "p > .99" if probability > 0.995 else f"p = {probability:.2f}".replace("0.", ".", 1)


def read_presence(card: Mapping[str, Any]) -> dict[str, Presence]:
    """What a trio's card says of its models; nothing where it was not calibrated.

    Raises:
        CheckpointError: an entry is not complete, or a threshold is not a probability.
    """
    found = {}
    for model, entry in card.get("presence", {}).items():
        try:
            found[model] = Presence(**{**entry, "weights": tuple(map(float, entry["weights"]))})
        except (TypeError, KeyError, ValueError) as error:
            raise CheckpointError(f"{card.get('name')}: the presence of {model} cannot be read: {error}") from error
        if not 0 < found[model].threshold < 1:
            raise CheckpointError(
                f"{card.get('name')}: threshold of {model} is {found[model].threshold}; between 0 and 1 was expected"
            )
    return found
