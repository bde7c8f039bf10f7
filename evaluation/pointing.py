"""Do words point? Word-addressed maps of any model against the masks of what the words name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.metrics.energy import energy_in_mask
from evaluation.metrics.pointing_game import pointing_hit
from lfi.data.scenes import SceneBatch, phrase_of
from lfi.images import MEAN, STD, normalise
from lfi.maps import InteractionMaps
from lfi.peers import Peer
from lfi.students import Student
from lfi.students.explanations import explain
from lfi.teachers.openclip import OpenClipTeacher
from lfi.training.views import resized

PHRASES = {
    "shape": (False, False, False, True),
    "colour": (False, False, True, False),
    "colour and shape": (False, False, True, True),
    "whole phrase": (True, True, True, True),
}
"""What a person may type for an object, as the parts of its description that are said."""

Pointer = Callable[[Tensor, Sequence[str]], InteractionMaps]
"""Maps of images `[batch, 3, height, width]`, normalised by `lfi.images`, for prompts, every prompt for every image."""


@dataclass(frozen=True, eq=False)
class Localisation:
    """How one model's maps lie on what was named.

    Attributes:
        hits: float `[layer, case]`: 1 where the peak lies in the mask (pixel by pixel, no tolerance).
        centred: the same with the map interpolated between the patches' centres.
        energy: float `[layer, case]`: share of the map inside the mask.
        area: float `[case]`: share of the image that the mask covers, which is chance for both.
        centre: float `[case]`: 1 where the image's centre lies in the mask: the prior of a map that knows nothing.
        images: int `[case]`: which image the case belongs to.
        kinds: which of `PHRASES` each case is.
    """

    hits: np.ndarray
    centred: np.ndarray
    energy: np.ndarray
    area: np.ndarray
    centre: np.ndarray
    images: np.ndarray
    kinds: np.ndarray

    def best_layer(self) -> int:
        """Index of the layer with the most hits."""
        return int(self.hits.mean(1).argmax())


@dataclass(frozen=True, eq=False)
class Cases:
    """What is asked of some images: phrases, each with the mask of what it names.

    Attributes:
        images: uint8 `[n, size, size, 3]`.
        rows: int `[case]`: which image the case belongs to, in rising order.
        kinds, phrases: what kind of phrase each case is (one of `PHRASES`, or `class`), and what is asked.
        masks: bool `[case, size, size]`.
    """

    images: np.ndarray
    rows: np.ndarray
    kinds: np.ndarray
    phrases: tuple[str, ...]
    masks: np.ndarray


@dataclass(frozen=True, eq=False)
class WordMaps:
    """One model's maps for everything that can be asked of some images.

    Attributes:
        maps: float32 `[layer, case, rows, columns]`.
        masks: bool `[case, height, width]`: what the phrase names.
        images: int `[case]`: which image the case belongs to.
        kinds, phrases: which of `PHRASES` each case is, and what was asked.
    """

    maps: Tensor
    masks: Tensor
    images: np.ndarray
    kinds: np.ndarray
    phrases: tuple[str, ...]


def word_maps(pointer: Pointer, cases: Cases, batch: int = 16) -> WordMaps:
    """A model's map for every case."""
    found = []
    for start in range(0, len(cases.images), batch):
        images = normalise(torch.from_numpy(np.ascontiguousarray(cases.images[start : start + batch])))
        here = np.flatnonzero((cases.rows >= start) & (cases.rows < start + len(images)))
        asked = [cases.phrases[case] for case in here]
        prompts = list(dict.fromkeys(asked))
        if prompts:
            maps = pointer(images, prompts).weights
            found.append(maps[cases.rows[here] - start, :, [prompts.index(phrase) for phrase in asked]])
    return WordMaps(
        maps=torch.cat(found).transpose(0, 1),
        masks=torch.from_numpy(cases.masks),
        images=cases.rows,
        kinds=cases.kinds,
        phrases=cases.phrases,
    )


def scene_cases(scenes: SceneBatch, kinds: Sequence[str] = tuple(PHRASES)) -> Cases:
    """Every object of every scene by every kind of phrase.

    Where a phrase fits several objects of an image, any of them counts, and it is asked once.
    """
    cases = [case for row in range(len(scenes)) for case in word_cases(scenes, row, kinds)]
    rows, kinds_, phrases, masks = zip(*cases, strict=True)
    return Cases(scenes.images, np.array(rows), np.array(kinds_), phrases, np.stack(masks))


def localise(
    pointer: Pointer, scenes: SceneBatch, kinds: Sequence[str] = tuple(PHRASES), batch: int = 16
) -> Localisation:
    """How a model's word-addressed maps lie on what the words name."""
    found = word_maps(pointer, scene_cases(scenes, kinds), batch)
    masks, middle = found.masks, found.masks.shape[-1] // 2

    def of_layers(measure: Callable[[Tensor], Tensor]) -> np.ndarray:
        return torch.stack([measure(maps) for maps in found.maps]).numpy()

    return Localisation(
        hits=of_layers(lambda maps: pointing_hit(maps, masks)),
        centred=of_layers(lambda maps: pointing_hit(maps, masks, smooth=False)),
        energy=of_layers(lambda maps: energy_in_mask(maps, masks)),
        area=masks.float().mean((1, 2)).numpy(),
        centre=masks[:, middle, middle].float().numpy(),
        images=found.images,
        kinds=found.kinds,
    )


def word_cases(scenes: SceneBatch, row: int, kinds: Sequence[str]) -> list[tuple[int, str, str, np.ndarray]]:
    """Image, kind, phrase and mask `[size, size]` of everything that can be asked of one scene."""
    cases, asked = [], set()
    things = [thing for thing in scenes.attributes[row] if thing[3] >= 0]
    for kind in kinds:
        parts = np.array(PHRASES[kind])
        for thing in things:
            said = parts & ((thing > 0) | np.array([False, False, True, True]))  # unnamed size and texture are not said
            phrase = phrase_of(thing, said)
            fits = [bool((other == thing)[said].all()) for other in things]
            mask = scenes.masks[row, : len(things)][fits].any(0)
            if (kind, phrase) not in asked and np.any(mask):
                asked.add((kind, phrase))
                cases.append((row, kind, phrase, np.asarray(mask)))
    return cases


def teacher_pointer(teacher: OpenClipTeacher) -> Pointer:
    """The teacher's cross-attention at the phrase's last word."""
    return lambda images, prompts: teacher.interactions_of(teacher.from_pixels(images * STD + MEAN), prompts)


def lfi_pointer(student: Student, teacher: OpenClipTeacher) -> Pointer:
    """The Interaction Query whose name is nearest to the phrase's text embedding."""

    @torch.inference_mode()
    def point(images: Tensor, prompts: Sequence[str]) -> InteractionMaps:
        out = student(resized(images, student.image_size))
        assert out.names is not None
        assert out.attention is not None
        nearness = teacher.embed_texts(prompts) @ F.normalize(out.names.float(), dim=-1).transpose(1, 2)
        query = nearness.argmax(-1)  # [batch, prompt]
        index = query[:, None, :, None].expand(-1, out.attention.shape[1], -1, out.attention.shape[-1])
        return InteractionMaps.from_scores(
            out.attention.gather(2, index),
            grid=student.grid,
            queries=[list(prompts)] * len(images),
            layers=student.layers,
            kind="interaction-query",
            model="lfi",
        )

    return point


def baseline_pointer(student: Student, teacher: OpenClipTeacher, explanation: str) -> Pointer:
    """A post-hoc explanation of a student without queries."""
    return lambda images, prompts: explain(
        student,
        explanation,
        resized(images, student.image_size),
        prompts,
        teacher.embed_texts(prompts).clone(),
        heads=False,
        model="baseline",
    )


def peer_pointer(peer: Peer, explanation: str) -> Pointer:
    """An explanation of another model."""
    return lambda images, prompts: peer.explain(
        explanation, peer.read(resized(images, peer.student.image_size)), prompts, model="peer"
    )


def shuffled_pointer(pointer: Pointer) -> Pointer:
    """The floor: every image is shown the maps of the next one."""

    def point(images: Tensor, prompts: Sequence[str]) -> InteractionMaps:
        return pointer(images.roll(1, 0), prompts)

    return point
