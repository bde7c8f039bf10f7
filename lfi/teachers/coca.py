"""CoCa as a teacher: the decoder's cross-attention says where each word looks.

Yu et al., "CoCa: Contrastive Captioners are Image-Text Foundation Models", 2022, arXiv 2205.01917;
open_clip's implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from cachetools import LRUCache
from torch import Tensor, nn

from lfi.errors import UnsupportedModelError
from lfi.maps import InteractionMaps
from lfi.teachers.base import full_precision, is_word, pad, per_head, unit
from lfi.teachers.content import Tokenizer
from lfi.teachers.openclip import OpenClipTeacher
from lfi.teachers.taps import inputs_of, project, tap, values
from lfi.teachers.teacher import EncodedImages

_PROMPTS_REMEMBERED = 1024


def cross_attentions(model: Any) -> list[nn.MultiheadAttention]:
    """The decoder's cross-attentions, first layer to last."""
    return [block.attn for block in model.text_decoder.cross_attn]


def pooler_attention(model: Any) -> nn.MultiheadAttention | None:
    """The attention of the attentional pooler; None where the decoder sees the patches themselves."""
    return None if model.visual.attn_pool is None else model.visual.attn_pool.attn


class CoCaTeacher(OpenClipTeacher):
    """Reads the decoder's cross-attention on the side; the model's own outputs stay bit-identical.

    *Without an attentional pooler* (`coca_base`) the decoder attends to the patch tokens, and a map is
    exactly its attention; nothing falls outside.

    *With one* (`coca_ViT-B-32`, `coca_ViT-L-14`) the decoder never sees a patch: it attends to pooled tokens,
    and each of these to CLS and the patches. The map is the product `mean_heads(cross) @ mean_heads(pool)`,
    the CLS column dropped and reported in `outside`. That is a rollout-like approximation (Abnar and Zuidema,
    2020, arXiv 2005.00928): it follows weights, not values, and takes the pooler's heads together.

    A word's map is read where the decoder has read the word and predicts the next token: at its last token.

    Args: as for `OpenClipTeacher`.
    """

    kind = "CoCa"

    def __init__(self, model: Any, tokenizer: Tokenizer, *, name: str = "CoCa", **options: Any):
        decoder = getattr(model, "text_decoder", None)
        if decoder is None:
            raise UnsupportedModelError(f"{name} is a {type(model).__name__} and has no decoder; use ClipTeacher")
        layers = [f"decoder layer {layer + 1}" for layer in range(len(decoder.cross_attn))]
        heads = decoder.cross_attn[0].attn.num_heads
        super().__init__(model, tokenizer, name=name, layers=layers, heads=heads, **options)
        if not (model.visual.output_tokens and model.text.output_tokens):
            raise UnsupportedModelError(f"{name}: both towers of a CoCa must have output_tokens = true")
        self._pooler = pooler_attention(model)
        self._prompts: LRUCache[str, Tensor] = LRUCache(_PROMPTS_REMEMBERED)
        self.dense_variant = "patch tokens" if self._pooler is None else "pooler's value path"

    @torch.no_grad()
    def encode(self, images: Tensor) -> EncodedImages:
        """Run the image tower and the pooler once, for any number of prompts."""
        visual, images = self.model.visual, images.to(self.device)
        if self._pooler is None:
            latent, tokens = self.model._encode_image(images)
            patches = visual.ln_post(tokens) if visual.final_ln_after_pool else tokens
            pool = None
        else:
            # query 0 is the contrastive one, which the decoder does not see
            rows = torch.arange(1, visual.attn_pool.query.shape[0])
            with tap([self._pooler], rows=rows) as readings, inputs_of(visual.attn_pool) as seen:
                latent, tokens = self.model._encode_image(images)
            pool = readings[0]
            # what the contrastive query would read if it attended to this patch alone
            patches = visual.ln_post(values(self._pooler, visual.attn_pool.ln_k(seen[0][:, 1:])))
        return EncodedImages(unit(latent), unit(patches @ visual.proj), tokens, pool, self.fingerprint)

    def interactions(
        self, images: Tensor | EncodedImages, captions: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where the content words of each image's own caption look, the whole caption being read.

        Returns:
            `[batch, layer, query, height, width]`; rows with fewer words end in `PADDING`. With `heads`, one
            query for each head: `word · head 1`, ... Words beyond the context length have no query.
        """
        encoded = self._encoded(images)
        words = self._content_of(encoded, captions)
        names = pad([[word.text for word in row] for row in words])
        positions = [[word.position for word in row] for row in words]
        rows = torch.tensor([row + [0] * (len(names[0]) - len(row)) for row in positions], dtype=torch.int64)
        length = 1 + max((position for row in positions for position in row), default=0)
        ids = self.tokenizer(list(captions), self.context_length).to(self.device)
        if self.model.text.attn_mask is not None:  # causal: what follows the last wanted word changes nothing
            ids = ids[:, :length]
        with torch.no_grad():
            text = self.model.text(ids)[1][:, :length]
        return self._maps(encoded, text[:, None], rows, names, heads)

    def interactions_of(
        self, images: Tensor | EncodedImages, prompts: Sequence[str], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each prompt, a word or a phrase read on its own, looks in every image; at its last word.

        Returns:
            `[batch, layer, prompt, height, width]`; with `heads`, one query per head: `star · head 1`, ...

        Raises:
            UnknownWordError: for words outside a small vocabulary.
            WordsError: for no prompt, or one without a word, or one too long.
        """
        positions = torch.tensor([word.position for word in self._last_words(prompts)])
        encoded = self._encoded(images)
        text = self._read(prompts, positions)
        rows = positions + torch.arange(len(prompts)) * text.shape[1]
        return self._maps(encoded, text[None], rows[None], [list(prompts)] * len(encoded), heads)

    def interactions_for(
        self, images: Tensor | EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> InteractionMaps:
        """Where each image's own words, each read on its own, look in it.

        Args:
            words: one list of words or phrases per image.

        Returns:
            `[batch, layer, word, height, width]`; rows with fewer words end in `PADDING`. With `heads`, one query per
            head: `star · head 1`, ...

        Raises:
            UnknownWordError: for words outside a small vocabulary.
            WordsError: for no words at all, or one without a word, or one too long.
        """
        encoded = self._encoded(images)
        names, text, rows = self._own_words(encoded, words)
        return self._maps(encoded, text, rows, names, heads)

    def interactions_and_evidence(
        self, images: EncodedImages, words: Sequence[Sequence[str]], *, heads: bool = False
    ) -> tuple[InteractionMaps, Tensor]:
        """`interactions_for` and `evidence` in one run of the decoder."""
        if images.pool is not None:
            return super().interactions_and_evidence(images, words, heads=heads)
        names, text, rows = self._own_words(self._encoded(images), words)
        weights, pooled = self._cross_attention(images, text, rows, _weights if heads else _mean_weights, _log_sum_exp)
        return self._as_maps(images, weights, names, heads), self._evidence(images, names, pooled)

    def evidence(self, images: EncodedImages, words: Sequence[Sequence[str]]) -> Tensor:
        """How much of each image's own words is in it, float32 `[batch, word, 2]`; not calibrated.

        The cosine of image and text, and, where the decoder sees the patches themselves, the log-sum-exp of the word's
        cross-attention scores in the first default layer (mean over heads), which a teacher of ours was trained on.
        """
        names, text, rows = self._own_words(images, words)
        pooled = self._cross_attention(images, text, rows, _log_sum_exp)[0] if images.pool is None else None
        return self._evidence(images, names, pooled)

    def _evidence(self, images: EncodedImages, names: Sequence[Sequence[str]], pooled: Tensor | None) -> Tensor:
        latents = self.embed_texts([name or names[0][0] for row in names for name in row])
        cosine = (latents.view(len(names), -1, latents.shape[-1]) @ images.latent[..., None])[..., 0]
        scores = torch.zeros_like(cosine) if pooled is None else pooled[:, self.default_layers[0]]
        return torch.stack([cosine, scores], -1)

    def _own_words(
        self, encoded: EncodedImages, words: Sequence[Sequence[str]]
    ) -> tuple[list[list[str]], Tensor, Tensor]:
        """Padded names of each image's words, their tokens for every image, and the rows to read."""
        names = self._rows_of(encoded, words)
        texts = list(dict.fromkeys(name for row in names for name in row if name))
        place = {text: index for index, text in enumerate(texts)}
        which = torch.tensor([[place.get(name, 0) for name in row] for row in names])
        last = torch.tensor([word.position for word in self._last_words(texts)])
        text = self._read(texts, last)
        rows = last[which] + torch.arange(which.shape[1]) * text.shape[1]
        return names, text[which.to(text.device)], rows

    def _embed_ids(self, texts: Sequence[str], ids: Tensor) -> Tensor:
        return self._encode_texts(texts, ids)[0]

    def _encode_texts(self, texts: Sequence[str], ids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """One run of the text tower: unit-norm embeddings, and of each text the tokens that the decoder reads.

        The tokens `[position, width]` end with the text and are remembered.
        """
        latents, tokens = self._run_text(ids)
        ends = 1 + ((ids != 0) * torch.arange(ids.shape[1], device=ids.device)).max(1).values
        # copies, so that no text keeps a whole batch in memory
        read = {text: row[:end].clone() for text, row, end in zip(texts, tokens.float(), ends.tolist(), strict=True)}
        with self._texts_lock:
            self._prompts.update(read)
        return unit(latents), read

    def _run_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The text tower: latents `[text, dim]`, not normalised, and tokens `[text, position, width]`.

        Where it is causal and its CLS token stands behind the padding, positions that no CLS token reads are left out:
        what is left is given as in a run of the full length, and a word needs 4 positions instead of 77.
        """
        tower = self.model.text
        if tower.attn_mask is None or tower.cls_emb is None:
            return tower(ids)
        tokens, mask = tower._embeds(ids)
        read = int((mask[:, -1, :-1] == 0).any(0).nonzero().max()) + 1
        kept = torch.tensor([*range(read), tokens.shape[1] - 1], device=ids.device)
        tokens = tower.transformer(tokens[:, kept], attn_mask=mask[:, kept][:, :, kept])
        latents, projection = tower.ln_final(tokens[:, -1]), tower.text_projection
        return projection(latents) if isinstance(projection, nn.Linear) else latents @ projection, tokens[:, :-1]

    @torch.no_grad()
    def _read(self, prompts: Sequence[str], last: Tensor) -> Tensor:
        """The text tower's tokens of each prompt up to its last word, `[prompt, position, width]`.

        The decoder is causal, so what follows a prompt's last word does not matter.

        Args:
            last: position of each prompt's last word.
        """
        with self._texts_lock:
            known = {prompt: self._prompts[prompt] for prompt in prompts if prompt in self._prompts}
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        if missing:
            ids = self.tokenizer(missing, self.context_length).to(self.device)
            known |= self._encode_texts(missing, ids)[1]
        tokens = nn.utils.rnn.pad_sequence([known[prompt] for prompt in prompts], batch_first=True)
        return tokens[:, : 1 + int(last.max())]

    def _maps(
        self,
        encoded: EncodedImages,
        text: Tensor,
        rows: Tensor,
        names: Sequence[Sequence[str]],
        heads: bool,
    ) -> InteractionMaps:
        (weights,) = self._cross_attention(encoded, text, rows, _weights if heads else _mean_weights)
        return self._as_maps(encoded, weights, names, heads)

    def _as_maps(
        self, encoded: EncodedImages, weights: Tensor, names: Sequence[Sequence[str]], heads: bool
    ) -> InteractionMaps:
        if encoded.pool is not None:
            with full_precision(self.device):
                weights = torch.einsum("bl...rm,bmp->bl...rp", weights, encoded.pool)
        weights = weights * is_word(names).to(weights.device)[:, None, *[None] * heads, :, None]
        if heads:
            weights, names = per_head(weights, names)
        return InteractionMaps.from_scores(
            weights,
            grid=self.grid,
            queries=names,
            layers=self.layers,
            kind="cross-attention",
            model=self.label,
            prefix=0 if encoded.pool is None else 1,
        )

    @torch.no_grad()
    def _cross_attention(
        self, encoded: EncodedImages, text: Tensor, rows: Tensor, *read: Callable[[Tensor], Tensor]
    ) -> list[Tensor]:
        """Run the decoder's blocks and work out the rows wanted of every cross-attention.

        Self-attention sees each prompt alone, cross-attention sees all prompts of an image side by side: its
        rows do not depend on one another, and so the image's keys and values are projected once, not once a
        prompt, or not at all where `project` has done it. What follows the last attention is left out, the projection
        to the vocabulary with it.

        Args:
            text: the text tower's tokens `[batch or 1, prompt, position, width]`; the decoder is causal, so the
                first positions come out as in the whole text.
            rows: `[batch or 1, row]`, indices into prompt * position.
            read: what is wanted of a layer's scores before softmax, `[batch, head, row, token]`.

        Returns:
            What each of `read` gave, layers on axis 1.
        """
        projected = encoded.projected or self._projected(encoded)
        _, prompts, length, width = text.shape
        batch, decoder = len(encoded), self.model.text_decoder
        found: list[list[Tensor]] = []
        mask = decoder.attn_mask[:length, :length]
        rows = rows.to(text.device).expand(batch, -1)[:, None, :, None]
        for block, cross, (key, value) in zip(decoder.resblocks, decoder.cross_attn, projected, strict=True):
            text = block(text.reshape(-1, length, width), attn_mask=mask)
            text = text.reshape(-1, prompts * length, width).expand(batch, -1, -1)
            with full_precision(text.device):  # bfloat16 scores are off by up to .1
                query = project(cross.attn, cross.ln_1(text), 0)
                wanted = query.gather(2, rows.expand(-1, query.shape[1], -1, query.shape[-1]))
                scores = wanted @ key.transpose(-2, -1) * cross.attn.head_dim**-0.5
                found.append([each(scores) for each in read])
            if len(found) < len(projected):
                mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
                text = text + cross.ls_1(cross.attn.out_proj(mixed.to(text.dtype)))
                text = text + cross.ls_2(cross.mlp(cross.ln_2(text)))
        return [torch.stack(layers, 1) for layers in zip(*found, strict=True)]

    def project(self, encoded: EncodedImages) -> EncodedImages:
        """The images with what the decoder reads of them, for images that will be asked about again and again."""
        return replace(encoded, projected=self._projected(encoded))

    @torch.no_grad()
    def _projected(self, encoded: EncodedImages) -> tuple[tuple[Tensor, Tensor], ...]:
        """Keys and values of every cross-attention, as `EncodedImages.projected`."""
        assert encoded.tokens is not None
        found = []
        with full_precision(encoded.tokens.device):
            for cross in self.model.text_decoder.cross_attn:
                seen = cross.ln_1_kv(encoded.tokens.float())
                found.append((project(cross.attn, seen, 1).contiguous(), project(cross.attn, seen, 2).contiguous()))
        return tuple(found)


def _weights(scores: Tensor) -> Tensor:
    return scores.softmax(-1)


def _mean_weights(scores: Tensor) -> Tensor:
    return scores.softmax(-1).mean(1)


def _log_sum_exp(scores: Tensor) -> Tensor:
    return scores.logsumexp(-1).mean(1)
