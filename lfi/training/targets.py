"""What the teacher says of every training image, computed once before training: maps, embeddings and logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lfi.data.objects import COLOURS
from lfi.data.scenes import CLASSES, SceneBatch, phrase_of
from lfi.data.shapes import SHAPES
from lfi.errors import UnsupportedModelError
from lfi.images import normalise
from lfi.teachers import CoCaTeacher
from lfi.teachers.explicit import decode, encode_image, encode_text
from lfi.teachers.words import WordTokenizer

_NAME = (False, False, True, True)  # a class is a colour and a shape


@dataclass(frozen=True, eq=False)
class TeacherTargets:
    """Targets of `n` images with at most `k` words each.

    Attributes:
        maps: float16 `[n, layer, k, patch]`, uniform where a word only pads.
        words: bool `[n, k]`.
        names: int64 `[n, k]`, the class of each word's object, 0 for padding.
        embeddings: float32 `[class, dim]`, unit norm: the teacher's text embedding of every class name.
        logits: float32 `[n, class]`: log-odds that the teacher answers yes to the class's name.
        latents: float32 `[n, dim]`, unit norm: the teacher's image embeddings.
        model: the teacher's name and fingerprint.
    """

    maps: Tensor
    words: Tensor
    names: Tensor
    embeddings: Tensor
    logits: Tensor
    latents: Tensor
    model: str


@torch.inference_mode()
def scene_targets(
    teacher: CoCaTeacher,
    scenes: SceneBatch,
    maps: str = "statements",
    layers: tuple[int, ...] = (0,),
    batch: int = 64,
) -> TeacherTargets:
    """Targets for generated scenes.

    Args:
        teacher: trained on presence statements; its vocabulary holds `yes` and `no`.
        maps: `statements`: every object's colour and shape alone; `captions`: its noun within the whole caption.
        layers: decoder layers, counted from 0.

    Raises:
        UnsupportedModelError: if the teacher cannot be asked such statements.
    """
    tokenizer, model = teacher.tokenizer, teacher.model
    if not isinstance(tokenizer, WordTokenizer) or model.visual.attn_pool is not None:
        raise UnsupportedModelError(
            f"{teacher.name} was not trained on presence statements; train one with `lfi train-default`"
        )
    attributes = scenes.attributes
    words = attributes[..., 3] >= 0
    names = np.where(words, attributes[..., 2] * len(SHAPES) + attributes[..., 3], 0)
    assert len(CLASSES) == len(COLOURS) * len(SHAPES)
    classes = tokenizer(CLASSES, 5)
    yes, no = (int(tokenizer.encode(word)[1]) for word in ("yes", "no"))
    _, class_states = encode_text(model, classes)
    class_states = class_states[None, :, :3]
    captions = tokenizer(scenes.captions)
    nouns = _noun_positions(captions, tokenizer) if maps == "captions" else None

    found: dict[str, list[Tensor]] = {"maps": [], "logits": [], "latents": []}
    for start in tqdm(range(0, len(scenes), batch), desc="asking the teacher", unit="batch", leave=False):
        rows = slice(start, start + batch)
        latent, patches = encode_image(model, normalise(torch.from_numpy(scenes.images[rows])))
        final, scores = decode(model, class_states.expand(len(latent), -1, -1, -1), patches)
        answers = final[:, :, -1] @ model.text_decoder.text_projection[:, [yes, no]]
        if nouns is None:  # every class was asked for: take those that are there
            at = torch.from_numpy(names[rows])
            attention = torch.stack([scores[layer][:, :, :, -1].softmax(-1).mean(1) for layer in layers], 1)
        else:
            at = nouns[rows]
            _, states = encode_text(model, captions[rows])
            _, scores = decode(model, states[:, None], patches)
            attention = torch.stack([scores[layer][:, :, 0].softmax(-1).mean(1) for layer in layers], 1)
        index = at[:, None, :, None].expand(-1, len(layers), -1, attention.shape[-1])
        found["maps"].append(attention.gather(2, index).half())
        found["logits"].append(answers[..., 0] - answers[..., 1])
        found["latents"].append(torch.nn.functional.normalize(latent, dim=-1))
    stacked = {name: torch.cat(parts) for name, parts in found.items()}
    mask = torch.from_numpy(words)
    stacked["maps"][~mask[:, None].expand(-1, len(layers), -1)] = 1 / stacked["maps"].shape[-1]
    return TeacherTargets(
        words=mask,
        names=torch.from_numpy(names),
        embeddings=teacher.embed_texts(CLASSES),
        model=f"{teacher.name}@{teacher.fingerprint}",
        **stacked,
    )


def _noun_positions(captions: Tensor, tokenizer: WordTokenizer) -> Tensor:
    """Positions of the shape words of captions, int64 `[n, 5]`, in reading order; 0 where there are no more."""
    shapes = torch.tensor([int(tokenizer.encode(shape)[1]) for shape in SHAPES])
    positions = torch.zeros(len(captions), 5, dtype=torch.int64)
    for row, ids in zip(positions, captions, strict=True):
        at = torch.isin(ids, shapes).nonzero()[:, 0]
        row[: len(at)] = at
    return positions


def names_of(scenes: SceneBatch, row: int) -> list[str]:
    """Class names of the objects of one scene, in reading order."""
    return [phrase_of(thing, _NAME) for thing in scenes.attributes[row] if thing[3] >= 0]
