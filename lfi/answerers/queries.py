"""An LFI student as an answerer: for a word it shows the Interaction Query with the closest name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lfi.answerers.answerer import Address, Answer
from lfi.answerers.explained import StudentImage
from lfi.errors import CheckpointError
from lfi.maps import InteractionMaps
from lfi.students import Student
from lfi.teachers.openclip import OpenClipTeacher


@dataclass(frozen=True, eq=False)
class QueriedImage(StudentImage):
    """A picture that Interaction Queries have read.

    Attributes:
        attended: what they attend to per layer and head, `[1, layer, head, query, patch]`.
        names: their names in the teacher's text space, unit norm, `[query, text_dim]`.
        embedding: the whole image there, unit norm, `[text_dim]`; None of a student that does not project it.
    """

    attended: Tensor
    names: Tensor
    embedding: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Approximate memory use."""
        return super().bytes + self.attended.nbytes + self.names.nbytes


class QueriesAnswerer:
    """A student with queries and names.

    Args:
        name: what callers request.
        texts: embeds words; its text space is where the queries are named.
        phrases: names that queries can be given; without them, queries stay unnamed.
        label: `name@fingerprint` of its maps.

    Raises:
        CheckpointError: the student has no named queries.
    """

    judges = False

    def __init__(
        self, name: str, student: Student, texts: OpenClipTeacher, phrases: Sequence[str] = (), label: str = "student"
    ):
        if student.queries is None or student.name is None:
            raise CheckpointError(f"{label}: a student without named Interaction Queries cannot be asked by word")
        self.name, self.student, self.texts, self.label = name, student, texts, label
        self.layers, self.image_size = student.layers, student.image_size
        self.phrases = tuple(phrases)
        self._phrase_embeddings = texts.embed_texts(self.phrases)

    def check(self, words: Sequence[str], heads: bool = False) -> None:
        """As `Answerer.check`."""
        self.texts.check_prompts(words)

    def preprocess(self, pictures: Sequence[Image.Image]) -> Tensor:
        """As `Answerer.preprocess`."""
        return self.student.preprocess(pictures)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> list[QueriedImage]:
        """What the queries attend to, and their names: a word costs no further pass."""
        pixels = pixels.to(self.student.head.weight.device)
        (tokens, queries), layers, _ = self.student.run(pixels)
        assert self.student.name is not None
        assert queries is not None
        names = F.normalize(self.student.name(queries).float(), dim=-1)
        attended = torch.stack(layers, 1).transpose(2, 3)
        whole = None
        if self.judges and self.student.embed is not None:
            whole = self.student.project(self.student.features(tokens, queries))
        return [
            QueriedImage(pixels[i : i + 1], attended[i : i + 1], names[i], None if whole is None else whole[i].float())
            for i in range(len(pixels))
        ]

    @torch.no_grad()
    def answer(
        self, images: Sequence[QueriedImage], words: Sequence[Sequence[str]], heads: bool = False
    ) -> list[Answer]:
        """Maps of the queries that stand for the words, and the queries themselves."""
        embeddings = self.texts.embed_texts([word for own in words for word in own]).split([len(own) for own in words])
        return [self._answer(*each, heads) for each in zip(images, words, embeddings, strict=True)]

    def _answer(self, image: QueriedImage, words: Sequence[str], embeddings: Tensor, heads: bool) -> Answer:
        nearness, query = (embeddings @ image.names.T).max(1)
        addressed = tuple(
            Address(word, int(index), float(near)) for word, index, near in zip(words, query, nearness, strict=True)
        )
        count = image.attended.shape[3]
        return Answer(
            maps=self._maps(image, [each.query for each in addressed], words, heads),
            queries=self._maps(image, range(count), [f"query {number + 1}" for number in range(count)], heads=False),
            addressed=addressed,
            named=self._named(image),
            evidence=torch.stack([nearness, *self._resembling(image, embeddings)], -1).cpu() if self.judges else None,
        )

    def _resembling(self, image: QueriedImage, embeddings: Tensor) -> list[Tensor]:
        """Cosine of the whole image and each word, of students that project it."""
        return [] if image.embedding is None else [embeddings @ image.embedding]

    def _named(self, image: QueriedImage) -> tuple[tuple[str, float], ...]:
        if not self.phrases:
            return ()
        nearness, phrase = (image.names @ self._phrase_embeddings.T).max(1)
        return tuple((self.phrases[int(index)], float(near)) for index, near in zip(phrase, nearness, strict=True))

    def _maps(self, image: QueriedImage, rows: Sequence[int], names: Sequence[str], heads: bool) -> InteractionMaps:
        weights = image.attended[:, :, :, list(rows)]
        if heads:
            names = [f"{name} · head {head + 1}" for name in names for head in range(weights.shape[2])]
            weights = weights.transpose(2, 3).flatten(2, 3)
        else:
            weights = weights.mean(2)
        return InteractionMaps.from_scores(
            weights,
            grid=self.student.grid,
            queries=[list(names)],
            layers=self.layers,
            kind="interaction-query",
            model=self.label,
        )
