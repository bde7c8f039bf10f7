"""Post-hoc explanations of a student: where it looked for a word, as far as can be told afterwards.

The baseline was never taught to point, so its map for a word has to be made afterwards. Six ways, the best of which
is chosen on validation data and named wherever it is shown:

- `dense-similarity`: every patch token through the student's own projection, or the head that names patches,
  compared with the word;
- `self-attention`: attention from CLS in every block, mean over heads; the same for every word;
- `rollout`: attention from CLS followed through the layers (Abnar & Zuidema 2020, arXiv 2005.00928); the same for
  every word;
- `gradient`: attention from CLS weighted by the positive gradient of the word's score, layer by layer (Chefer et al.
  2021, arXiv 2103.15679);
- `grad-cam`: patch tokens before every block, weighted by the mean gradient of the word's score (Selvaraju et al. 2017,
  arXiv 1610.02391);
- `legrad`: the positive gradient alone, over heads and tokens, of the score that the word would have after each block,
  added up over blocks (LeGrad, Bousselham et al. 2024, arXiv 2404.03214).

A student without CLS reads the mean of its patches, so what is said of CLS above is said of that mean.

A word is scored in the teacher's text space: by the image's projection into it (feature KD), else by the nearest name
of an Interaction Query. `explanations_of` says which of the six a student can give.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.errors import UnsupportedModelError
from lfi.maps import InteractionMaps
from lfi.students.reading import attention_rows, rows_of, self_attention
from lfi.students.relevance import relevance, trace, traceable
from lfi.students.vit import Student

EXPLANATIONS = ("dense-similarity", "self-attention", "rollout", "gradient", "grad-cam", "legrad")
WORDLESS = ("self-attention", "rollout")
"""Those that show the same map for every word."""

_SHARPNESS = 20.0
"""Inverse temperature of the softmax that turns cosines into a map, between 0.05 apart for a factor of e."""


def explanations_of(student: Student) -> tuple[str, ...]:
    """Which of `EXPLANATIONS` this student can give.

    Attention can always be read. The gradient of a word's score needs such a score; relevance that flows through CLS,
    or through the patches where they are read, needs one that reads them; and single patches or blocks can be compared
    with a word only where the projection reads tokens alone, which that of a student with queries does not, unless it
    names patches.
    """
    found = set(WORDLESS)
    if student.embed is not None:
        found |= {"gradient", "grad-cam"} if student.queries is not None else set(EXPLANATIONS)
    elif student.name is not None:
        found |= {"grad-cam"}
    if student.config.patch_words:
        found |= {"dense-similarity"}
    return tuple(explanation for explanation in EXPLANATIONS if explanation in found)


def layers_of(student: Student, explanation: str) -> tuple[str, ...]:
    """Names of the layers of an explanation of a student."""
    if explanation == "dense-similarity":
        return ("final",)
    return tuple(f"block {block + 1}" for block in range(len(student.backbone.blocks)))


def explain(
    student: Student,
    explanation: str,
    images: Tensor,
    words: Sequence[str],
    embeddings: Tensor,
    *,
    heads: bool,
    model: str,
) -> InteractionMaps:
    """Maps of a student for words, computed from the finished model.

    Args:
        explanation: one of `EXPLANATIONS`.
        images: `[batch, 3, height, width]`, as from `student.preprocess`.
        words: names of the queries.
        embeddings: the words in the teacher's text space, `[word, text_dim]`, unit norm.
        heads: one query per head and word (`star · head 1`) where the explanation has heads, else their mean.

    Raises:
        UnsupportedModelError: for an unknown explanation, or one that this student cannot give.
    """
    if explanation not in EXPLANATIONS:
        raise UnsupportedModelError(
            f"unknown explanation {explanation!r}; one of {', '.join(EXPLANATIONS)} was expected"
        )
    possible = explanations_of(student)
    if explanation not in possible:
        raise UnsupportedModelError(
            f"this student cannot be explained by {explanation}; it can be by {', '.join(possible)}"
        )
    prefix, grid = student.backbone.num_prefix_tokens, student.grid
    names = list(words)
    if explanation == "dense-similarity":
        weights, prefix = _dense(student, images, embeddings), 0
    elif explanation in WORDLESS:
        rows = (_rollout if explanation == "rollout" else _attention)(student, images)
        weights = rows[:, :, None].expand(-1, -1, len(words), -1)
    elif explanation == "grad-cam":
        weights, prefix = _grad_cam(student, images, embeddings), 0
    elif explanation == "legrad":
        weights = _legrad(student, images, embeddings)
    else:
        found = (_gradient_by_hand if traceable(student) else _gradient)(student, images, embeddings)
        return gradient_maps(found, student, words, heads=heads, model=model)
    return InteractionMaps.from_scores(
        weights,
        grid=grid,
        queries=[names] * len(images),
        layers=layers_of(student, explanation),
        kind=explanation,
        model=model,
        prefix=prefix,
    )


def _scores(student: Student, images: Tensor, embeddings: Tensor) -> Tensor:
    """Cosine of every word with the image, or with the name of the query that is nearest to it, `[batch, word]`."""
    out = student(images)
    if student.embed is not None:
        return student.project(out.features) @ embeddings.T
    assert out.names is not None
    return (F.normalize(out.names, dim=-1) @ embeddings.T).amax(1)


def gradient_maps(
    relevance: Tensor, student: Student, words: Sequence[str], *, heads: bool, model: str
) -> InteractionMaps:
    """The `gradient` explanation as maps.

    Args:
        relevance: `relu(gradient) * attention` of what reads the image, `[batch, layer, word, head, token]`.
        words: names of the queries, the same for all images.
        heads: one query per head and word instead of their mean.
    """
    names = [f"{word} · head {head + 1}" for word in words for head in range(relevance.shape[3])] if heads else [*words]
    return InteractionMaps.from_scores(
        relevance.flatten(2, 3) if heads else relevance.mean(3),
        grid=student.grid,
        queries=[names] * len(relevance),
        layers=layers_of(student, "gradient"),
        kind="gradient",
        model=model,
        prefix=student.backbone.num_prefix_tokens,
    )


@torch.no_grad()
def _dense(student: Student, images: Tensor, embeddings: Tensor) -> Tensor:
    """`[batch, 1, word, patch]`."""
    patches = student(images).patches
    patches = student.named(patches) if student.config.patch_words else student.project(patches)
    return (_SHARPNESS * embeddings @ patches.transpose(1, 2)).softmax(-1)[:, None]


def _attention(student: Student, images: Tensor) -> Tensor:
    """Row of what reads the image in every block, mean over heads, `[batch, layer, token]`."""
    reading = range(student.backbone.num_prefix_tokens + math.prod(student.grid))[student.readers]
    if student.feedback is not None:  # the queries change what the patches are
        with torch.no_grad(), attention_rows(student.backbone, reading) as attention:
            student(images)
            layers = attention()
    else:
        layers = rows_of(student.backbone, images, reading)
    return torch.stack([layer.float().mean((1, 2)) for layer in layers], 1)


@torch.no_grad()
def _rollout(student: Student, images: Tensor) -> Tensor:
    """Row of what reads the image in the product of `(A + I) / 2` up to every block, `[batch, layer, token]`."""
    with self_attention(student) as attention:
        student(images)
        layers = attention()
    rows, total = [], None
    for layer in layers:
        step = (layer.float().mean(1) + torch.eye(layer.shape[-1], device=layer.device)) / 2
        total = step if total is None else step @ total
        rows.append(total[:, student.readers].mean(1))
    return torch.stack(rows, 1)


def _gradient(student: Student, images: Tensor, embeddings: Tensor) -> Tensor:
    """`relu(gradient) * attention` of what reads the image, `[batch, layer, word, head, token]`."""
    reading = student.readers
    with torch.enable_grad(), self_attention(student) as attention:
        scores = _scores(student, images.clone().requires_grad_(True), embeddings)
        layers, relevance = attention(), []
        for word in range(scores.shape[1]):
            gradients = torch.autograd.grad(scores[:, word].sum(), layers, retain_graph=True)
            pairs = zip(gradients, layers, strict=True)
            relevance.append(torch.stack([(g.relu() * a)[:, :, reading].mean(2) for g, a in pairs], 1))
    return torch.stack(relevance, 2).detach()


def _gradient_by_hand(student: Student, images: Tensor, embeddings: Tensor) -> Tensor:
    """The same where the blocks are plain ones: quicker, as two of them are left through one token."""
    return relevance(student, trace(student, images), embeddings.expand(len(images), -1, -1))


def _grad_cam(student: Student, images: Tensor, embeddings: Tensor) -> Tensor:
    """relu of tokens times mean gradient, of what every block's attention reads, `[batch, layer, word, patch]`."""
    from lfi.students.gradcam import grad_cam  # its package takes a second to load

    blocks: Any = student.backbone.blocks
    read = [block.norm1 for block in blocks]
    return grad_cam(student, read, images, lambda pixels: _scores(student, pixels, embeddings), len(embeddings))


def _legrad(student: Student, images: Tensor, embeddings: Tensor) -> Tensor:
    """Mean of relu(gradient) over heads and reading tokens, summed up to every block, `[batch, layer, word, token]`."""
    relevance = []
    with torch.enable_grad(), self_attention(student) as attention, _outputs(student.backbone.blocks) as outputs:
        student(images.clone().requires_grad_(True))
        for tokens, layer in zip(outputs, attention(), strict=True):
            pooled = student.backbone.norm(tokens)[:, student.readers].mean(1)
            scores = student.project(pooled) @ embeddings.T
            words = [torch.autograd.grad(score.sum(), layer, retain_graph=True)[0] for score in scores.unbind(1)]
            relevance.append(torch.stack([each.relu().mean((1, 2)) for each in words], 1))
    return torch.stack(relevance, 1).cumsum(1).detach()


@contextmanager
def _outputs(modules: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """What these modules put out while the block runs, in the order in which they run."""
    found: list[Tensor] = []
    handles = [module.register_forward_hook(lambda module, inputs, output: found.append(output)) for module in modules]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
