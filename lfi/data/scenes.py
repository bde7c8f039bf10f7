"""Generated scenes: what an image contains, what can be said about it and where everything is are known exactly.

1-5 coloured shapes in one of four domains (photo, painting, cartoon, sketch), with a caption that names them in
reading order, exact visible masks, boxes and multi-labels. Scene `i` of a set depends on `(seed, i)` alone, so sets
need no files, any part of one can be drawn anywhere, and train and test are different seeds. About a millisecond each
at 64 px: drawing never slows a training step down.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from lfi.data.drawing import draw
from lfi.data.imageset import ImageSet
from lfi.data.objects import COLOURS, SIZES, TEXTURES, SceneObject
from lfi.data.shapes import SHAPES
from lfi.errors import ConfigError

DOMAINS = ("photo", "painting", "cartoon", "sketch")
RELATIONS = ("left of", "right of", "above", "below")
CLASSES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
"""The 80 labels of a scene: every colour with every shape."""
MAX_OBJECTS = 5

_RADII = {"small": (0.11, 0.13), "": (0.15, 0.18), "large": (0.2, 0.24)}  # of the image's side
_COLOUR_NAMES = tuple(COLOURS)


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn scene.

    Attributes:
        domain: one of `DOMAINS`.
        objects: in reading order (rows of the image, left to right within a row).
        image: uint8 `[size, size, 3]`, RGB.
        masks: bool `[object, size, size]`, the visible pixels of each object.
    """

    domain: str
    objects: tuple[SceneObject, ...]
    image: np.ndarray
    masks: np.ndarray

    @property
    def caption(self) -> str:
        """E.g. `a photo of a small red circle left of a striped blue star`."""
        parts = [f"a {self.domain} of a {self.objects[0].phrase}"]
        for one, other in zip(self.objects, self.objects[1:], strict=False):
            parts.append(f"{relation(one, other)} a {other.phrase}")
        return " ".join(parts)

    @property
    def labels(self) -> np.ndarray:
        """Multi-label target, float32 `[80]`, one for every class of `CLASSES` that is present."""
        target = np.zeros(len(CLASSES), np.float32)
        target[[thing.label for thing in self.objects]] = 1
        return target

    @property
    def boxes(self) -> np.ndarray:
        """Boxes of the visible masks, float32 `[object, 4]`: left, top, right, bottom in pixels, right/bottom open."""
        boxes = np.zeros((len(self.objects), 4), np.float32)
        for index, mask in enumerate(self.masks):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            boxes[index] = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        return boxes


def relation(one: SceneObject, other: SceneObject) -> str:
    """How `one` lies to `other`: the larger of the horizontal and vertical distance decides."""
    dx, dy = other.x - one.x, other.y - one.y
    if abs(dx) >= abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


class Scenes:
    """A set of scenes, drawn when asked for.

    Args:
        count: number of scenes.
        seed: of the whole set; scene `i` depends on `(seed, i)` alone.
        size: side in pixels, at least 16.
        domains: which domains to draw from, evenly.
        objects: fewest and most objects of a scene, within 1-5.

    Raises:
        ConfigError: for a size, a domain or a number of objects outside these.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        size: int = 64,
        domains: tuple[str, ...] = DOMAINS,
        objects: tuple[int, int] = (2, 4),
    ):
        if size < 16:
            raise ConfigError(f"scenes of {size} px are too small to show a shape; at least 16 px are needed")
        unknown = set(domains) - set(DOMAINS)
        if unknown or not domains:
            raise ConfigError(f"unknown domain {', '.join(sorted(unknown)) or '(none)'}; one of {', '.join(DOMAINS)}")
        if not 1 <= objects[0] <= objects[1] <= MAX_OBJECTS:
            raise ConfigError(f"objects per scene are {objects}; 1 to {MAX_OBJECTS}, fewest first, was expected")
        self.count, self.seed, self.size, self.domains, self.objects = count, seed, size, domains, objects

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(self.count))

    def __getitem__(self, index: int) -> Scene:
        if not 0 <= index < self.count:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, index))
        domain = self.domains[rng.integers(len(self.domains))]
        objects = _place(rng, int(rng.integers(self.objects[0], self.objects[1] + 1)))
        image, masks = draw(rng, domain, objects, self.size)
        return Scene(domain, objects, image, masks)

    def batch(self, start: int, stop: int, masks: bool = True) -> SceneBatch:
        """Scenes `start` to `stop`, stacked; without masks where they would only take memory."""
        scenes = [self[index] for index in range(start, stop)]
        attributes = np.full((len(scenes), MAX_OBJECTS, 4), -1, np.int64)
        kept = np.zeros((len(scenes), MAX_OBJECTS if masks else 0, self.size, self.size), bool)
        for row, scene in enumerate(scenes):
            attributes[row, : len(scene.objects)] = [thing.attributes for thing in scene.objects]
            if masks:
                kept[row, : len(scene.objects)] = scene.masks
        return SceneBatch(
            images=np.stack([scene.image for scene in scenes]),
            labels=np.stack([scene.labels for scene in scenes]),
            attributes=attributes,
            masks=kept,
            captions=[scene.caption for scene in scenes],
            domains=[scene.domain for scene in scenes],
        )

    def load(self, masks: bool = True, processes: int = 1) -> SceneBatch:
        """All scenes in memory (12 KB an image at 64 px, 20 KB its masks)."""
        step = 500
        spans = [(start, min(start + step, self.count)) for start in range(0, self.count, step)]
        if processes == 1 or len(spans) == 1:
            return SceneBatch.concatenate([self.batch(*span, masks) for span in spans])
        with ProcessPoolExecutor(processes) as pool:
            return SceneBatch.concatenate(list(pool.map(self.batch, *zip(*spans, strict=True), [masks] * len(spans))))


@dataclass(frozen=True, eq=False)
class SceneBatch:
    """Scenes as arrays.

    Attributes:
        images: uint8 `[n, size, size, 3]`.
        labels: float32 `[n, 80]`.
        attributes: int64 `[n, 5, 4]`, `SceneObject.attributes` in reading order, -1 where there is no object.
        masks: bool `[n, 5, size, size]`, `[n, 0, size, size]` where they were left out.
        captions, domains: one string a scene.
    """

    images: np.ndarray
    labels: np.ndarray
    attributes: np.ndarray
    masks: np.ndarray
    captions: list[str]
    domains: list[str]

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def concatenate(cls, parts: list[SceneBatch]) -> SceneBatch:
        """One batch of several."""
        return cls(
            images=np.concatenate([part.images for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            attributes=np.concatenate([part.attributes for part in parts]),
            masks=np.concatenate([part.masks for part in parts]),
            captions=[caption for part in parts for caption in part.captions],
            domains=[domain for part in parts for domain in part.domains],
        )

    def image_set(self, name: str) -> ImageSet:
        """These scenes with their captions and, as words, the colour and shape of every object in reading order.

        Args:
            name: of the set; a scene's id is `name/number`.
        """
        parts = (False, False, True, True)
        words = [tuple(phrase_of(thing, parts) for thing in row if thing[3] >= 0) for row in self.attributes]
        return ImageSet(
            images=self.images,
            ids=tuple(f"{name}/{row}" for row in range(len(self))),
            classes=CLASSES,
            labels=self.labels,
            captions=tuple(self.captions),
            words=tuple(words),
            domains=tuple(self.domains),
        )

    def first(self, count: int) -> SceneBatch:
        """The first `count` scenes."""
        return SceneBatch(
            images=self.images[:count],
            labels=self.labels[:count],
            attributes=self.attributes[:count],
            masks=self.masks[:count],
            captions=self.captions[:count],
            domains=self.domains[:count],
        )


def phrase_of(attributes: np.ndarray, parts: np.ndarray | tuple[bool, ...] = (True,) * 4) -> str:
    """Words of an object's attributes `[4]`, restricted to `parts` (size, texture, colour, shape)."""
    names = (SIZES, TEXTURES, _COLOUR_NAMES, SHAPES)
    words = [names[k][attributes[k]] for k in range(4) if parts[k]]
    return " ".join(word for word in words if word)


def _place(rng: np.random.Generator, count: int) -> tuple[SceneObject, ...]:
    """Objects of different classes that overlap little, in reading order."""
    labels = rng.choice(len(CLASSES), count, replace=False)
    spots: list[tuple[float, float, float]] = []
    sizes = [SIZES[k] for k in rng.choice(3, count, p=(0.5, 0.25, 0.25))]
    textures = [TEXTURES[k] for k in rng.choice(3, count, p=(0.6, 0.2, 0.2))]
    shrink = 0.85 if count == MAX_OBJECTS else 1.0
    for size in sizes:
        radius = rng.uniform(*_RADII[size]) * shrink
        best, clearance = (0.5, 0.5), -np.inf
        for x, y in rng.uniform(radius, 1 - radius, (24, 2)):
            gap = min((np.hypot(x - ox, y - oy) - radius - other for ox, oy, other in spots), default=1.0)
            if gap > clearance:
                best, clearance = (float(x), float(y)), gap
            if gap > 0:
                break
        spots.append((*best, float(radius)))
    angles = rng.uniform(-0.26, 0.26, count)  # at most 15 degrees: a turned square would be a diamond
    objects = [
        SceneObject(
            SHAPES[label % len(SHAPES)],
            _COLOUR_NAMES[label // len(SHAPES)],
            size,
            texture,
            *spot,
            float(angle),
        )
        for label, size, texture, spot, angle in zip(labels, sizes, textures, spots, angles, strict=True)
    ]
    return tuple(sorted(objects, key=lambda thing: (int(thing.y * 3), thing.x)))
