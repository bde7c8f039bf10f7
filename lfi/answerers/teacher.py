"""A teacher as an answerer: its own maps and its dense similarity."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lfi.answerers.answerer import Answer
from lfi.errors import ConfigError
from lfi.teachers import EncodedImages
from lfi.teachers.base import BaseTeacher

DENSE = "dense-similarity"
"""The other way to ask a teacher: what each patch resembles."""


class TeacherAnswerer:
    """A vision-language model: where each word, read on its own, looks.

    Args:
        teacher: a CoCa or a CLIP.
        name: what callers request.
    """

    judges = False

    def __init__(self, teacher: BaseTeacher, name: str = "teacher"):
        self.teacher, self.name = teacher, name
        self.layers = teacher.layers
        self.image_size = (teacher.image_size, teacher.image_size)

    def check(self, words: Sequence[str], heads: bool = False) -> None:
        """As `Answerer.check`."""
        if heads and not self.teacher.heads:
            raise ConfigError(f"{self.teacher.name} has no heads: its maps are dense similarity, not attention")
        self.teacher.check_prompts(words)

    def preprocess(self, pictures: Sequence[Image.Image]) -> Tensor:
        """As `Answerer.preprocess`."""
        return self.teacher.preprocess(pictures)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> list[EncodedImages]:
        """The image tower's answers, with the keys and values that every question reads."""
        encoded = self.teacher.project(self.teacher.encode(pixels))
        return [encoded.image(index) for index in range(len(encoded))]

    @torch.inference_mode()
    def answer(
        self, images: Sequence[EncodedImages], words: Sequence[Sequence[str]], heads: bool = False
    ) -> list[Answer]:
        """All words of all pictures in one forward pass."""
        together = EncodedImages.cat(images)
        evidence = None
        if self.judges:
            maps, evidence = self.teacher.interactions_and_evidence(together, words, heads=heads)
            evidence = evidence.cpu()
        else:
            maps = self.teacher.interactions_for(together, words, heads=heads)
        answers = []
        for row, own in enumerate(words):
            count, alone = len(own) * (self.teacher.heads if heads else 1), maps.image(row)
            # the rest is padding
            alone = alone if len(alone.queries[0]) == count else alone.select(queries=range(count))
            answers.append(Answer(alone, evidence=None if evidence is None else evidence[row, : len(own)]))
        return answers


def dense_answerers(teacher: BaseTeacher) -> list[DenseAnswerer]:
    """Its dense similarity, unless that is what its own maps are (a CLIP's) or it has none (a model that writes)."""
    return [] if teacher.dense_variant in ("", *teacher.layers) else [DenseAnswerer(teacher)]


class DenseAnswerer(TeacherAnswerer):
    """The same teacher asked for its dense similarity, which has no heads."""

    def __init__(self, teacher: BaseTeacher, name: str = f"teacher:{DENSE}"):
        super().__init__(teacher, name)
        self.layers = (teacher.dense_variant,)

    def check(self, words: Sequence[str], heads: bool = False) -> None:
        """As `Answerer.check`."""
        self.teacher.check_prompts(words)

    @torch.no_grad()
    def answer(
        self, images: Sequence[EncodedImages], words: Sequence[Sequence[str]], heads: bool = False
    ) -> list[Answer]:
        """Similarity of every patch to each word."""
        return [Answer(self.teacher.dense(image, own)) for image, own in zip(images, words, strict=True)]
