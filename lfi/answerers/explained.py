"""A student as one of its post-hoc explanations shows it: the baseline, and every explanation of any student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lfi.answerers.answerer import Answer
from lfi.errors import UnsupportedModelError
from lfi.students import Student
from lfi.students.explanations import explain, explanations_of, gradient_maps, layers_of
from lfi.students.relevance import Trace, relevance, trace, traceable
from lfi.teachers.base import BaseTeacher


@dataclass(frozen=True, eq=False)
class StudentImage:
    """A picture as a student reads it, `[1, 3, height, width]`."""

    pixels: Tensor

    @property
    def bytes(self) -> int:
        """Approximate memory use."""
        return self.pixels.nbytes


@dataclass(frozen=True, eq=False)
class TracedImage(StudentImage):
    """A picture with its recorded forward pass.

    Attributes:
        trace: of the batch that it was encoded with.
        row: its row in that batch.
    """

    trace: Trace
    row: int

    @property
    def bytes(self) -> int:
        """Approximate memory use: its share of the batch's trace."""
        return super().bytes + self.trace.bytes // len(self.trace)


class ExplainedAnswerer:
    """A student, explained.

    Args:
        name: what callers request.
        explanation: one that the student can give (`explanations_of`).
        texts: embeds words; the student projects into its text space.
        label: `name@fingerprint` of its maps.

    Raises:
        UnsupportedModelError: the student cannot be explained so.
    """

    judges = False

    def __init__(self, name: str, student: Student, explanation: str, texts: BaseTeacher, label: str = "student"):
        possible = explanations_of(student)
        if explanation not in possible:
            raise UnsupportedModelError(
                f"this student cannot be explained by {explanation!r}; it can be by {', '.join(possible)}"
            )
        self.name, self.student, self.explanation, self.texts = name, student, explanation, texts
        self.label = label
        self.layers, self.image_size = layers_of(student, explanation), student.image_size
        self._traces = explanation == "gradient" and traceable(student)

    def check(self, words: Sequence[str], heads: bool = False) -> None:
        """As `Answerer.check`."""
        self.texts.check_prompts(words)

    def preprocess(self, pictures: Sequence[Image.Image]) -> Tensor:
        """As `Answerer.preprocess`."""
        return self.student.preprocess(pictures)

    def encode(self, pixels: Tensor) -> Sequence[StudentImage]:
        """The pixels, since most explanations run the student again for the words, and the recorded forward pass of
        students that `relevance` can differentiate.
        """
        pixels = pixels.to(self.student.head.weight.device)
        alone = pixels.split(1)
        if not self._traces:
            return [StudentImage(each) for each in alone]
        traced = trace(self.student, pixels)
        return [TracedImage(each, traced, row) for row, each in enumerate(alone)]

    @torch.no_grad()
    def answer(
        self, images: Sequence[StudentImage], words: Sequence[Sequence[str]], heads: bool = False
    ) -> list[Answer]:
        """Recorded passes share one backward pass; otherwise each picture is run on its own."""
        embeddings = self.texts.embed_texts([word for own in words for word in own]).split([len(own) for own in words])
        traced = [each for each in images if isinstance(each, TracedImage)]
        if self._traces and len(traced) == len(images):
            return self._back(traced, words, embeddings, heads)
        return [
            Answer(
                explain(self.student, self.explanation, image.pixels, own, embedded, heads=heads, model=self.label),
                evidence=self._evidence(image, embedded),
            )
            for image, own, embedded in zip(images, words, embeddings, strict=True)
        ]

    @torch.no_grad()
    def _evidence(self, image: StudentImage, words: Tensor) -> Tensor | None:
        """Cosine of the whole image and each word `[word, 1]`, of students that project it into the text space."""
        if not self.judges or self.student.embed is None:
            return None
        if isinstance(image, TracedImage):
            embedding = F.normalize(image.trace.embedding[image.row].float(), dim=-1)
        else:
            (tokens, queries), _, _ = self.student.run(image.pixels)
            embedding = self.student.project(self.student.features(tokens, queries))[0].float()
        return (words @ embedding)[:, None].cpu()

    @torch.inference_mode()
    def _back(
        self,
        images: Sequence[TracedImage],
        words: Sequence[Sequence[str]],
        embeddings: Sequence[Tensor],
        heads: bool,
    ) -> list[Answer]:
        padded = nn.utils.rnn.pad_sequence(list(embeddings), batch_first=True)
        scores = relevance(self.student, Trace.of([(each.trace, each.row) for each in images]), padded)
        return [
            Answer(
                gradient_maps(scores[row : row + 1, :, : len(own)], self.student, own, heads=heads, model=self.label),
                evidence=self._evidence(images[row], embeddings[row]),
            )
            for row, own in enumerate(words)
        ]


def explained_answerers(
    model: str, student: Student, texts: BaseTeacher, label: str = "student"
) -> list[ExplainedAnswerer]:
    """Every explanation that a student can give, requested as `baseline:rollout`."""
    return [
        ExplainedAnswerer(f"{model}:{explanation}", student, explanation, texts, label)
        for explanation in explanations_of(student)
    ]
