"""An LFI student as an answerer: a word is shown by the Interaction Queries whose names are close to it.

Of a student that learnt interactions by rows alone (where does a word look?) the one query with the closest name is
shown. One that learnt their columns as well (which words does a patch speak to?) is read in both directions: all
queries look, each as much as it speaks to the word, and what they look at counts as much as it speaks to the word, too:
`M(p) ~ sum_m P(w | m) A_m(p) * P(w | p)`, with `P(. | x) = softmax_v(cos(n_x, e_v) / tau)` over the phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from lfi.answerers.answerer import Address, Answer
from lfi.answerers.explained import StudentImage
from lfi.errors import CheckpointError
from lfi.maps import InteractionMaps
from lfi.objectives.patch_words import TEMPERATURE
from lfi.students import Student
from lfi.teachers.base import BaseTeacher


@dataclass(frozen=True, eq=False)
class QueriedImage(StudentImage):
    """A picture that Interaction Queries have read.

    Attributes:
        attended: what they attend to per layer and head, `[1, layer, head, query, patch]`.
        names: their names in the teacher's text space, unit norm, `[query, text_dim]`.
        patches: the patches' names there, unit norm, `[patch, text_dim]`; None of a student that names none.
        embedding: the whole image there, unit norm, `[text_dim]`; None of a student that does not project it.
    """

    attended: Tensor
    names: Tensor
    patches: Tensor | None = None
    embedding: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Approximate memory use."""
        named = 0 if self.patches is None else self.patches.nbytes
        return super().bytes + self.attended.nbytes + self.names.nbytes + named


class QueriesAnswerer:
    """A student with queries and names.

    Args:
        name: what callers request.
        texts: embeds words; its text space is where the queries are named.
        phrases: names that queries can be given, and the words among which queries and patches speak to one; without
            them, queries stay unnamed.
        label: `name@fingerprint` of its maps.

    Raises:
        CheckpointError: the student has no named queries.
    """

    judges = False

    def __init__(
        self, name: str, student: Student, texts: BaseTeacher, phrases: Sequence[str] = (), label: str = "student"
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
        student, prefix = self.student, self.student.backbone.num_prefix_tokens
        (tokens, queries), layers, _ = student.run(pixels)
        assert queries is not None
        attended = torch.stack(layers, 1).transpose(2, 3)
        whole = patches = None
        if self.judges and student.embed is not None:
            whole = student.project(student.features(tokens, queries)).float()
        if student.config.patch_words:
            patches = student.named(tokens[:, prefix:])
        return [
            QueriedImage(
                pixels[i : i + 1],
                attended[i : i + 1],
                names,
                patches=None if patches is None else patches[i],
                embedding=None if whole is None else whole[i],
            )
            for i, names in enumerate(student.named(queries))
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
        every = range(image.attended.shape[3])
        evidence = [nearness]
        if image.patches is None:
            looks = image.attended[:, :, :, query]
        else:
            spoken = self._log_share(image.patches, embeddings)
            looks = self._log_share(image.names, embeddings).softmax(1) @ image.attended * spoken.exp()
            evidence.append(spoken.logsumexp(1))
        if image.embedding is not None:
            evidence.append(embeddings @ image.embedding)
        return Answer(
            maps=self._maps(looks, words, heads),
            queries=self._maps(image.attended, [f"query {number + 1}" for number in every], heads=False),
            addressed=addressed,
            named=self._named(image),
            evidence=torch.stack(evidence, -1).cpu() if self.judges else None,
        )

    def _log_share(self, names: Tensor, embeddings: Tensor) -> Tensor:
        """Log of how much queries or patches speak to each word, of all phrases, `[word, name]`."""
        scores = embeddings @ names.T / TEMPERATURE
        return scores - (names @ self._phrase_embeddings.T / TEMPERATURE).logsumexp(1) if self.phrases else scores

    def _named(self, image: QueriedImage) -> tuple[tuple[str, float], ...]:
        if not self.phrases:
            return ()
        nearness, phrase = (image.names @ self._phrase_embeddings.T).max(1)
        return tuple((self.phrases[int(index)], float(near)) for index, near in zip(phrase, nearness, strict=True))

    def _maps(self, weights: Tensor, names: Sequence[str], heads: bool) -> InteractionMaps:
        """Maps from weights `[1, layer, head, name, patch]`."""
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
