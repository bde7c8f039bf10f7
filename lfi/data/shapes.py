"""Ten parametric shapes as signed distance fields, the geometry under `lfi.data.scenes`.

A shape lives in its own frame: centre at the origin, y down, reaching about 1 from the centre. `distance` is negative
inside, positive outside, in units of the shape's radius, so that an outline of any width, an anti-aliased edge and an
exact mask all come from one field.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "moon", "diamond", "arrow")


@cache
def outline(shape: str) -> np.ndarray:
    """Vertices `[n, 2]` (x, y) of a polygonal shape."""
    if shape == "square":
        return np.array([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)])
    if shape == "diamond":
        return np.array([(0, -1.05), (0.66, 0), (0, 1.05), (-0.66, 0)])
    if shape == "triangle":
        return np.array([(0, -1.0), (0.95, 0.75), (-0.95, 0.75)])
    if shape == "cross":
        arm, reach = 0.32, 0.95
        corner = [(arm, -reach), (arm, -arm), (reach, -arm)]
        quarter = np.array(corner)
        turn = np.array([(0.0, 1.0), (-1.0, 0.0)])  # a quarter turn clockwise on screen, (x, y) -> (-y, x)
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    if shape == "star":
        angles = -np.pi / 2 + np.arange(10) * np.pi / 5
        reaches = np.where(np.arange(10) % 2 == 0, 1.08, 0.45)
        return np.stack([reaches * np.cos(angles), reaches * np.sin(angles)], 1)
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        x = 16 * np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        return np.stack([x / 17, (y - 2.5) / 15.5], 1)
    if shape == "arrow":
        return np.array(
            [
                (0, -1.05),
                (0.85, -0.1),
                (0.32, -0.1),
                (0.32, 0.95),
                (-0.32, 0.95),
                (-0.32, -0.1),
                (-0.85, -0.1),
            ]
        )
    raise ValueError(f"no polygon for {shape!r}; one of {', '.join(SHAPES)} was expected")


def distance(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance of points to a shape's edge.

    Args:
        shape: one of `SHAPES`.
        x, y: float arrays of one shape, in the shape's frame.

    Returns:
        Array like `x`: negative inside, in units of the shape's radius.
    """
    if shape == "circle":
        return np.hypot(x, y) - 0.92
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.72) - 0.25
    if shape == "moon":
        return np.maximum(np.hypot(x + 0.12, y) - 0.98, 0.78 - np.hypot(x - 0.42, y))
    return _to_polygon(outline(shape), x, y)


def _to_polygon(vertices: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance to a simple polygon: the nearest edge, signed by the even-odd rule."""
    px, py = x.ravel()[None].astype(np.float32), y.ravel()[None].astype(np.float32)
    ax, ay = (vertices[:, k, None].astype(np.float32) for k in (0, 1))
    bx, by = np.roll(ax, -1, 0), np.roll(ay, -1, 0)
    ex, ey = bx - ax, by - ay
    wx, wy = px - ax, py - ay
    along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
    nearest = np.sqrt(((wx - ex * along) ** 2 + (wy - ey * along) ** 2).min(0))
    crosses = ((ay > py) != (by > py)) & (wx * (by - ay) * np.sign(ey) < wy * ex * np.sign(ey))
    inside = crosses.sum(0) % 2 == 1
    return np.where(inside, -nearest, nearest).reshape(x.shape)
