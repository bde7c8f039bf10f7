"""Which teacher to train, with which losses, and what it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lfi.errors import ConfigError, DataError

LOSSES = ("caption", "contrast", "answer", "dense", "interaction", "vocabulary")
SIZES = ("image_size", "patch_size", "width", "layers", "text_layers", "decoder_layers", "head_width")
BYTE_PAIRS = 49408
"""Ids of open_clip's byte-pair tokeniser."""


@dataclass(frozen=True)
class TeacherConfig:
    """A CoCa or a CLIP, its sizes, its tokeniser, its losses, and what it is shown.

    Attributes:
        arch: `coca` or `clip`. A CLIP has no decoder: of the losses it has `contrast` and `vocabulary` only.
        name: on the card that is saved with it.
        tokenizer: `words` (those of the captions, `least` times at least) or `bpe` (open_clip's byte pairs).
        statements: presence statements per image; 0 for a plain CoCa.
        start_from: folder of a teacher of the same sizes and kind of tokeniser to begin with.
        prompt: in which class names are read, in training and in validation.
        crop: the smallest share of an image's area that is shown.
        flip: how often an image is mirrored; never where its caption says left or right.
        caption, contrast, answer, dense, interaction, vocabulary: weights of the losses; see `lfi.training.teacher`.
            `vocabulary` counts only where the data has classes; generated scenes have none here.
    """

    arch: str = "coca"
    name: str = ""
    image_size: int = 64
    patch_size: int = 8
    width: int = 128
    layers: int = 6
    text_layers: int = 2
    decoder_layers: int = 2
    head_width: int = 32
    context: int = 40
    tokenizer: str = "words"
    least: int = 1
    statements: int = 8
    start_from: str = ""
    prompt: str = "{}"
    crop: float = 0.5
    flip: float = 0.5
    caption: float = 1.0
    contrast: float = 0.25
    answer: float = 1.0
    dense: float = 1.0
    interaction: float = 1.0
    vocabulary: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("arch", ("coca", "clip")), ("tokenizer", ("words", "bpe"))):
            if (value := getattr(self, name)) not in known:
                raise ConfigError(f"pretraining.{name} is {value!r}; {known[0]!r} or {known[1]!r} was expected")
        for name in (*SIZES, "least"):
            if getattr(self, name) < 1:
                raise ConfigError(f"pretraining.{name} is {getattr(self, name)}; at least 1 was expected")
        for name in (*LOSSES, "statements"):
            if getattr(self, name) < 0:
                raise ConfigError(f"pretraining.{name} is {getattr(self, name)}; 0 or more was expected")
        for name, whole in (("patch_size", "image_size"), ("head_width", "width")):
            if getattr(self, whole) % getattr(self, name):
                raise ConfigError(
                    f"pretraining.{whole} is {getattr(self, whole)}; a multiple of pretraining.{name} "
                    f"({getattr(self, name)}) was expected"
                )
        if self.context < 4:
            raise ConfigError(f"pretraining.context is {self.context}; at least 4 was expected")
        if not 0 < self.crop <= 1:
            raise ConfigError(f"pretraining.crop is {self.crop}; more than 0 and at most 1 was expected")
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"pretraining.flip is {self.flip}; 0 to 1 was expected")
        if "{}" not in self.prompt:
            raise ConfigError(
                f"pretraining.prompt is {self.prompt!r}; a text with {{}} where the class's name goes was expected"
            )
        if not self.weights_used:
            raise ConfigError(f"every loss of pretraining.arch = {self.arch!r} has weight 0")

    @property
    def asks(self) -> bool:
        """Whether statements are read: a decoder, statements, and a loss for them."""
        return self.arch == "coca" and self.statements > 0 and any((self.answer, self.dense, self.interaction))

    @property
    def weights_used(self) -> dict[str, float]:
        """Weights of the losses that this model has and that are not 0."""
        used = LOSSES if self.arch == "coca" else ("contrast", "vocabulary")
        return {name: getattr(self, name) for name in used if getattr(self, name)}

    def for_data(self, classes: bool) -> TeacherConfig:
        """The same with weight 0 for what the data (with or without classes) and the architecture have nothing for.

        Raises:
            DataError: nothing is left.
        """
        idle = [] if self.asks else ["answer", "dense", "interaction"]
        if not classes:
            idle.append("vocabulary")
        if not set(self.weights_used) - set(idle):
            raise DataError("the images have no classes, and pretraining.vocabulary is the only loss with a weight")
        weights: dict[str, Any] = dict.fromkeys(idle, 0.0)
        return replace(self, **weights)

    def coca(self, words: Sequence[str]) -> dict[str, Any]:
        """`model_cfg` of an open_clip CoCa with a tokeniser of these words; of byte pairs where there are none."""
        heads = self.width // self.head_width
        text = {
            "context_length": self.context,
            "vocab_size": len(words) + 3 if words else BYTE_PAIRS,
            "width": self.width,
            "heads": heads,
        }
        return {
            "embed_dim": self.width,
            "vision_cfg": {
                "image_size": self.image_size,
                "patch_size": self.patch_size,
                "width": self.width,
                "layers": self.layers,
                "head_width": self.head_width,
                "output_tokens": True,
            },
            "text_cfg": {**text, "layers": self.text_layers, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {**text, "layers": self.decoder_layers},
            "custom_text": True,  # open_clip's own loader looks for a CoCa only then
        }
