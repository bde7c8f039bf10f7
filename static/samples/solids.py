"""A still life of coloured solids, sphere-traced: a ball, a cube, a cone and a ring on a plain floor.

Signed distances and soft shadows after Inigo Quilez, "Raymarching distance fields".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]

FAR = 14.0
LIGHT = np.array((-0.55, 0.9, 0.55), np.float32) / np.linalg.norm((-0.55, 0.9, 0.55))
EYE, TARGET = np.array((0, 6.2, 7.6), np.float32), np.array((0.1, 0.3, 0.1), np.float32)


def ball(p: np.ndarray) -> np.ndarray:
    return np.linalg.norm(p - (-1.5, 0.85, -1.2), axis=-1) - 0.85


def cube(p: np.ndarray) -> np.ndarray:
    q = p - np.float32((1.5, 0.72, -1.0))
    x, z = 0.95 * q[..., 0] - 0.31 * q[..., 2], 0.31 * q[..., 0] + 0.95 * q[..., 2]
    q = np.abs(np.stack([x, q[..., 1], z], -1)) - 0.66
    return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0) - 0.06


def cone(p: np.ndarray) -> np.ndarray:
    q = p - np.float32((-1.4, 0, 1.35))
    reach = np.hypot(q[..., 0], q[..., 2])
    slope = (reach * 1.5 + (q[..., 1] - 1.5) * 0.8) / np.hypot(1.5, 0.8)
    return np.maximum(slope, -q[..., 1]) - 0.03


def ring(p: np.ndarray) -> np.ndarray:
    q = p - np.float32((1.4, 0.26, 1.35))
    return np.hypot(np.hypot(q[..., 0], q[..., 2]) - 0.68, q[..., 1]) - 0.26


def floor(p: np.ndarray) -> np.ndarray:
    return p[..., 1]


THINGS: tuple[tuple[Field, tuple[float, float, float]], ...] = (
    (ball, (0.80, 0.10, 0.11)),
    (cube, (0.10, 0.26, 0.74)),
    (cone, (0.96, 0.80, 0.16)),
    (ring, (0.12, 0.52, 0.22)),
    (floor, (0.66, 0.64, 0.61)),
)


def nearest(p: np.ndarray) -> np.ndarray:
    return np.min([field(p) for field, _ in THINGS], axis=0)


def march(origin: np.ndarray, direction: np.ndarray, steps: int) -> np.ndarray:
    """Distance along each ray to the first surface, or `FAR`."""
    travelled = np.zeros(origin.shape[:-1], np.float32)
    for _ in range(steps):
        travelled = np.minimum(travelled + nearest(origin + travelled[..., None] * direction), FAR)
    return travelled


def normal(p: np.ndarray) -> np.ndarray:
    steps = 1e-3 * np.float32(((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)))
    slope = sum(step * nearest(p + step)[..., None] for step in steps)
    return slope / np.linalg.norm(slope, axis=-1, keepdims=True)


def soft_shadow(p: np.ndarray, sharpness: float = 9) -> np.ndarray:
    """1 in the light, 0 in the shadow, between where the light only just passes an edge."""
    travelled, free = np.full(p.shape[:-1], 0.03, np.float32), np.ones(p.shape[:-1], np.float32)
    for _ in range(40):
        clearance = nearest(p + travelled[..., None] * LIGHT)
        free = np.minimum(free, sharpness * clearance / travelled)
        travelled = travelled + np.clip(clearance, 0.02, 0.4)
    return np.clip(free, 0, 1)


def occlusion(p: np.ndarray, up: np.ndarray) -> np.ndarray:
    """How open the surroundings are: dark where things touch."""
    closed = sum(0.5**k * (0.12 * k - nearest(p + 0.12 * k * up)) for k in range(1, 5))
    return np.clip(1 - 1.9 * closed, 0, 1)


def trace_solids(size: int) -> np.ndarray:
    """The picture, float `[size, size, 3]` in about [0, 1]."""
    ahead = (TARGET - EYE) / np.linalg.norm(TARGET - EYE)
    right = np.cross(ahead, (0, 1, 0)) / np.linalg.norm(np.cross(ahead, (0, 1, 0)))
    row, column = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size - 0.5
    direction = ahead + 0.62 * (column[..., None] * right - row[..., None] * np.cross(right, ahead))
    direction = (direction / np.linalg.norm(direction, axis=-1, keepdims=True)).astype(np.float32)

    p = EYE + march(np.broadcast_to(EYE, direction.shape), direction, 70)[..., None] * direction
    up = normal(p)
    which = np.argmin([field(p) for field, _ in THINGS], axis=0)
    colour = np.array([paint for _, paint in THINGS], np.float32)[which]
    sun = np.clip(up @ LIGHT, 0, 1) * soft_shadow(p + 0.01 * up)
    sky = (0.5 + 0.5 * up[..., 1]) * occlusion(p, up)
    halfway = LIGHT - direction
    halfway /= np.linalg.norm(halfway, axis=-1, keepdims=True)
    shine = np.where(which < len(THINGS) - 1, np.clip((up * halfway).sum(-1), 0, 1) ** 60 * sun, 0)
    lit = colour * (0.85 * sun[..., None] * np.float32((1, 0.97, 0.9)) + 0.42 * sky[..., None])
    return np.clip(lit + 0.45 * shine[..., None], 0, 1) ** (1 / 1.25)
