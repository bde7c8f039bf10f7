"""What a scene can contain, and what can be said about it."""

from __future__ import annotations

from dataclasses import dataclass

from lfi.data.shapes import SHAPES

COLOURS = {
    "red": (208, 30, 36),
    "orange": (245, 132, 20),
    "yellow": (245, 215, 40),
    "green": (36, 150, 56),
    "cyan": (50, 200, 215),
    "blue": (30, 70, 200),
    "purple": (125, 45, 160),
    "pink": (250, 130, 180),
}
SIZES = ("", "small", "large")
TEXTURES = ("", "striped", "dotted")

_COLOUR_NAMES = tuple(COLOURS)


@dataclass(frozen=True)
class SceneObject:
    """One shape of a scene. Positions and radius are fractions of the image's side, `angle` is in radians."""

    shape: str
    colour: str
    size: str
    texture: str
    x: float
    y: float
    radius: float
    angle: float

    @property
    def label(self) -> int:
        """Index into `CLASSES`."""
        return _COLOUR_NAMES.index(self.colour) * len(SHAPES) + SHAPES.index(self.shape)

    @property
    def name(self) -> str:
        """Colour and shape, e.g. `red circle`: the object's class."""
        return f"{self.colour} {self.shape}"

    @property
    def phrase(self) -> str:
        """All that a caption says of it, e.g. `small striped red circle`."""
        return " ".join(word for word in (self.size, self.texture, self.colour, self.shape) if word)

    @property
    def attributes(self) -> tuple[int, int, int, int]:
        """Indices into `SIZES`, `TEXTURES`, `COLOURS` and `SHAPES`."""
        return (
            SIZES.index(self.size),
            TEXTURES.index(self.texture),
            _COLOUR_NAMES.index(self.colour),
            SHAPES.index(self.shape),
        )
