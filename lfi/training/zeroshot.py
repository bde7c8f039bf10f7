"""How well a model in training classifies images it has not seen, by their class names or captions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.accuracy import among_best
from lfi.data.imageset import ImageSet
from lfi.errors import DataError
from lfi.images import normalise
from lfi.teachers.content import Tokenizer
from lfi.training.caption_sentences import bank_of
from lfi.training.sentences import padded, reader

_AT_ONCE = 256


def zero_shot(
    model: Any, images: ImageSet, tokenizer: Tokenizer, context: int, prompt: str = "{}"
) -> Callable[[], dict[str, float]]:
    """What to measure of a model, ready to be asked during training.

    Args:
        model: an open_clip CLIP or CoCa.
        images: with one label each, or else with captions.
        prompt: in which class names are read.

    Returns:
        A function that gives percentages: `top-1` and `top-5` of the class names; or, where images have no single
        labels, `recall@1` and `recall@5` of an image by its caption, among all images.

    Raises:
        UnknownWordError: for a class name with a word that the tokeniser does not know.
        DataError: if there is nothing to measure: no images, or neither labels nor captions.
    """
    if images.classes and not images.multilabel and (images.labels >= 0).any():
        rows = np.flatnonzero(images.labels >= 0)
        ids = torch.from_numpy(bank_of(images.classes, tokenizer, prompt, context))
        labels = torch.from_numpy(images.labels[rows])
        pictures = images.images[rows]
        return lambda: _hits(embed_images(model, pictures) @ embed_texts(model, ids).T, labels, "top-{}")

    captions = list(map(reader(tokenizer, context), images.captions))
    rows = np.flatnonzero([caption != "" for caption in captions])
    if not len(rows):
        raise DataError(f"{len(images)} validation images have neither single labels nor captions")
    ids = tokenizer([captions[row] for row in rows], context)
    first: dict[bytes, int] = {}  # an image may have several captions, a row each
    where = torch.tensor([first.setdefault(images.images[row].tobytes(), len(first)) for row in rows])
    _, shown = np.unique(where.numpy(), return_index=True)
    pictures = images.images[rows[shown]]
    return lambda: _hits(embed_texts(model, ids) @ embed_images(model, pictures).T, where, "recall@{}")


@torch.inference_mode()
def embed_images(model: Any, images: np.ndarray) -> Tensor:
    """Unit-norm `[n, dim]` on the CPU, of uint8 `[n, size, size, 3]`."""
    device = model.logit_scale.device
    parts = (normalise(torch.from_numpy(images[at : at + _AT_ONCE])) for at in range(0, len(images), _AT_ONCE))
    return torch.cat([F.normalize(model.encode_image(part.to(device)).float(), dim=-1).cpu() for part in parts])


@torch.inference_mode()
def embed_texts(model: Any, ids: Tensor) -> Tensor:
    """Unit-norm `[n, dim]` on the CPU, of ids `[n, length]`."""
    parts = padded(ids, model.context_length).to(model.logit_scale.device).split(_AT_ONCE)
    return torch.cat([F.normalize(model.encode_text(part).float(), dim=-1).cpu() for part in parts])


def _hits(scores: Tensor, right: Tensor, name: str) -> dict[str, float]:
    """In percent, how often the right column of `scores` `[n, m]` is the best one, and one of the best five."""
    return {name.format(k): 100 * float(among_best(scores, right, k).float().mean()) for k in (1, 5)}
