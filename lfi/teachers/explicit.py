"""open_clip's CoCa computed with its own parameters, but with attention written out.

Why not the model's own `forward`: it never shows its attention scores, attention over the image is repeated for every
prompt, and on a CPU in bfloat16 explicit products run three times as fast as the fused kernel behind
`nn.MultiheadAttention` (short sequences, backward pass). Training a teacher needs all three. The results are
the model's own (tested), and what is trained is a plain open_clip checkpoint.

Only models without attentional pooler, whose decoder attends to the patch tokens themselves.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.coca_model import CoCa
from torch import Tensor, nn


def attend(
    attention: nn.MultiheadAttention,
    queries: Tensor,
    context: Tensor | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention with the scores in the open.

    Args:
        queries: `[batch, query, dim]`.
        context: `[batch, key, dim]`; None for self-attention.
        mask: additive, broadcastable to `[batch, head, query, key]`.

    Returns:
        Output `[batch, query, dim]` and scores before softmax `[batch, head, query, key]`.
    """
    dim, heads = attention.embed_dim, attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    batch, count = queries.shape[:2]
    if context is None:
        q, k, v = F.linear(queries, weight, bias).view(batch, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
    else:
        q = F.linear(queries, weight[:dim], bias[:dim]).view(batch, count, heads, -1).transpose(1, 2)
        pair = F.linear(context, weight[dim:], bias[dim:])
        k, v = pair.view(batch, context.shape[1], 2, heads, -1).permute(2, 0, 3, 1, 4)
    scores = (q * (dim // heads) ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    mixed = scores.softmax(-1).to(v.dtype) @ v
    return F.linear(
        mixed.transpose(1, 2).reshape(batch, count, dim), attention.out_proj.weight, attention.out_proj.bias
    ), scores


def block(layer: Any, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """One `ResidualAttentionBlock`: its output and its attention scores."""
    if context is not None:
        context = layer.ln_1_kv(context)
    mixed, scores = attend(layer.attn, layer.ln_1(x), context, mask)
    x = x + layer.ls_1(mixed)
    return x + layer.ls_2(layer.mlp(layer.ln_2(x))), scores


def encode_image(model: CoCa, images: Tensor) -> tuple[Tensor, Tensor]:
    """Image latents `[batch, dim]` (not normalised) and patch tokens `[batch, patch, width]`."""
    visual = model.visual
    x = visual._embeds(images)
    for layer in visual.transformer.resblocks:
        x, _ = block(layer, x)
    pooled, tokens = visual._pool(x)
    return pooled @ visual.proj, tokens


def encode_text(model: CoCa, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Text latents `[text, dim]` (not normalised) and token states `[text, length, width]`.

    `ids` may be shorter than the context, if at least one padding id ends every row: the summarising token keeps the
    last position of the full context, so latents are those of the fully padded text.
    """
    text = model.text
    count, length = ids.shape
    summary = text.cls_emb + text.positional_embedding[-1]
    x = text.token_embedding(ids) + text.positional_embedding[:length]
    x = torch.cat([x, summary.expand(count, 1, -1)], 1)
    mask = (
        torch.full((length + 1, length + 1), float("-inf"), device=ids.device).triu_(1).expand(count, 1, -1, -1).clone()
    )
    # open_clip's summary token sees the tokens shifted by one (its legacy mask), so one padding token, and not itself
    seen = F.pad(ids != text.pad_id, (1, 0), value=True)
    mask[:, 0, -1] = torch.zeros_like(seen, dtype=mask.dtype).masked_fill_(~seen, float("-inf"))
    for layer in text.transformer.resblocks:
        x, _ = block(layer, x, mask=mask)
    return text.ln_final(x[:, -1]) @ text.text_projection, x[:, :-1]


def decode(model: CoCa, tokens: Tensor, image_tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The multimodal decoder over several prompts per image, whose image is projected once.

    Args:
        tokens: text states `[batch, prompt, length, width]`.
        image_tokens: `[batch, patch, width]`.

    Returns:
        Final states `[batch, prompt, length, width]`, before the vocabulary projection, and for every layer the
        cross-attention scores before softmax `[batch, head, prompt, length, patch]`.
    """
    decoder = model.text_decoder
    batch, prompts, length, width = tokens.shape
    causal = torch.full((length, length), float("-inf"), device=tokens.device).triu_(1)
    x = tokens.reshape(batch * prompts, length, width)
    layers = []
    for own, cross in zip(decoder.resblocks, decoder.cross_attn, strict=True):
        x, _ = block(own, x, mask=causal)
        x, scores = block(cross, x.view(batch, prompts * length, width), image_tokens)
        layers.append(scores.unflatten(2, (prompts, length)))
        x = x.view(batch * prompts, length, width)
    return decoder.ln_final(x).view(tokens.shape), layers
