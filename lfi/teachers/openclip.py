"""What teachers on open_clip share: embeddings, dense similarity, the words of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.timm_model import TimmModel
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, VisionTransformer
from torch import Tensor, nn

from lfi.errors import UnsupportedModelError, WordsError
from lfi.maps import InteractionMaps
from lfi.teachers.base import BaseTeacher, full_precision, is_word
from lfi.teachers.content import Tokenizer, Word, align, content_words
from lfi.teachers.subwords import SubwordTokenizer
from lfi.teachers.teacher import EncodedImages
from lfi.teachers.tower import TimmTower


class OpenClipTeacher(BaseTeacher):
    """Embeddings and dense similarity of an open_clip model with plain ViT towers.

    Args: as for `BaseTeacher`, which are read off the model where they are not named here, and
        model: an open_clip `CLIP`, `CustomTextCLIP` or `CoCa`.
        tokenizer: open_clip's `SimpleTokenizer`, a `WordTokenizer` or a `SubwordTokenizer`.

    Raises:
        UnsupportedModelError: for towers whose attention or value path cannot be read.
        ConfigError: for a default layer that does not exist.
    """

    def __init__(
        self, model: Any, tokenizer: Tokenizer, *, name: str, layers: Sequence[str], heads: int, **options: Any
    ):
        refuse_unreadable(model, name)
        if not isinstance(model.visual, TimmModel):  # whoever reads those knows their grid
            self.grid = model.visual.grid_size
        tower = model.text if isinstance(model.visual, TimmModel) else model.visual
        context: int = getattr(model, "text", model).context_length
        if isinstance(tokenizer, SubwordTokenizer):  # a tower from transformers names its most positions
            context = tokenizer.context_length
        super().__init__(
            model,
            tokenizer,
            name=name,
            layers=layers,
            heads=heads,
            image_size=model.visual.image_size[0],
            embed_dim=tower.output_dim,
            context_length=context,
            **options,
        )

    @property
    def device(self) -> torch.device:
        """Where the model computes; its answers stay there."""
        return self.model.logit_scale.device

    @property
    def logit_scale(self) -> Tensor:
        """The model's own."""
        return self.model.logit_scale.exp()

    def _embed(self, texts: Sequence[str]) -> Tensor:
        """Always at the full context length: CoCa's text CLS token takes the position after the padding, so a trimmed
        prompt would get another embedding."""
        return self._embed_ids(texts, self.tokenizer(list(texts), self.context_length).to(self.device))

    def _embed_ids(self, texts: Sequence[str], ids: Tensor) -> Tensor:
        """Run the text tower: unit-norm embeddings `[text, dim]` of texts with these ids."""
        return self.model.encode_text(ids, normalize=True).float()

    @torch.no_grad()
    def dense(self, images: Tensor | EncodedImages, prompts: Sequence[str]) -> InteractionMaps:
        """Similarity of each patch's embedding to each prompt's: softmax(logit scale * cosine) over patches.

        One layer, named after the variant (`dense_variant`): how a patch gets an embedding of its own.
        """
        encoded = self._encoded(images)
        texts = self.embed_texts(prompts).expand(len(encoded), -1, -1)
        return self._similarity(encoded, texts, [list(prompts)] * len(encoded))

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Raise what `interactions_of` would for these prompts, before anything is computed."""
        self._last_words(prompts)

    def _similarity(self, encoded: EncodedImages, texts: Tensor, queries: Sequence[Sequence[str]]) -> InteractionMaps:
        """Maps of text embeddings `[batch, query, dim]`; rows named `PADDING` get no weight."""
        with full_precision(self.device):
            scores = self.logit_scale * texts @ encoded.dense.transpose(1, 2)
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
