"""What all teachers share: preprocessing, embeddings that are remembered, and how they are asked."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from cachetools import LRUCache
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from lfi.errors import ConfigError
from lfi.maps import PADDING, InteractionMaps
from lfi.teachers.checkpoints import fingerprint_of
from lfi.teachers.content import Tokenizer
from lfi.teachers.teacher import EncodedImages
from lfi.teachers.words import WordTokenizer
from lfi.upright import upright_rgb

_TEXTS_REMEMBERED = 4096
_TEXTS_AT_ONCE = 256


class BaseTeacher(ABC):
    """A model that is read as interactions. It fulfils `Teacher`; what is particular to a model, subclasses say.

    Args:
        model: put into eval mode. The fingerprint is taken now: make a new teacher after training the model further.
        tokenizer: says which words a text has, and where (`lfi.teachers.content.align`).
        name: for messages and for `InteractionMaps.model`.
        layers: names of the layers of `interactions`.
        heads: of a layer that can be looked at singly; 0 where there are none.
        image_size: side of the square input, pixels.
        embed_dim: of the joint space of images and texts.
        context_length: tokens of a text that the model reads.
        mean, std: of the RGB channels (0 to 1), as in training.
        default_layers: indices of the layers that localise best; all when None.

    Raises:
        ConfigError: for a default layer that does not exist.
    """

    kind = ""
    """What people call such a model."""
    grid: tuple[int, int]
    dense_variant = ""
    """Names how `dense` gets its patch embeddings; the one layer name of its maps. Empty where patches have none."""

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        name: str,
        layers: Sequence[str],
        heads: int,
        image_size: int,
        embed_dim: int,
        context_length: int,
        mean: Sequence[float] = OPENAI_DATASET_MEAN,
        std: Sequence[float] = OPENAI_DATASET_STD,
        default_layers: Sequence[int] | None = None,
    ):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.fingerprint = fingerprint_of(model)
        self.image_size, self.embed_dim, self.context_length = image_size, embed_dim, context_length
        self.layers = tuple(layers)
        self.heads = heads
        self.default_layers = tuple(range(len(layers)) if default_layers is None else default_layers)
        if not self.default_layers or not all(0 <= layer < len(layers) for layer in self.default_layers):
            raise ConfigError(
                f"{name} has the default layers {list(self.default_layers)}; 0 to {len(layers) - 1} exist"
            )
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.std = torch.tensor(std).view(3, 1, 1)
        self._texts: LRUCache[str, Tensor] = LRUCache(_TEXTS_REMEMBERED)
        self._texts_lock = threading.Lock()

    @property
    def label(self) -> str:
        """`name@fingerprint`, as `InteractionMaps.model` has it."""
        return f"{self.name}@{self.fingerprint}"

    @property
    def device(self) -> torch.device:
        """Where the model computes; its answers stay there."""
        return next(self.model.parameters()).device

    @property
    @abstractmethod
    def logit_scale(self) -> Tensor:
        """What the cosine of image and text is multiplied by to be a logit."""

    def preprocess(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        """Images, squashed so that nothing is cut off -> normalised float32 `[batch, 3, size, size]`."""
        side = (self.image_size, self.image_size)
        small = [upright_rgb(image).resize(side, PIL.Image.Resampling.BICUBIC) for image in images]
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in small])).permute(0, 3, 1, 2)
        return (pixels.float() / 255 - self.mean) / self.std

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Float pixels (0 to 1) `[batch, 3, height, width]` of any size -> normalised `[batch, 3, size, size]`."""
        side = (self.image_size, self.image_size)
        if tuple(pixels.shape[-2:]) != side:
            pixels = F.interpolate(pixels, side, mode="bicubic", antialias=True).clamp(0, 1)
        return (pixels - self.mean.to(pixels)) / self.std.to(pixels)

    @abstractmethod
    def encode(self, images: Tensor) -> EncodedImages:
        """Run the image tower once, for any number of prompts."""

    def project(self, encoded: EncodedImages) -> EncodedImages:
        """The images with all that answers about them read again and again; here there is nothing more to keep."""
        return encoded

    @abstractmethod
    def interactions(
        self, images: Tensor | EncodedImages, captions: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the content words of each image's own caption look."""

    @abstractmethod
    def interactions_of(
        self, images: Tensor | EncodedImages, prompts: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each prompt, a word or a phrase on its own, looks in every image."""

    @abstractmethod
    def interactions_for(
        self, images: Tensor | EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each image's own words, each read on its own, look in it."""

    def evidence(self, images: EncodedImages, words: Sequence[Sequence[str]]) -> Tensor:
        """How much of each image's own words is in it, float32 `[batch, word, feature]`; not calibrated.

        The cosine of image and text; 0 where a row is padded.
        """
        names = self._rows_of(images, words)
        texts = self.embed_texts([name for row in names for name in row if name]).split([len(row) for row in words])
        cosines = [own @ latent for own, latent in zip(texts, images.latent, strict=True)]
        return torch.nn.utils.rnn.pad_sequence(cosines, batch_first=True)[..., None]

    def interactions_and_evidence(
        self, images: EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> tuple[InteractionMaps, Tensor]:
        """`interactions_for` and `evidence` of the same words."""
        return self.interactions_for(images, words, heads=heads), self.evidence(images, words)

    def embed_images(self, images: Tensor | EncodedImages) -> Tensor:
        """Unit-norm image embeddings `[batch, dim]`."""
        return self._encoded(images).latent

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit-norm text embeddings `[text, dim]`; recent ones are remembered."""
        with self._texts_lock:
            known = {text: self._texts[text] for text in texts if text in self._texts}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            chunk = missing[start : start + _TEXTS_AT_ONCE]
            known.update(zip(chunk, self._embed(chunk), strict=True))
        with self._texts_lock:
            self._texts.update(known)
        if not texts:
            return torch.zeros(0, self.embed_dim, device=self.device)
        return torch.stack([known[text] for text in texts])

    @abstractmethod
    def _embed(self, texts: Sequence[str]) -> Tensor:
        """Unit-norm embeddings `[text, dim]`."""

    @torch.no_grad()
    def classify(self, images: Tensor | EncodedImages, labels: Sequence[str]) -> Tensor:
        """Logits `[batch, label]`: logit scale times the cosine of image and label, used as given."""
        latent, texts = self.embed_images(images), self.embed_texts(labels)
        with full_precision(self.device):
            return self.logit_scale * latent @ texts.T

    @abstractmethod
    def dense(self, images: Tensor | EncodedImages, prompts: Sequence[str]) -> InteractionMaps:
        """Similarity of each patch's embedding to each prompt's."""

    def check_words(self, texts: Sequence[str]) -> None:
        """Raise `UnknownWordError` for words outside a small vocabulary; other tokenisers read any."""
        if isinstance(self.tokenizer, WordTokenizer):
            self.tokenizer.check(texts)

    @abstractmethod
    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise what `interactions_of` would for these prompts, before anything is computed."""

    def _encoded(self, images: Tensor | EncodedImages) -> EncodedImages:
        if isinstance(images, Tensor):
            return self.encode(images)
        if images.fingerprint != self.fingerprint:
            raise ValueError(f"images were encoded by {images.fingerprint}, not by {self.label}")
        return images

    def _rows_of(self, encoded: EncodedImages, words: Sequence[Sequence[str]]) -> list[list[str]]:
        """Rows of names, one per image, padded."""
        if len(words) != len(encoded):
            raise ValueError(f"{len(words)} rows of words for {len(encoded)} images; one for each was expected")
        return pad(words)


def pad(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of names, the shorter ones filled up with `PADDING`."""
    width = max(map(len, rows), default=0)
    return [[*row, *[PADDING] * (width - len(row))] for row in rows]


def is_word(queries: Sequence[Sequence[str]]) -> Tensor:
    """Float `[batch, query]`: 0 for padding, 1 for names."""
    return torch.tensor([[float(name != PADDING) for name in row] for row in queries])


def full_precision(device: torch.device) -> torch.autocast:
    """A block in which autocast does not round logits and maps, when a teacher is asked from within one."""
    return torch.autocast(device.type, enabled=False)


def unit(vectors: Tensor) -> Tensor:
    """Float32 vectors of length 1 along the last axis."""
    return F.normalize(vectors.float(), dim=-1)


def per_head(weights: Tensor, names: Sequence[Sequence[str]]) -> tuple[Tensor, list[list[str]]]:
    """A query for each head of each word, and what they are called; padding stays padding.

    Args:
        weights: `[batch, layer, head, word, patch]`; they become `[batch, layer, word * head, patch]`.
        names: of each image's words.
    """
    heads = range(weights.shape[2])
    called = [[f"{name} · head {head + 1}" if name else name for name in row for head in heads] for row in names]
    return weights.transpose(2, 3).flatten(2, 3), called
