"""What teachers on open_clip share: embeddings, dense similarity, preprocessing, the words of a text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from cachetools import LRUCache
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.hf_model import HFTextEncoder
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, VisionTransformer
from torch import Tensor, nn

from lfi.errors import ConfigError, UnsupportedModelError, WordsError
from lfi.maps import PADDING, InteractionMaps
from lfi.teachers.checkpoints import fingerprint_of
from lfi.teachers.content import Tokenizer, Word, align, content_words
from lfi.teachers.subwords import SubwordTokenizer
from lfi.teachers.teacher import EncodedImages
from lfi.teachers.tower import TimmTower
from lfi.teachers.words import WordTokenizer

_TEXTS_REMEMBERED = 4096
_TEXTS_AT_ONCE = 256


class OpenClipTeacher:
    """Embeddings, dense similarity and preprocessing of an open_clip model with plain ViT towers.

    Args:
        model: an open_clip `CLIP`, `CustomTextCLIP` or `CoCa`; put into eval mode. The fingerprint is taken
            now: make a new teacher after training the model further.
        tokenizer: open_clip's `SimpleTokenizer`, a `WordTokenizer` or a `SubwordTokenizer`.
        name: for messages and for `InteractionMaps.model`.
        layers: names of the layers of `interactions`.
        mean, std: of the RGB channels (0 to 1), as in training.
        default_layers: indices of the layers that localise best; all when None.

    Raises:
        UnsupportedModelError: for towers whose attention or value path cannot be read.
        ConfigError: for a default layer that does not exist.
    """

    dense_variant: str
    """Names how `dense` gets its patch embeddings; the one layer name of its maps."""

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        name: str,
        layers: Sequence[str],
        heads: int,
        mean: Sequence[float] = OPENAI_DATASET_MEAN,
        std: Sequence[float] = OPENAI_DATASET_STD,
        default_layers: Sequence[int] | None = None,
    ):
        refuse_unreadable(model, name)
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.fingerprint = fingerprint_of(model)
        self.image_size: int = model.visual.image_size[0]
        if not isinstance(model.visual, TimmModel):  # whoever reads those knows their grid
            self.grid: tuple[int, int] = model.visual.grid_size
        tower = model.text if isinstance(model.visual, TimmModel) else model.visual
        self.embed_dim: int = tower.output_dim
        self.context_length: int = getattr(model, "text", model).context_length
        if isinstance(tokenizer, SubwordTokenizer):  # a tower from transformers names its most positions
            self.context_length = tokenizer.context_length
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
        return self.model.logit_scale.device

    def preprocess(self, images: Sequence[PIL.Image.Image]) -> Tensor:
        """Images, squashed so that nothing is cut off -> normalised float32 `[batch, 3, size, size]`."""
        side = (self.image_size, self.image_size)
        small = [image.convert("RGB").resize(side, PIL.Image.Resampling.BICUBIC) for image in images]
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in small])).permute(0, 3, 1, 2)
        return (pixels.float() / 255 - self.mean) / self.std

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Float pixels (0 to 1) `[batch, 3, height, width]` of any size -> normalised `[batch, 3, size, size]`."""
        side = (self.image_size, self.image_size)
        if tuple(pixels.shape[-2:]) != side:
            pixels = F.interpolate(pixels, side, mode="bicubic", antialias=True).clamp(0, 1)
        return (pixels - self.mean.to(pixels)) / self.std.to(pixels)

    def encode(self, images: Tensor) -> EncodedImages:
        """Run the image tower once, for any number of prompts."""
        raise NotImplementedError

    def project(self, encoded: EncodedImages) -> EncodedImages:
        """The images with all that answers about them read again and again; here there is nothing more to keep."""
        return encoded

    def interactions(
        self, images: Tensor | EncodedImages, captions: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the content words of each image's own caption look."""
        raise NotImplementedError

    def interactions_of(
        self, images: Tensor | EncodedImages, prompts: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each prompt, a word or a phrase on its own, looks in every image."""
        raise NotImplementedError

    def interactions_for(
        self, images: Tensor | EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each image's own words, each read on its own, look in it."""
        raise NotImplementedError

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
        """Unit-norm text embeddings `[text, dim]`; recent ones are remembered.

        Always at the full context length: CoCa's text CLS token takes the position after the padding, so a
        trimmed prompt would get another embedding.
        """
        with self._texts_lock:
            known = {text: self._texts[text] for text in texts if text in self._texts}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(missing), _TEXTS_AT_ONCE):
            chunk = missing[start : start + _TEXTS_AT_ONCE]
            ids = self.tokenizer(chunk, self.context_length).to(self.device)
            known.update(zip(chunk, self._embed(chunk, ids), strict=True))
        with self._texts_lock:
            self._texts.update(known)
        if not texts:
            return torch.zeros(0, self.embed_dim, device=self.device)
        return torch.stack([known[text] for text in texts])

    def _embed(self, texts: Sequence[str], ids: Tensor) -> Tensor:
        """Run the text tower: unit-norm embeddings `[text, dim]` of texts with these ids."""
        return self.model.encode_text(ids, normalize=True).float()

    @torch.no_grad()
    def classify(self, images: Tensor | EncodedImages, labels: Sequence[str]) -> Tensor:
        """Logits `[batch, label]`: logit scale times the cosine of image and label, used as given."""
        latent, texts = self.embed_images(images), self.embed_texts(labels)
        with full_precision(self.device):
            return self.model.logit_scale.exp() * latent @ texts.T

    @torch.no_grad()
    def dense(self, images: Tensor | EncodedImages, prompts: Sequence[str]) -> InteractionMaps:
        """Similarity of each patch's embedding to each prompt's: softmax(logit scale * cosine) over patches.

        One layer, named after the variant (`dense_variant`): how a patch gets an embedding of its own.
        """
        encoded = self._encoded(images)
        texts = self.embed_texts(prompts).expand(len(encoded), -1, -1)
        return self._similarity(encoded, texts, [list(prompts)] * len(encoded))

    def check_words(self, texts: Sequence[str]) -> None:
        """Raise `UnknownWordError` for words outside a small vocabulary; a byte-pair tokeniser reads any."""
        if isinstance(self.tokenizer, WordTokenizer):
            self.tokenizer.check(texts)

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise what `interactions_of` would for these prompts, before anything is computed."""
        self._last_words(prompts)

    def _encoded(self, images: Tensor | EncodedImages) -> EncodedImages:
        if isinstance(images, Tensor):
            return self.encode(images)
        if images.fingerprint != self.fingerprint:
            raise ValueError(f"images were encoded by {images.fingerprint}, not by {self.label}")
        return images

    def _similarity(self, encoded: EncodedImages, texts: Tensor, queries: Sequence[Sequence[str]]) -> InteractionMaps:
        """Maps of text embeddings `[batch, query, dim]`; rows named `PADDING` get no weight."""
        with full_precision(self.device):
            scores = self.model.logit_scale.exp() * texts @ encoded.dense.transpose(1, 2)
        weights = scores.softmax(-1) * is_word(queries).to(scores.device)[..., None]
        return InteractionMaps.from_scores(
            weights[:, None],
            grid=self.grid,
            queries=queries,
            layers=(self.dense_variant,),
            kind="dense-similarity",
            model=self.label,
        )

    def _content_of(self, encoded: EncodedImages, captions: Sequence[str]) -> list[list[Word]]:
        """Content words of one caption per image, those the context has room for."""
        if len(captions) != len(encoded):
            raise ValueError(f"{len(captions)} captions for {len(encoded)} images; one for each was expected")
        self.check_words(captions)
        last = self.context_length - 2  # the end token needs a place, too
        words = [content_words(align(self.tokenizer, caption)) for caption in captions]
        return [[word for word in row if word.position <= last] for row in words]

    def _rows_of(self, encoded: EncodedImages, words: Sequence[Sequence[str]]) -> list[list[str]]:
        """Rows of names, one per image, padded."""
        if len(words) != len(encoded):
            raise ValueError(f"{len(words)} rows of words for {len(encoded)} images; one for each was expected")
        return pad(words)

    def _last_words(self, prompts: Sequence[str]) -> list[Word]:
        """For each prompt the word at which its map is read.

        Raises:
            UnknownWordError: for words outside a small vocabulary.
            WordsError: if there is no prompt, or one without a word, or one longer than the context.
        """
        if not prompts:
            raise WordsError("no word was given")
        self.check_words(prompts)
        last = []
        for prompt in prompts:
            words = align(self.tokenizer, prompt)
            if not words:
                raise WordsError(f"{prompt!r} has no word in it")
            if words[-1].position > self.context_length - 2:
                raise WordsError(f"{prompt[:40]!r}... has {len(words)} words, more than {self.name} reads")
            last.append(words[-1])
        return last


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


def refuse_unreadable(model: Any, name: str) -> None:
    """Raise `UnsupportedModelError` unless both towers are plain open_clip transformers with square input."""
    visual = model.visual
    if isinstance(visual, TimmTower):
        return
    if isinstance(visual, TimmModel) and hasattr(model, "text"):
        _refuse_shape(visual, name)
        _refuse_text(model, name)
        return
    if not isinstance(visual, VisionTransformer):
        raise UnsupportedModelError(
            f"{name}: its image tower is a {type(visual).__name__}, whose attention cannot be read; "
            "a plain open_clip VisionTransformer was expected"
        )
    blocks: nn.ModuleList = visual.transformer.resblocks
    if not all(isinstance(block, ResidualAttentionBlock) for block in blocks):
        raise UnsupportedModelError(f"{name}: its image tower has custom attention blocks, which cannot be read")
    if visual.pool_type == "none":
        raise UnsupportedModelError(f"{name}: its image tower does not pool to one embedding")
    _refuse_shape(visual, name)
    _refuse_text(model, name)


def _refuse_shape(visual: Any, name: str) -> None:
    if visual.image_size[0] != visual.image_size[1]:
        raise UnsupportedModelError(f"{name}: its input is {visual.image_size}; a square one was expected")


def _refuse_text(model: Any, name: str) -> None:
    if hasattr(model, "text") and not isinstance(model.text, TextTransformer | HFTextEncoder):
        raise UnsupportedModelError(f"{name}: its text tower is a {type(model.text).__name__}, which is not supported")
