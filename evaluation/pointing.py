"""Do words point? Word-addressed maps of any answerer against the masks of what the words name.

Pictures go to the answerers whole, as uploads do, so the maps that are measured are those that are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from evaluation.metrics.energy import energy_in_mask
from evaluation.metrics.pointing_game import pointing_hit
from lfi.answerers import Answerer
from lfi.data.notes import Note
from lfi.data.scenes import SceneBatch, phrase_of
from lfi.errors import DataError

PHRASES = {
    "shape": (False, False, False, True),
    "colour": (False, False, True, False),
    "colour and shape": (False, False, True, True),
    "whole phrase": (True, True, True, True),
}
"""What a person may type for an object, as the parts of its description that are said."""


@dataclass(frozen=True, eq=False)
class Localisation:
    """How well one model's maps fall on what was named.

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
        images: uint8 `[height, width, 3]` each, as they would be uploaded.
        rows: int `[case]`: which image the case belongs to, in rising order.
        kinds, phrases: what kind of phrase each case is (one of `PHRASES`, or `class`), and what is asked.
        masks: bool `[case, size, size]`, of the image squashed to a square.
        notes: what the data hold that is not asked.
    """

    images: Sequence[np.ndarray] | np.ndarray
    rows: np.ndarray
    kinds: np.ndarray
    phrases: tuple[str, ...]
    masks: np.ndarray
    notes: tuple[Note, ...] = ()


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


def word_maps(answerer: Answerer[Any], cases: Cases, batch: int = 16, floor: bool = False) -> WordMaps:
    """An answerer's map for every case.

    Args:
        floor: ask in every image's place the one before it, and the last one in the first one's.

    Raises:
        DataError: a floor of one image alone.
    """
    count, before = len(cases.images), int(floor)
    if floor and count < 2:
        raise DataError(f"another image's maps are the floor, but there are {count} images; at least two were expected")
    found = []
    for start in range(0, count, batch):
        shown = range(start, min(start + batch, count))
        pictures = [Image.fromarray(cases.images[row - before]) for row in shown]
        words: list[list[str]] = [[] for _ in pictures]
        for case in np.flatnonzero((cases.rows >= start) & (cases.rows < start + len(pictures))):
            words[cases.rows[case] - start].append(cases.phrases[case])
        asked = [row for row, own in enumerate(words) if own]
        encoded = answerer.encode(answerer.preprocess(pictures))
        answers = answerer.answer([encoded[row] for row in asked], [words[row] for row in asked])
        found += [each.maps.weights[0].cpu() for each in answers]
    return WordMaps(
        maps=torch.cat(found, 1),
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
    answerer: Answerer[Any],
    scenes: SceneBatch,
    kinds: Sequence[str] = tuple(PHRASES),
    batch: int = 16,
    floor: bool = False,
) -> Localisation:
    """How well an answerer's maps, or another image's (`floor`), fall on what the words name."""
    found = word_maps(answerer, scene_cases(scenes, kinds), batch, floor)
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
