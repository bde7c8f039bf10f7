"""Models of transformers that write: what their decoder attends to where it has written a word.

A word is put into the model's mouth: after a prompt that asks for it, the decoder reads the word as if it had written
it itself, and its attention is read at the word's last token, as CoCa's is.

- *BLIP* (Li et al. 2022, arXiv 2201.12086): cross-attention of the text decoder to the image's patches;
- *LLaVA* (Liu et al. 2023, arXiv 2304.08485) and its like: attention of the language model to the image's tokens; what
  falls on the text before is outside of the map.

The weights are heard by hooks that change nothing. BLIP forms its attention in any case; a LLaVA is loaded with
transformers' `eager` attention, since fused kernels never form it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lfi.teachers.subwords import PlainTokenizer

FAMILIES = {"blip": "BLIP", "llava": "LLaVA"}
"""What can be read, by `model_type` in a configuration of transformers."""
PROMPTS = {"blip": "a picture of ", "llava": "USER: <image>\nWhat is in the picture? ASSISTANT: "}

_LONGEST = 32
"""Tokens that are written at most."""
_AT_ONCE = 16
"""Texts that the decoder reads together: a LLaVA's read a whole image each."""


class Writer:
    """A BLIP or a LLaVA with its tokeniser.

    Attributes:
        model: of transformers, in eval mode.
        tokenizer: its own.
        family: one of `FAMILIES`.
        side: patches in a row of the image. layers, heads: of the decoder.
    """

    def __init__(self, model: Any, tokenizer: Any, family: str):
        self.model, self.family = model.eval(), family
        vision, text = model.config.vision_config, model.config.text_config
        self.side = int(vision.image_size // vision.patch_size)
        self.layers, self.heads = len(attentions_of(model, family)), int(text.num_attention_heads)
        room = int(text.max_position_embeddings) - (self.side**2 if family == "llava" else 0)
        self.tokenizer = PlainTokenizer(tokenizer, room)

    @property
    def prompt(self) -> str:
        """What asks for a word."""
        return PROMPTS[self.family]

    @property
    def head(self) -> Any:
        """The layer that turns a state into logits of the next token; its rows are the tokens' output embeddings."""
        return (self.model.text_decoder if self.family == "blip" else self.model).get_output_embeddings()

    @property
    def norm(self) -> Any:
        """The normalisation whose output `head` reads."""
        if self.family == "blip":
            return self.model.text_decoder.cls.predictions.transform.LayerNorm
        return self.model.get_decoder().norm

    @torch.no_grad()
    def look(self, images: Tensor) -> Tensor:
        """The image's tokens as the decoder reads them, `[batch, token, width]`; class token first where it has one.

        Args:
            images: `[batch, 3, height, width]`, normalised.
        """
        weights = next(self.model.parameters())
        images = images.to(weights)
        if self.family == "blip":
            return self.model.vision_model(pixel_values=images).last_hidden_state
        config = self.model.config
        found = self.model.get_image_features(
            pixel_values=images,
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
        )
        features = getattr(found, "pooler_output", found)
        return features if isinstance(features, Tensor) else torch.stack(list(features))

    def pieces(self, answer: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of the prompt with an answer that goes on, and the letters that each stands for.

        Without an answer, the prompt does not end in a space: that is a part of many a first token.
        """
        ids, spans = self.tokenizer.pieces((self.prompt + answer).rstrip())
        if self.family == "blip":
            ids[0] = self.model.config.text_config.bos_token_id  # as its own `generate` has it
        return ids, spans

    def place(self, spans: Sequence[tuple[int, int]], end: int) -> int:
        """Position of the last token that begins before a place in the answer, in characters."""
        end += len(self.prompt)
        return max(index for index, (begin, stop) in enumerate(spans) if begin < end and stop > begin)

    def ids_of(self, text: str, words: Sequence[tuple[int, int]]) -> list[int]:
        """Ids of the tokens that spell words of an answer, which stand at these letters."""
        ids, spans = self.pieces(text)
        start = len(self.prompt)
        return [
            token
            for token, (begin, end) in zip(ids, spans, strict=True)
            if any(begin < start + last and end > start + first for first, last in words)
        ]

    @torch.no_grad()
    def read(
        self, tokens: Tensor, answers: Sequence[str], ends: Sequence[Sequence[int]], heads: bool = False
    ) -> Tensor:
        """What the decoder attends to where words of its answer end.

        Args:
            tokens: of one image per answer, as from `look`.
            ends: of each answer's words, in characters.
            heads: keep them apart; their mean otherwise.

        Returns:
            Float32 `[answer, layer, word, outside + patch]`, with `heads` `[answer, layer, head, word, ...]`; rows of
            answers with fewer words end in zeros.
        """
        widest = max(map(len, ends), default=0)
        if not widest:
            shape = (len(answers), self.layers, *[self.heads] * heads, 0, 1 + self.side**2)
            return torch.zeros(shape, device=tokens.device)
        starts = range(0, len(answers), _AT_ONCE)
        parts = [slice(start, start + _AT_ONCE) for start in starts]
        return torch.cat([self._read(tokens[part], answers[part], ends[part], widest, heads) for part in parts])

    def _read(
        self, tokens: Tensor, answers: Sequence[str], ends: Sequence[Sequence[int]], widest: int, heads: bool
    ) -> Tensor:
        spelt = [self.pieces(answer) for answer in answers]
        places = torch.zeros(len(answers), widest, dtype=torch.int64, device=tokens.device)
        there = torch.zeros(len(answers), widest, device=tokens.device)
        for row, ((_, spans), own) in enumerate(zip(spelt, ends, strict=True)):
            found = [self.place(spans, end) for end in own]
            places[row, : len(found)] = torch.tensor(found, dtype=torch.int64)
            there[row, : len(found)] = 1
        read = 1 + int(places.max())  # what follows the last word that is wanted changes nothing
        ids = nn.utils.rnn.pad_sequence([torch.tensor(own[:read]) for own, _ in spelt], batch_first=True)
        ids, at = self._with_image(ids.to(tokens.device), tokens.shape[1])
        places = places + (tokens.shape[1] - 1) * (places > at) if self.family == "llava" else places

        def wanted(attention: Tensor) -> Tensor:
            rows = places[:, None, :, None].expand(-1, attention.shape[1], -1, attention.shape[-1])
            chosen = attention.gather(2, rows).float()
            return chosen if heads else chosen.mean(1)

        with heard(self.model, self.family, wanted) as layers:
            self._run(ids, tokens, at)
        weights = torch.stack(layers, 1)
        if self.family == "llava":
            weights = weights[..., at : at + tokens.shape[1]]
        patches = weights[..., weights.shape[-1] - self.side**2 :]  # behind a class token, where it stays
        outside = (1 - patches.sum(-1, keepdim=True)).clamp_min(0)
        return torch.cat([outside, patches], -1) * there[:, None, *[None] * heads, :, None]

    @torch.no_grad()
    def state(self, tokens: Tensor) -> Tensor:
        """What `head` reads where the prompt ends, float32 `[batch, dim]`."""
        found = []
        for part in tokens.split(_AT_ONCE):
            ids, at = self._with_image(self._asking(part), part.shape[1])
            found.append(self._run(ids, part, at)[:, -1].float())
        return torch.cat(found)

    @torch.no_grad()
    def write(self, tokens: Tensor) -> list[str]:
        """What the model writes about each image by itself, greedily."""
        whole, written = self.tokenizer.whole, []
        end = self.model.config.text_config.eos_token_id
        limits: dict[str, Any] = {"max_new_tokens": _LONGEST, "do_sample": False}
        for part in tokens.split(_AT_ONCE):
            ids = self._asking(part)
            if self.family == "blip":
                text: Any = self.model.config.text_config
                limits |= {"eos_token_id": text.sep_token_id, "pad_token_id": text.pad_token_id}
                found = self.model.text_decoder.generate(input_ids=ids, encoder_hidden_states=part, **limits)
                found = found[:, ids.shape[1] :]
            else:
                limits["pad_token_id"] = end if whole.pad_token_id is None else whole.pad_token_id
                ids, at = self._with_image(ids, part.shape[1])
                seen = self._seen(ids, part, at)
                mask = torch.ones_like(ids)
                found = self.model.generate(inputs_embeds=seen, attention_mask=mask, **limits)
            written += [text.strip() for text in whole.batch_decode(found, skip_special_tokens=True)]
        return written

    def _asking(self, tokens: Tensor) -> Tensor:
        return torch.tensor([self.pieces("")[0]] * len(tokens), device=tokens.device)

    def _with_image(self, ids: Tensor, count: int) -> tuple[Tensor, int]:
        """Ids with one for each of the image's tokens instead of the one that stands for it, and where they begin."""
        if self.family == "blip":
            return ids, 0
        image = self.model.config.image_token_id
        at = int((ids[0] == image).nonzero()[0])
        return torch.cat([ids[:, :at], ids.new_full((len(ids), count), image), ids[:, at + 1 :]], 1), at

    def _seen(self, ids: Tensor, tokens: Tensor, at: int) -> Tensor:
        """Embeddings of a LLaVA's ids, the image's tokens in their place."""
        embedded = self.model.get_input_embeddings()(ids)
        return torch.cat([embedded[:, :at], tokens.to(embedded), embedded[:, at + tokens.shape[1] :]], 1)

    def _run(self, ids: Tensor, tokens: Tensor, at: int) -> Tensor:
        """The states that `head` reads, `[batch, token, dim]`.

        The decoder is causal, so what fills up shorter rows changes nothing before it.
        """
        if self.family == "llava":
            decoder = self.model.get_decoder()
            return decoder(inputs_embeds=self._seen(ids, tokens, at), use_cache=False).last_hidden_state
        decoder = self.model.text_decoder
        states = decoder.bert(ids, encoder_hidden_states=tokens, is_decoder=True, use_cache=False).last_hidden_state
        return decoder.cls.predictions.transform(states)


@contextmanager
def heard(
    model: Any, family: str, keep: Callable[[Tensor], Tensor] = lambda weights: weights
) -> Iterator[list[Tensor]]:
    """The decoder's attention after softmax while the block runs, of each layer what is kept of it.

    Args:
        keep: takes what is wanted from `[batch, head, token, key]`.
    """
    found: list[Tensor] = []
    modules = attentions_of(model, family)
    if family == "blip":
        handles = [
            each.register_forward_pre_hook(lambda module, inputs: found.append(keep(inputs[0]))) for each in modules
        ]
    else:
        handles = [
            each.register_forward_hook(lambda module, inputs, output: found.append(keep(output[1]))) for each in modules
        ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def attentions_of(model: Any, family: str) -> list[nn.Module]:
    """Where the attention of every layer passes by: what drops some of it out, or the attention itself."""
    if family == "blip":
        return [layer.crossattention.self.dropout for layer in model.text_decoder.bert.encoder.layer]
    return [layer.self_attn for layer in model.get_decoder().layers]
