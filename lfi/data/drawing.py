"""How a scene is drawn: four styles of ground and paint, anti-aliased edges, exact visible masks."""

from __future__ import annotations

from functools import cache

import numpy as np

from lfi.data.objects import COLOURS, SceneObject
from lfi.data.shapes import distance


@cache
def _smooth_basis(size: int, knots: int) -> np.ndarray:
    """Bilinear interpolation matrix `[size, knots]`."""
    position = np.linspace(0, knots - 1, size)
    return np.clip(1 - np.abs(position[:, None] - np.arange(knots)), 0, 1).astype(np.float32)


def _noise(rng: np.random.Generator, size: int, rows: int, columns: int | None = None) -> np.ndarray:
    """Smooth noise `[size, size]` around 0, standard deviation about 1, with `rows x columns` knots."""
    columns = columns or rows
    knots = rng.standard_normal((rows, columns), np.float32)
    return _smooth_basis(size, rows) @ knots @ _smooth_basis(size, columns).T


def _background(rng: np.random.Generator, domain: str, size: int) -> np.ndarray:
    """Float32 RGB `[size, size, 3]` in about [0, 1]."""
    if domain == "sketch":
        paper = 0.93 + 0.025 * _noise(rng, size, 6)
        return np.repeat(paper[..., None], 3, 2) * np.array((1, 0.99, 0.96), np.float32)
    grey = rng.uniform(0.35, 0.8) if domain != "cartoon" else rng.uniform(0.7, 0.95)
    tint = grey + rng.uniform(-0.09, 0.09, 3).astype(np.float32)
    canvas = np.broadcast_to(tint, (size, size, 3)).astype(np.float32)
    if domain == "photo":
        light = rng.uniform(-0.12, 0.12, 2)
        ramp = np.linspace(-1, 1, size, dtype=np.float32)
        shade = (
            light[0] * ramp[:, None]
            + light[1] * ramp[None]
            + 0.07 * _noise(rng, size, 5)
            + 0.03 * _noise(rng, size, size // 4)
        )
        return canvas + shade[..., None]
    if domain == "painting":
        long, short = (4, size // 3) if rng.random() < 0.5 else (size // 3, 4)
        strokes = np.stack([_noise(rng, size, long, short) for _ in range(3)], -1)
        return canvas + 0.05 * strokes + 0.05 * _noise(rng, size, 4)[..., None]
    horizon = int(size * rng.uniform(0.4, 0.8))
    ground = canvas.copy()
    ground[horizon:] *= np.float32(rng.uniform(0.75, 0.9))
    return ground


def draw(
    rng: np.random.Generator, domain: str, objects: tuple[SceneObject, ...], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 `[size, size, 3]` and visible masks bool `[object, size, size]`."""
    image = _background(rng, domain, size)
    masks = np.zeros((len(objects), size, size), bool)
    wobble = _noise(rng, size, max(4, size // 8)) * (0.06 if domain in ("painting", "sketch") else 0)
    for index, thing in enumerate(objects):
        reach = thing.radius * 1.35
        left, top = (max(0, int((c - reach) * size)) for c in (thing.x, thing.y))
        right, bottom = (min(size, int(np.ceil((c + reach) * size)) + 1) for c in (thing.x, thing.y))
        window = (slice(top, bottom), slice(left, right))
        dx = ((np.arange(left, right) + 0.5) / size - thing.x) / thing.radius
        dy = ((np.arange(top, bottom) + 0.5) / size - thing.y) / thing.radius
        dx, dy = np.meshgrid(dx.astype(np.float32), dy.astype(np.float32))
        cos, sin = np.cos(thing.angle), np.sin(thing.angle)
        u, v = cos * dx + sin * dy, cos * dy - sin * dx
        field = distance(thing.shape, u, v) + wobble[window]
        pixel = 1 / (thing.radius * size)  # one pixel, in units of the radius
        cover = np.clip(0.5 - field / pixel, 0, 1)[..., None]
        inside = field < 0
        masks[:index, *window] &= ~inside
        masks[index, *window] = inside
        if domain == "photo":  # a soft shadow, down and to the right
            shadow = distance(thing.shape, u - 0.14, v - 0.14)
            image[window] *= 1 - 0.35 * np.clip(0.5 - shadow / 0.3, 0, 1)[..., None]
        paint, ink = _paint(rng, domain, thing, u, v, field)
        cover = cover * ink
        image[window] = image[window] * (1 - cover) + paint * cover
    if domain == "photo":
        image += rng.standard_normal(image.shape, np.float32) * 0.025
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), masks


def _paint(
    rng: np.random.Generator, domain: str, thing: SceneObject, u: np.ndarray, v: np.ndarray, field: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An object's colour `[h, w, 3]` and how densely it is laid on, `[h, w, 1]`."""
    colour = np.array(COLOURS[thing.colour], np.float32) / 255 + rng.uniform(-0.05, 0.05, 3).astype(np.float32)
    paint = np.broadcast_to(colour, (*u.shape, 3)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi)
    if thing.texture == "striped":
        slant = rng.choice((-0.7, 0.7))
        dark = np.sin((u + slant * v) * 9 + phase) > 0.25
    elif thing.texture == "dotted":
        dark = np.sin(u * 9 + phase) * np.sin(v * 9 + phase) > 0.35
    else:
        dark = np.zeros(u.shape, bool)
    if domain == "photo":
        paint = paint * (1.05 - 0.25 * (u + v))[..., None].clip(0.55, 1.4)
        paint = paint + 0.35 * np.exp(-((u + 0.35) ** 2 + (v + 0.35) ** 2) / 0.06)[..., None]
    elif domain == "painting":
        paint = (
            paint
            + 0.09 * np.sin(u * 5 + v * 3 + phase)[..., None]
            + rng.normal(0, 0.05, (*u.shape, 1)).astype(np.float32)
        )
    paint = np.where(dark[..., None], paint * 0.45, paint)
    ink = np.ones((*u.shape, 1), np.float32)
    edge = np.abs(field + 0.09) < 0.1
    if domain == "cartoon":
        paint = np.where(edge[..., None], np.float32(0.08), paint)
    elif domain == "sketch":
        hatch = np.sin((u - v) * 14 + phase) > 0.2
        ink = np.where(edge | hatch | dark, np.float32(0.95), np.float32(0.35))[..., None]
    return paint, ink
