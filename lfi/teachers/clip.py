"""CLIP as a teacher: it has no decoder, so a word looks where the patches resemble it.

Zhou et al., "Extract Free Dense Labels from CLIP" (MaskCLIP), ECCV 2022, arXiv 2112.01071.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lfi.errors import ConfigError, UnsupportedModelError
from lfi.maps import InteractionMaps
from lfi.teachers.base import pad, unit
from lfi.teachers.content import Tokenizer
from lfi.teachers.openclip import OpenClipTeacher
from lfi.teachers.taps import inputs_of, values
from lfi.teachers.teacher import EncodedImages

VARIANTS = {
    "maskclip": "last block's value path (MaskCLIP)",
    "residual-free": "last block's value path, residual-free",
}


class ClipTeacher(OpenClipTeacher):
    """Dense patch-text similarity from the last block's value path, softmaxed over the patches.

    The last block is run with every token attending to itself only: `x += out_proj(v(ln_1(x)))`, then its
    MLP, the final norm and the projection into the joint space. The variant `residual-free` keeps
    `out_proj(v)` alone. Either way the maps' one layer is named after the variant.

    Args: as for `OpenClipTeacher`, and
        variant: one of `VARIANTS`.
        dense_variant: what the maps' one layer is called instead, of a tower that another class reads.
    """

    kind = "CLIP"

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        name: str = "CLIP",
        variant: str = "maskclip",
        dense_variant: str = "",
        **options: Any,
    ):
        if variant not in VARIANTS:
            raise ConfigError(
                f"unknown variant {variant!r} of dense similarity; one of {', '.join(VARIANTS)} was expected"
            )
        self.variant = variant
        self.dense_variant = dense_variant or VARIANTS[variant]
        super().__init__(model, tokenizer, name=name, layers=[self.dense_variant], heads=0, **options)
        if dense_variant:
            return
        if model.visual.attn_pool is not None or model.visual.output_tokens:
            raise UnsupportedModelError(f"{name}: CLIP with an attentional pooler or output_tokens is not supported")

    @torch.no_grad()
    def encode(self, images: Tensor) -> EncodedImages:
        """Run the image tower once, and the last block's value path along with it."""
        visual, block = self.model.visual, self.model.visual.transformer.resblocks[-1]
        with inputs_of(block) as seen:
            latent = self.model.encode_image(images.to(self.device), normalize=True)
        patches = seen[0][:, 1:]
        alone = block.ls_1(values(block.attn, block.ln_1(patches)))
        if self.variant == "maskclip":
            alone = patches + alone
            alone = alone + block.ls_2(block.mlp(block.ln_2(alone)))
        return EncodedImages(unit(latent), unit(visual.ln_post(alone) @ visual.proj), None, None, self.fingerprint)

    @torch.no_grad()
    def interactions(
        self, images: Tensor | EncodedImages, captions: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the patches resemble each content word of the image's own caption, read on its own.

        Returns:
            `[batch, 1, query, height, width]`; rows with fewer words end in `PADDING`.

        Raises:
            ConfigError: if single heads are asked for; similarity has none.
        """
        self._refuse_heads(heads)
        encoded = self._encoded(images)
        return self._similar(encoded, pad([[word.text for word in row] for row in self._content_of(encoded, captions)]))

    @torch.no_grad()
    def interactions_for(
        self, images: Tensor | EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the patches of each image resemble its own words: `[batch, 1, word, height, width]`.

        Raises:
            ConfigError: if single heads are asked for; similarity has none.
            UnknownWordError: for words outside a small vocabulary.
            WordsError: for no words at all, or one without a word, or one too long.
        """
        self._refuse_heads(heads)
        encoded = self._encoded(images)
        names = self._rows_of(encoded, words)
        self._last_words(list(dict.fromkeys(name for row in names for name in row if name)))
        return self._similar(encoded, names)

    def _similar(self, encoded: EncodedImages, names: Sequence[Sequence[str]]) -> InteractionMaps:
        known = list(dict.fromkeys(name for row in names for name in row if name))
        embedded = torch.cat([self.embed_texts(known), torch.zeros(1, self.embed_dim, device=self.device)])
        places = [[known.index(name) if name else len(known) for name in row] for row in names]
        rows = torch.tensor(places, dtype=torch.int64, device=self.device)
        return self._similarity(encoded, embedded[rows], names)

    def interactions_of(
        self, images: Tensor | EncodedImages, prompts: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the patches resemble each prompt, in every image: `[batch, 1, prompt, height, width]`.

        Raises:
            ConfigError: if single heads are asked for; similarity has none.
            UnknownWordError: for words outside a small vocabulary.
            WordsError: for no prompt, or one without a word, or one too long.
        """
        self._refuse_heads(heads)
        self._last_words(prompts)  # similarity would take any text, but the two teachers should refuse the same
        return self.dense(images, prompts)

    def _refuse_heads(self, heads: bool) -> None:
        if heads:
            raise ConfigError(f"{self.name} has no heads: its maps are dense similarity, not attention")
