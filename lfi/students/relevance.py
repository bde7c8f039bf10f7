"""The `gradient` explanation without autograd: an image is run once, then any number of words, in batches.

Relevance of a word (Chefer et al. 2021, arXiv 2103.15679) is `relu(gradient) * attention` of CLS in every block, and
only the gradient depends on the word. `trace` keeps what the backward pass reads from the forward pass; `relevance`
goes back for many words of many images at once. The score reads only CLS, so the gradient leaves the last block through
one token and enters the first by one: two blocks of the backward pass cost next to nothing. This is for the plain block
(`traceable`); `explanations.explain` leaves every other architecture to autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn

from lfi.students.vit import Student

_aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class BlockTrace:
    """What one block leaves, per image: inputs of both norms with their mean and 1/deviation `[batch, token, .]`,
    q, k, v `[batch, head, token, head_dim]`, attention `[batch, head, token, token]`, slope of the activation.

    Where the way back leads through CLS alone, what it does not read of the other tokens is left out.
    """

    before: Tensor
    before_mean: Tensor
    before_scale: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    attention: Tensor
    between: Tensor
    between_mean: Tensor
    between_scale: Tensor
    slope: Tensor


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded forward pass.

    Attributes:
        blocks: what each block left.
        last: CLS before the final norm with mean and 1/deviation, `[batch, 1, .]`.
        embedding: the images in the teacher's space `[batch, text_dim]`, not normalised.
    """

    blocks: tuple[BlockTrace, ...]
    last: tuple[Tensor, Tensor, Tensor]
    embedding: Tensor

    def __len__(self) -> int:
        return len(self.embedding)

    @property
    def bytes(self) -> int:
        """Memory use."""
        return sum(tensor.nbytes for block in self.blocks for tensor in vars(block).values())

    @classmethod
    def of(cls, images: Sequence[tuple[Trace, int]]) -> Trace:
        """Some images of some traces as one batch; without a copy where it is a whole trace."""
        first = images[0][0]
        if len(images) == len(first) and all(
            each is first and index == place for place, (each, index) in enumerate(images)
        ):
            return first

        def gather(part: Callable[[Trace], Tensor]) -> Tensor:
            return torch.cat([part(each)[index : index + 1] for each, index in images])

        def of_block(number: int, name: str) -> Tensor:
            return gather(lambda each: getattr(each.blocks[number], name))

        names = [field.name for field in fields(BlockTrace)]
        return cls(
            tuple(BlockTrace(*(of_block(number, name) for name in names)) for number in range(len(first.blocks))),
            (gather(lambda each: each.last[0]), gather(lambda each: each.last[1]), gather(lambda each: each.last[2])),
            gather(lambda each: each.embedding),
        )


def traceable(student: Student) -> bool:
    """Whether its blocks are the plain ones that this file differentiates, and words are scored by cosine."""
    backbone: Any = student.backbone
    cosine = type(student).project is Student.project
    plain = cosine and student.queries is None and student.embed is not None and backbone.has_class_token
    norms = [backbone.norm, *(norm for block in backbone.blocks for norm in (block.norm1, block.norm2))]
    return (
        plain
        and all(isinstance(norm, nn.LayerNorm) for norm in norms)
        and all(_plain_block(block) for block in backbone.blocks)
    )


def _plain_block(block: Any) -> bool:
    attention, mlp = block.attn, block.mlp
    absent = (attention.q_norm, attention.k_norm, attention.norm, getattr(mlp, "norm", None))
    return (
        type(mlp) is Mlp
        and isinstance(mlp.act, nn.GELU)
        and attention.gate is None
        and all(isinstance(module, nn.Identity) for module in absent)
    )


@torch.no_grad()
def trace(student: Student, images: Tensor) -> Trace:
    """Run images `[batch, 3, height, width]` through a `traceable` student in eval mode."""
    backbone: Any = student.backbone
    assert student.embed is not None
    tokens = backbone.norm_pre(backbone._pos_embed(backbone.patch_embed(images)))
    blocks = []
    for number, block in enumerate(backbone.blocks):
        tokens, left = _forward(block, tokens, first=number == 0, last=number == len(backbone.blocks) - 1)
        blocks.append(left)
    cls = tokens[:, :1]
    normed, mean, scale = _norm(backbone.norm, cls)
    return Trace(tuple(blocks), (cls, mean, scale), student.embed(normed[:, 0]))


def _forward(block: Any, tokens: Tensor, first: bool, last: bool) -> tuple[Tensor, BlockTrace]:
    """A block's output and trace. Of the last block only CLS is wanted; through the first, only CLS leads back."""
    attention, mlp = block.attn, block.mlp
    batch, count, _ = tokens.shape
    reading = 1 if last else count
    normed, mean, scale = _norm(block.norm1, tokens)
    q, k, v = attention.qkv(normed).view(batch, count, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    q = q[:, :, :reading]
    weights = ((q * attention.scale) @ k.transpose(-2, -1)).softmax(-1)
    mixed = (weights @ v).transpose(1, 2).reshape(batch, reading, -1)
    between = tokens[:, :reading] + block.ls1(attention.proj(mixed))
    normed, middle_mean, middle_scale = _norm(block.norm2, between)
    hidden = mlp.fc1(normed)
    out = between + block.ls2(mlp.fc2(mlp.act(hidden)))
    kept = slice(0, 1 if first else None)
    seen = hidden[:, kept]
    slope = _aten.gelu_backward(torch.ones_like(seen), seen, approximate=mlp.act.approximate)
    of_middle = (between[:, kept], middle_mean[:, kept], middle_scale[:, kept])
    return out, BlockTrace(tokens, mean, scale, q, k, v, weights, *of_middle, slope)


@torch.no_grad()
def relevance(student: Student, traced: Trace, embeddings: Tensor) -> Tensor:
    """`relu(gradient) * attention` of CLS in every block, for the cosine of image and word.

    Args:
        embeddings: words of each image in the teacher's text space, `[batch, word, text_dim]`, unit norm.

    Returns:
        `[batch, layer, word, head, token]`.
    """
    backbone: Any = student.backbone
    assert student.embed is not None
    length = traced.embedding.norm(dim=-1)[:, None, None]
    unit = (traced.embedding[:, None] / length).expand_as(embeddings)
    # the gradient of a cosine: what of the word is not along the image's embedding
    gradient = (embeddings - unit * (unit * embeddings).sum(-1, keepdim=True)) / length
    gradient = (gradient @ student.embed.weight)[:, :, None]
    gradient = _norm_back(backbone.norm, gradient, *traced.last)
    found = []
    for number in range(len(traced.blocks) - 1, -1, -1):
        gradient, of_cls = _back(backbone.blocks[number], traced.blocks[number], gradient, first=number == 0)
        found.append(of_cls.relu() * traced.blocks[number].attention[:, None, :, 0])
    return torch.stack(found[::-1], 1)


def _back(block: Any, left: BlockTrace, gradient: Tensor, first: bool) -> tuple[Tensor, Tensor]:
    """Back through one block.

    Args:
        gradient: of the block's output, `[batch, word, reading, dim]`: for CLS alone or for all tokens.

    Returns:
        The gradient of its input (not needed in the `first` block, where it is left out), and that of what CLS attends
        to, `[batch, word, head, token]`.
    """
    attention, mlp = block.attn, block.mlp
    if first:
        gradient = gradient[:, :, :1]
    batch, words, reading, _ = gradient.shape
    part = slice(0, reading)
    inner = _scaled(block.ls2, gradient) @ mlp.fc2.weight * left.slope[:, None, part]
    statistics = (left.between[:, part], left.between_mean[:, part], left.between_scale[:, part])
    gradient = gradient + _norm_back(block.norm2, inner @ mlp.fc1.weight, *statistics)
    mixed = (_scaled(block.ls1, gradient) @ attention.proj.weight).view(batch, words, reading, attention.num_heads, -1)
    mixed = mixed.transpose(2, 3)
    of_weights = mixed @ left.v[:, None].transpose(-2, -1)
    if first:
        return gradient, of_weights[..., 0, :]
    weights = left.attention[:, None, :, part].expand_as(of_weights)
    of_scores = _aten._softmax_backward_data(of_weights, weights, -1, weights.dtype) * attention.scale
    of_v = weights.transpose(-2, -1) @ mixed
    of_k = of_scores.transpose(-2, -1) @ left.q[:, None, :, part]
    of_q = of_scores @ left.k[:, None]
    missing = of_k.shape[-2] - reading
    if missing:
        of_q, gradient = F.pad(of_q, (0, 0, 0, missing)), F.pad(gradient, (0, 0, 0, missing))
    of_qkv = torch.stack((of_q, of_k, of_v), 2).permute(0, 1, 4, 2, 3, 5).flatten(3)
    back = _norm_back(block.norm1, of_qkv @ attention.qkv.weight, left.before, left.before_mean, left.before_scale)
    return gradient + back, of_weights[..., 0, :]


def _norm(norm: nn.LayerNorm, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Layer norm with the mean and 1/deviation it used, `[batch, token, 1]`."""
    return torch.native_layer_norm(tokens, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _norm_back(norm: nn.LayerNorm, gradient: Tensor, tokens: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Gradient `[batch, word, token, dim]` of a layer norm's input, `tokens` `[batch, token, dim]`."""
    shape = gradient.shape[:-1]
    return _aten.native_layer_norm_backward(
        gradient.contiguous(),
        tokens[:, None].expand_as(gradient).contiguous(),  # the kernel reads memory as it lies
        norm.normalized_shape,
        mean[:, None].expand(*shape, 1).contiguous(),
        scale[:, None].expand(*shape, 1).contiguous(),
        norm.weight,
        norm.bias,
        [True, False, False],
    )[0]


def _scaled(scale: nn.Module, gradient: Tensor) -> Tensor:
    return gradient if isinstance(scale, nn.Identity) else scale(gradient)
