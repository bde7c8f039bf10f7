"""Which losses a student is trained with, and how heavily."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from lfi.errors import ConfigError
from lfi.plugins import load_reference

WORD_FIELDS = ("words", "names", "presence")
"""Answers of a teacher with an entry for each word of an image."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the losses, which add up; a loss of weight 0 is not computed.

    Attributes:
        task: plain supervision.
        interaction, relation, naming, patch_words: ours; the last needs a naming loss, whose head reads patches, too.
        logit_kd, feature_kd: Hinton et al. 2015; cosine between embeddings.
        activation_attention: Zagoruyko & Komodakis 2017. attention_transfer: Li et al. 2024.
        relational_kd: Park et al. 2019. dist: Huang et al. 2022. token_labelling: Jiang et al. 2021.
        temperature: of logit KD with one label per image.
        smoothing: of the labels of plain supervision.
        persistent: one assignment per image; else one per layer (an ablation).
        shuffle: hand every image another image's maps and words (a control).
        own_words: with `shuffle`, another image's maps alone: as many words, its own (a stricter control).
        extra: weights of your own objectives, by `FILE.py:NAME` or `package.module:NAME`; see
            `lfi.training.student.StudentTask.losses`.
    """

    task: float = 1.0
    interaction: float = 0.0
    relation: float = 0.0
    naming: float = 0.0
    patch_words: float = 0.0
    logit_kd: float = 0.0
    feature_kd: float = 0.0
    activation_attention: float = 0.0
    attention_transfer: float = 0.0
    relational_kd: float = 0.0
    dist: float = 0.0
    token_labelling: float = 0.0
    temperature: float = 2.0
    smoothing: float = 0.0
    persistent: bool = True
    shuffle: bool = False
    own_words: bool = False
    extra: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.patch_words > 0 and not self.naming > 0:
            raise ConfigError("objective.patch_words needs the head that names; set objective.naming above 0, too")
        if self.own_words and not self.shuffle:
            raise ConfigError("objective.own_words is about shuffled maps; set objective.shuffle = true, too")
        for name, value in (asdict(self) | self.extra).items():
            if name in self.extra and type(value) not in (int, float):
                raise ConfigError(f"objective.extra gives {name} the weight {value!r}; a number was expected")
            if type(value) in (int, float) and not 0 <= value < math.inf:
                raise ConfigError(f"objective.{name} is {value}; 0 or more was expected")
        if not self.smoothing < 1:
            raise ConfigError(f"objective.smoothing is {self.smoothing}; less than 1 was expected")
        if not self.temperature > 0:
            raise ConfigError(f"objective.temperature is {self.temperature}; more than 0 was expected")
        for reference in self.extra:
            load_reference(reference)

    @property
    def places_words(self) -> bool:
        """Whether queries are assigned to words by where they look."""
        return self.interaction > 0 or self.relation > 0

    @property
    def wants_maps(self) -> bool:
        return self.places_words or self.patch_words > 0 or self.token_labelling > 0

    @property
    def fields(self) -> tuple[str, ...]:
        """What these losses need of the teacher, by the names that `Questions.ask` gives them."""
        wanted = {
            "maps": self.wants_maps,
            "logits": self.logit_kd > 0 or self.dist > 0,
            "latents": self.feature_kd > 0 or self.relational_kd > 0,
            "activations": self.activation_attention > 0,
            "attentions": self.attention_transfer > 0,
        }
        own = {name for reference in self.extra for name in getattr(load_reference(reference), "fields", ())}
        if unknown := sorted(own - set(wanted)):
            raise ConfigError(
                f"an objective of objective.extra asks for {unknown[0]!r}; it can ask for {', '.join(wanted)}"
            )
        return tuple(name for name, needed in wanted.items() if needed or name in own)

    @property
    def targets(self) -> tuple[str, ...]:
        """What a batch holds for these losses: `fields`, and the words where maps or names are of some, with how likely
        they are if the teacher chose them."""
        return (*self.fields, *(WORD_FIELDS if "maps" in self.fields or self.naming > 0 else ()))
