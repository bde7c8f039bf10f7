"""Models that write, as teachers: a word looks where the decoder attends once it has written it (`writers.py`).

The space in which students learn names is that of the language model's output. A text is the mean of the output
embeddings (the rows of the head that makes logits) of the tokens that spell its words; an image is the state that the
head reads where the prompt ends. Both are of unit norm, so their cosine is, but for their lengths and a bias, the logit
of writing that word next. Words of several tokens, and words that nobody begins an answer with, are judged roughly.

Patches have no embedding in that space: dense similarity is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import Tensor

from lfi.errors import UnsupportedModelError, WordsError
from lfi.maps import InteractionMaps
from lfi.teachers.base import BaseTeacher, pad, per_head, unit
from lfi.teachers.content import STOP_WORDS
from lfi.teachers.scripts import visible
from lfi.teachers.subwords import spelled
from lfi.teachers.teacher import EncodedImages
from lfi.teachers.writerfiles import card_of, load_writer, normalisation
from lfi.teachers.writers import FAMILIES, Writer


class GenerativeTeacher(BaseTeacher):
    """A BLIP or a LLaVA; it takes any word.

    By default its words are read in the layer in the middle of the decoder's second half, which nobody measured.

    Args:
        writer: the model.
        options: `mean`, `std` and `default_layers`, as for `BaseTeacher`.
    """

    def __init__(self, writer: Writer, *, name: str, **options: Any):
        self.writer, self.kind = writer, FAMILIES[writer.family]
        self.grid = (writer.side, writer.side)
        middle = (writer.layers // 2 + writer.layers - 1) // 2
        super().__init__(
            writer.model,
            writer.tokenizer,
            name=name,
            layers=[f"decoder layer {number}" for number in range(1, writer.layers + 1)],
            heads=writer.heads,
            image_size=writer.model.config.vision_config.image_size,
            embed_dim=int(writer.head.weight.shape[1]),
            context_length=writer.tokenizer.context_length,
            **{"default_layers": (middle,), **options},
        )
        rows, gains = (weights.detach().float() for weights in (writer.head.weight, writer.norm.weight))
        self._scale = float(rows.norm(dim=-1).mean() * gains.norm())

    @property
    def logit_scale(self) -> Tensor:
        """Mean length of an output embedding times that of a normalised state: the size of the model's own logits."""
        return torch.tensor(self._scale, device=self.device)

    @torch.no_grad()
    def encode(self, images: Tensor) -> EncodedImages:
        """Run the image tower once, and the decoder over the prompt; `dense` has no patches."""
        tokens = self.writer.look(images.to(self.device))
        latent = unit(self.writer.state(tokens))
        return EncodedImages(latent, latent.new_zeros(len(latent), 0, self.embed_dim), tokens, None, self.fingerprint)

    def describe(self, images: Sequence[PIL.Image.Image] | Tensor | EncodedImages) -> list[str]:
        """What the model writes about each image by itself, greedily."""
        encoded = self._encoded(images if isinstance(images, Tensor | EncodedImages) else self.preprocess(images))
        assert encoded.tokens is not None
        return self.writer.write(encoded.tokens)

    @torch.no_grad()
    def interactions(
        self, images: Tensor | EncodedImages, captions: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the content words of each image's own caption look, as if the model had written it.

        Returns:
            `[batch, layer, query, height, width]`; rows with fewer words end in `PADDING`. With `heads`, one query for
            each head. Words beyond the context length have no query.
        """
        encoded = self._encoded(images)
        if len(captions) != len(encoded):
            raise ValueError(f"{len(captions)} captions for {len(encoded)} images; one for each was expected")
        texts = [visible(caption) for caption in captions]
        words = [self._content_of(text) for text in texts]
        ends = [[end for _, end in row] for row in words]
        assert encoded.tokens is not None
        weights = self.writer.read(encoded.tokens, texts, ends, heads)
        return self._maps(weights, pad([[word for word, _ in row] for row in words]), heads)

    def interactions_of(
        self, images: Tensor | EncodedImages, prompts: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each prompt, written on its own, looks in every image: `[batch, layer, prompt, height, width]`.

        Raises:
            WordsError: for no prompt, or one without a word, or one too long.
        """
        self.check_prompts(prompts)
        encoded = self._encoded(images)
        return self.interactions_for(encoded, [prompts] * len(encoded), heads=heads)

    @torch.no_grad()
    def interactions_for(
        self, images: Tensor | EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each image's own words, each written on its own, look in it.

        Returns:
            `[batch, layer, word, height, width]`; rows with fewer words end in `PADDING`. With `heads`, one query for
            each head.

        Raises:
            WordsError: for no words at all, or one without a word, or one too long.
        """
        encoded = self._encoded(images)
        names = self._rows_of(encoded, words)
        self.check_prompts(list(dict.fromkeys(name for row in names for name in row if name)))
        asked = [(row, column) for row, own in enumerate(names) for column, name in enumerate(own) if name]
        rows = torch.tensor([row for row, _ in asked], device=self.device)
        columns = torch.tensor([column for _, column in asked], device=self.device)
        texts = [visible(names[row][column]) for row, column in asked]
        assert encoded.tokens is not None
        ends = [[spelled(text)[-1][2]] for text in texts]
        read = self.writer.read(encoded.tokens[rows], texts, ends, heads)[..., 0, :]
        weights = read.new_zeros(len(names), len(names[0]), *read.shape[1:])
        weights[rows, columns] = read
        return self._maps(weights.movedim(1, -2), names, heads)

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Any word will do that has a letter and fits.

        Raises:
            WordsError: there is no prompt, or one has no word, or is longer than the model reads.
        """
        if not prompts:
            raise WordsError("no word was given")
        for prompt in prompts:
            words = spelled(visible(prompt))
            if not words:
                raise WordsError(f"{prompt!r} has no word in it")
            _, spans = self.writer.pieces(visible(prompt))
            if self.writer.place(spans, words[-1][2]) >= self.context_length:
                raise WordsError(f"{prompt[:40]!r}... has {len(words)} words, more than {self.name} reads")

    def dense(self, images: Tensor | EncodedImages, prompts: Sequence[str]) -> InteractionMaps:
        """Patches are not in the space of words.

        Raises:
            UnsupportedModelError: always.
        """
        raise UnsupportedModelError(f"{self.name} is a {self.kind}, whose patches no word can be compared with")

    def _embed(self, texts: Sequence[str]) -> Tensor:
        weights, rows = self.writer.head.weight, []
        for text in texts:
            seen = visible(text)
            ids = self.writer.ids_of(seen, [(begin, end) for _, begin, end in spelled(seen)])
            if not ids:
                raise WordsError(f"{text!r} has no word in it")
            rows.append(weights[torch.tensor(ids, device=weights.device)].float().mean(0))
        return unit(torch.stack(rows))

    def _content_of(self, text: str) -> list[tuple[str, int]]:
        """Content words of a caption that the model has room for, and where they end, in characters."""
        words = [(word, end) for word, _, end in spelled(text) if word not in STOP_WORDS]
        if not words:
            return []
        _, spans = self.writer.pieces(text)
        return [(word, end) for word, end in words if self.writer.place(spans, end) < self.context_length]

    def _maps(self, weights: Tensor, names: Sequence[Sequence[str]], heads: bool) -> InteractionMaps:
        if heads:
            weights, names = per_head(weights, names)
        return InteractionMaps.from_scores(
            weights,
            grid=self.grid,
            queries=names,
            layers=self.layers,
            kind="cross-attention",
            model=self.label,
            prefix=1,
        )


def load_generative_teacher(folder: Path, family: str, device: str | torch.device = "cpu") -> GenerativeTeacher:
    """A BLIP or a LLaVA from a folder that transformers wrote.

    Raises:
        UnsupportedModelError, CheckpointError: as `load_writer`.
    """
    card = card_of(folder)
    writer = load_writer(folder, family, card["name"], device)
    mean, std = normalisation(folder)
    chosen = {"default_layers": card["default_layers"]} if "default_layers" in card else {}
    return GenerativeTeacher(writer, name=card["name"], mean=mean, std=std, **chosen)
