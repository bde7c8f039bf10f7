"""What every teacher can do, and the images it has already looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

import PIL.Image
import torch
from torch import Tensor

from lfi.maps import InteractionMaps


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images that went through a teacher's image tower once, for any number of prompts.

    Attributes:
        latent: unit-norm image embeddings `[batch, dim]`.
        dense: unit-norm embeddings of every patch in the same space `[batch, height * width, dim]`.
        tokens: what a CoCa decoder attends to `[batch, token, width]`; None for CLIP.
        pool: the attentional pooler's weights, mean over heads, from each of `tokens` to CLS and the patches:
            `[batch, token, 1 + height * width]`; None without such a pooler (then `tokens` are the patches).
        fingerprint: of the teacher that encoded them.
        projected: for every layer of a CoCa decoder the keys and values of `tokens`, float32
            `[batch, head, token, head_dim]`; None where nobody has worked them out yet.
    """

    latent: Tensor
    dense: Tensor
    tokens: Tensor | None
    pool: Tensor | None
    fingerprint: str
    projected: tuple[tuple[Tensor, Tensor], ...] | None = None

    def __len__(self) -> int:
        return len(self.latent)

    @property
    def bytes(self) -> int:
        """Memory use."""
        held = [self.latent, self.dense, self.tokens, self.pool, *chain.from_iterable(self.projected or ())]
        return sum(tensor.nbytes for tensor in held if tensor is not None)

    def image(self, index: int) -> EncodedImages:
        """One of the images, as a batch of one."""
        pick = slice(index, index + 1) if index >= 0 else slice(index, index + 1 or None)
        tokens = None if self.tokens is None else self.tokens[pick]
        pool = None if self.pool is None else self.pool[pick]
        projected = None if self.projected is None else tuple((k[pick], v[pick]) for k, v in self.projected)
        return replace(
            self, latent=self.latent[pick], dense=self.dense[pick], tokens=tokens, pool=pool, projected=projected
        )

    @classmethod
    def cat(cls, parts: Sequence[EncodedImages]) -> EncodedImages:
        """Images that one teacher encoded at several times as one batch."""

        def join(tensors: Sequence[Tensor | None]) -> Tensor | None:
            given = [tensor for tensor in tensors if tensor is not None]
            return torch.cat(given) if given else None

        if len(parts) == 1:
            return parts[0]
        return cls(
            torch.cat([part.latent for part in parts]),
            torch.cat([part.dense for part in parts]),
            join([part.tokens for part in parts]),
            join([part.pool for part in parts]),
            parts[0].fingerprint,
            _projected_together([part.projected for part in parts]),
        )


def _projected_together(
    parts: Sequence[tuple[tuple[Tensor, Tensor], ...] | None],
) -> tuple[tuple[Tensor, Tensor], ...] | None:
    """Keys and values of several images; None unless all have theirs."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    layers = zip(*known, strict=True)
    return tuple((torch.cat([k for k, _ in layer]), torch.cat([v for _, v in layer])) for layer in layers)


class Teacher(Protocol):
    """A vision-language model read as interactions: where does each word look?

    Attributes:
        name: the model's name; `fingerprint`: 12 hex digits over its weights.
        image_size: side of the square input, pixels; `grid`: rows and columns of patches.
        embed_dim: size of the joint image-text space.
        layers: names of the layers of `interactions`; `default_layers`: those that localise best, by
        measurement. heads: attention heads per layer that can be looked at singly; 0 where there are none.
    """

    name: str
    fingerprint: str
    image_size: int
    embed_dim: int
    grid: tuple[int, int]
    layers: tuple[str, ...]
    default_layers: tuple[int, ...]
    heads: int

    def preprocess(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        """Images, squashed so that nothing is cut off -> normalised float32 `[batch, 3, size, size]`."""

    def encode(self, images: Tensor) -> EncodedImages:
        """Run the image tower once."""

    def interactions(
        self, images: Tensor | EncodedImages, captions: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the content words of each image's own caption look; shorter rows end in `PADDING`."""

    def interactions_of(
        self, images: Tensor | EncodedImages, prompts: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each prompt, a word or a phrase on its own, looks in every image; read at its last word."""

    def interactions_for(
        self, images: Tensor | EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each image's own words, each read on its own, look in it; shorter rows end in `PADDING`."""

    def dense(self, images: Tensor | EncodedImages, prompts: Sequence[str]) -> InteractionMaps:
        """Similarity of every patch's embedding to each prompt's, softmaxed over the patches."""

    def embed_images(self, images: Tensor | EncodedImages) -> Tensor:
        """Unit-norm `[batch, dim]`."""

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit-norm `[text, dim]`."""

    def classify(self, images: Tensor | EncodedImages, labels: Sequence[str]) -> Tensor:
        """Logits `[batch, label]`: logit scale times cosine."""

    def check_words(self, texts: Sequence[str]) -> None:
        """Raise `UnknownWordError` for words outside a small vocabulary."""
