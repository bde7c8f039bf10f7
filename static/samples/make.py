"""Draws the sample pictures that are not generated scenes: `python static/samples/make.py`.

The default models know coloured shapes. These pictures hold such shapes, but other brushes drew them than the
training scenes': cut paper under a lamp, solids with light and shadow, a laid table, an evening sky. They are
the project's own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom
from solids import trace_solids

from lfi.data.shapes import distance

SIZE = 720
FINE = 2 * SIZE  # drawn at twice the size, then averaged
FOLDER = Path(__file__).parent

RED, ORANGE, YELLOW = (0.80, 0.13, 0.14), (0.95, 0.50, 0.10), (0.96, 0.82, 0.20)
GREEN, BLUE, PURPLE, PINK = (0.16, 0.56, 0.25), (0.14, 0.30, 0.76), (0.47, 0.20, 0.60), (0.96, 0.55, 0.70)


class Canvas:
    """Linear-ish RGB in [0, 1] at twice the final size, with everything that is laid on it."""

    def __init__(self, ground: np.ndarray, seed: int):
        self.pixels = ground
        self.rng = np.random.default_rng(seed)
        row, column = np.mgrid[:FINE, :FINE].astype(np.float32) / FINE
        self.x, self.y = column, row

    def noise(self, knots: int, stretch: int = 1) -> np.ndarray:
        """Smooth noise of about unit deviation; `stretch` draws it out along x."""
        return smooth_noise(self.rng, knots, stretch)

    def field(self, shape: str, x: float, y: float, radius: float, angle: float = 0, shake: float = 0) -> np.ndarray:
        """Signed distance to a shape in units of the picture; `shake` makes its edge as if cut by hand."""
        dx, dy = (self.x - x) / radius, (self.y - y) / radius
        cos, sin = np.cos(angle), np.sin(angle)
        field = distance(shape, cos * dx + sin * dy, cos * dy - sin * dx)
        if shape == "heart":  # its outline is a polygon of 24 corners, which shows at this size
            field = gaussian_filter(field, 0.09 * radius * FINE)
        return radius * (field + shake * self.noise(14))

    def shade(self, field: np.ndarray, drop: float, blur: float, depth: float) -> None:
        """The shadow of a thing that floats `drop` above the ground, lit from the upper left."""
        step = int(drop * FINE)
        fallen = np.roll((field < 0).astype(np.float32), (step, int(step * 0.7)), (0, 1))
        self.pixels *= 1 - depth * gaussian_filter(fallen, blur * FINE)[..., None]

    def lay(self, field: np.ndarray, paint: np.ndarray, cover: float = 1.0) -> None:
        """Paint where the field is negative, with a soft edge of one pixel."""
        ink = cover * np.clip(0.5 - field * FINE, 0, 1)[..., None]
        self.pixels = self.pixels * (1 - ink) + paint * ink

    def save(self, name: str, grain: float = 0.012) -> None:
        save(self.pixels, name, self.rng.standard_normal((SIZE, SIZE, 1)) * grain)


def smooth_noise(rng: np.random.Generator, knots: int, stretch: int = 1) -> np.ndarray:
    coarse = rng.standard_normal((knots, max(knots // stretch, 2)))
    drawn = zoom(coarse, (FINE / coarse.shape[0], FINE / coarse.shape[1]), order=3, mode="nearest", grid_mode=True)
    return drawn.astype(np.float32)


def save(pixels: np.ndarray, name: str, grain: np.ndarray | float = 0.0) -> None:
    small = pixels.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3)) + grain
    image = Image.fromarray((np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8))
    image.save(FOLDER / f"{name}.jpg", quality=88, optimize=True, progressive=True)


def flat(colour: tuple[float, float, float]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.float32), (FINE, FINE, 3)).copy()


def wood(seed: int) -> np.ndarray:
    """Planks: long fibres, a few bent rings, dark joints."""
    rng = np.random.default_rng(seed)
    row = np.mgrid[:FINE, :FINE][0].astype(np.float32) / FINE
    fibre = 0.6 * smooth_noise(rng, 360, 40) + 0.5 * smooth_noise(rng, 120, 20)
    rings = np.sin(38 * row + 3.5 * smooth_noise(rng, 6, 2))
    plank = np.floor(row * 4)
    tone = 1 + 0.05 * np.sin(plank * 12.9) + 0.035 * fibre + 0.045 * rings
    joint = np.abs(row * 4 - np.round(row * 4)) < 0.006
    tone = np.where(joint & (row > 0.02) & (row < 0.98), tone * 0.62, tone)
    return np.array((0.66, 0.55, 0.44), np.float32) * tone[..., None]


def lamp(canvas: Canvas, x: float, y: float, strength: float) -> None:
    """Light that falls off from a point: no photograph is lit evenly."""
    canvas.pixels *= (1.1 - strength * np.hypot(canvas.x - x, canvas.y - y) ** 1.5)[..., None]


def paper() -> None:
    """Cut paper on a table."""
    canvas = Canvas(wood(3), 11)
    cut = [
        ("star", 0.28, 0.27, 0.17, 0.15, BLUE),
        ("circle", 0.73, 0.26, 0.15, 0, RED),
        ("triangle", 0.25, 0.73, 0.16, -0.12, YELLOW),
        ("heart", 0.71, 0.73, 0.16, 0.1, GREEN),
    ]
    for shape, x, y, radius, angle, colour in cut:
        field = canvas.field(shape, x, y, radius, angle, shake=0.012)
        canvas.shade(field, 0.012, 0.008, 0.5)
        fibre = 1 + 0.02 * canvas.noise(260) + 0.012 * canvas.noise(30)
        curl = 1.06 - 0.5 * (canvas.x - x + canvas.y - y)
        edge = 1 + 0.12 * np.exp(np.minimum(field, 0) / 0.004)  # the paper's thickness catches the light
        canvas.lay(field, flat(colour) * (fibre * curl * edge)[..., None])
    lamp(canvas, 0.3, 0.2, 0.42)
    canvas.save("paper")


def table() -> None:
    """A laid table from above: cloth, plate, fruit, napkin, biscuit."""
    canvas = Canvas(flat((0.72, 0.74, 0.73)), 5)
    weave = 0.02 * np.sin(canvas.x * 900) * np.sin(canvas.y * 900) + 0.03 * canvas.noise(5)
    canvas.pixels *= (1 + weave)[..., None]

    napkin = canvas.field("square", 0.76, 0.25, 0.19, 0.12)
    canvas.shade(napkin, 0.006, 0.006, 0.35)
    hem = np.where(np.abs(napkin + 0.014) < 0.0022, 0.8, 1.0)
    folds = 1 + 0.05 * np.sin((canvas.x + 0.3 * canvas.y) * 40) * (0.4 + 0.3 * canvas.noise(4))
    canvas.lay(napkin, flat(BLUE) * (folds * hem)[..., None])

    for radius, tone in ((0.235, 0.93), (0.165, 0.88)):
        plate = canvas.field("circle", 0.3, 0.32, radius)
        if tone > 0.9:
            canvas.shade(plate, 0.014, 0.012, 0.45)
        glaze = tone + 0.25 * (0.3 - canvas.x + 0.32 - canvas.y)
        rim = np.where(np.abs(plate + 0.004) < 0.003, 0.9, 1.0)
        canvas.lay(plate, np.repeat((glaze * rim)[..., None], 3, 2))
    ball(canvas, 0.3, 0.31, 0.125, RED, gloss=0.55)
    ball(canvas, 0.75, 0.74, 0.15, ORANGE, gloss=0.25, pores=0.05)

    biscuit = canvas.field("star", 0.28, 0.77, 0.17, 0.2, shake=0.02)
    canvas.shade(biscuit, 0.01, 0.007, 0.45)
    icing = canvas.field("star", 0.28, 0.77, 0.15, 0.2, shake=0.02)
    crumb = 1 + 0.05 * canvas.noise(120)
    canvas.lay(biscuit, flat((0.72, 0.50, 0.28)) * crumb[..., None])
    canvas.lay(icing, flat(PINK) * (1.02 + 0.1 * np.exp(np.minimum(icing, 0) / 0.008))[..., None])
    lamp(canvas, 0.25, 0.15, 0.38)
    canvas.save("table")


def ball(canvas: Canvas, x: float, y: float, radius: float, colour: tuple, gloss: float, pores: float = 0) -> None:
    """A round fruit: shadow, Lambert shading, a highlight."""
    field = canvas.field("circle", x, y, radius)
    canvas.shade(field, 0.022, 0.018, 0.55)
    u, v = (canvas.x - x) / (0.92 * radius), (canvas.y - y) / (0.92 * radius)
    up = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
    light = np.clip(-0.45 * u - 0.55 * v + 0.7 * up, 0, 1)
    skin = flat(colour) * (0.45 + 0.68 * light + pores * canvas.noise(150))[..., None]
    shine = gloss * np.exp(-((u + 0.33) ** 2 + (v + 0.4) ** 2) / 0.035)
    canvas.lay(field, skin + shine[..., None])


def evening() -> None:
    """A painted evening sky over a hill: moon, kite, heart, star."""
    canvas = Canvas(flat((0, 0, 0)), 23)
    sky = canvas.y[..., None] ** 0.8
    strokes = (0.030 * canvas.noise(160, 12) + 0.04 * canvas.noise(8, 2))[..., None]
    canvas.pixels = (1 - sky) * np.float32((0.45, 0.52, 0.68)) + sky * np.float32((0.86, 0.78, 0.74)) + strokes
    hill = canvas.y - 0.88 + 0.05 * np.sin(canvas.x * 5 + 0.6)
    canvas.lay(-hill, flat((0.38, 0.44, 0.42)) + 0.04 * canvas.noise(160, 8)[..., None])

    string = np.abs(canvas.x - 0.70 + 0.55 * (canvas.y - 0.4) - 0.05 * np.sin((canvas.y - 0.4) * 9)) - 0.0016
    canvas.lay(np.where((canvas.y > 0.4) & (canvas.y < 0.9), string, 1), flat((0.25, 0.25, 0.28)))
    things = [
        ("moon", 0.26, 0.25, 0.16, -0.25, YELLOW),
        ("diamond", 0.73, 0.27, 0.18, 0.16, RED),
        ("heart", 0.25, 0.66, 0.16, -0.1, PURPLE),
        ("star", 0.77, 0.69, 0.14, 0.1, ORANGE),
    ]
    for shape, x, y, radius, angle, colour in things:
        field = canvas.field(shape, x, y, radius, angle, shake=0.025)
        brush = 1 + 0.06 * canvas.noise(110, 8) + 0.05 * canvas.noise(20)
        canvas.lay(field - 0.004, flat(tuple(0.72 * part for part in colour)), cover=0.7)
        canvas.lay(field, flat(colour) * brush[..., None], cover=0.95)
    canvas.save("evening", grain=0.008)


if __name__ == "__main__":
    paper()
    table()
    evening()
    save(trace_solids(FINE), "solids", grain=np.random.default_rng(2).standard_normal((SIZE, SIZE, 1)) * 0.008)
