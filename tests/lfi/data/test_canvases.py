"""Canvases: every region really holds the photograph that is said to lie there."""

from __future__ import annotations

import numpy as np
import pytest

from lfi.data.canvases import LAYOUTS, MOST, Canvases, compose, halved

COUNT, SIZE, PHOTOGRAPHS = 120, 16, 9


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """Random pixels: no window of one is a window of another, and none is of one colour."""
    return np.random.default_rng(0).integers(0, 256, (PHOTOGRAPHS, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def canvases(photographs: np.ndarray) -> Canvases:
    rng = np.random.default_rng(1)
    rows = np.stack([rng.permutation(PHOTOGRAPHS)[:MOST] for _ in range(COUNT)])
    return compose(photographs, rows, rng)


def covers(box: np.ndarray) -> np.ndarray:
    """Bool `[size, size]`: the pixels of a region."""
    left, top, right, bottom = box
    pixels = np.zeros((SIZE, SIZE), bool)
    pixels[top:bottom, left:right] = True
    return pixels


def holds(region: np.ndarray, visible: np.ndarray, photograph: np.ndarray) -> bool:
    """Whether the visible pixels of a region are a photograph's: a window at its size, or all of it at half of it."""
    height, width = region.shape[:2]
    if (height, width) == (SIZE // 2, SIZE // 2):
        exact = photograph.reshape(height, 2, width, 2, 3).astype(np.float64).mean((1, 3))
        return bool((np.abs(region - exact) < 1)[visible].all())
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (height, width, 3))[:, :, 0]
    return any(bool((region == window)[visible].all()) for row in windows for window in row)


def test_every_region_holds_the_photograph_that_is_named_for_it(canvases: Canvases, photographs: np.ndarray) -> None:
    for image, rows, regions in zip(canvases.images, canvases.rows, canvases.regions, strict=True):
        hidden = np.zeros((SIZE, SIZE), bool)
        for row, box in reversed(list(zip(rows, regions, strict=True))):  # what comes later may lie on top
            if row < 0:
                continue
            left, top, right, bottom = box
            window, visible = image[top:bottom, left:right], ~hidden[top:bottom, left:right]
            assert visible.mean() >= 0.75
            assert [other for other in range(PHOTOGRAPHS) if holds(window, visible, photographs[other])] == [row]
            hidden |= covers(box)


def test_photographs_fill_the_canvas_but_for_an_empty_corner_of_one_colour(canvases: Canvases) -> None:
    for image, rows, regions in zip(canvases.images, canvases.rows, canvases.regions, strict=True):
        bare = ~np.any([covers(box) for row, box in zip(rows, regions, strict=True) if row >= 0], axis=0)
        assert bare.sum() in (0, (SIZE // 2) ** 2)
        assert len(np.unique(image[bare], axis=0)) == bool(bare.any())


def test_two_to_four_photographs_in_reading_order_and_nothing_after_them(canvases: Canvases) -> None:
    counts = (canvases.rows >= 0).sum(1)
    assert set(counts) == {2, 3, 4}
    for count, rows, regions in zip(counts, canvases.rows, canvases.regions, strict=True):
        assert (rows[count:] == -1).all()
        assert not regions[count:].any()
        lefts_tops = [(top, left) for left, top, _, _ in regions[:count]]
        assert lefts_tops == sorted(lefts_tops)


def test_every_layout_occurs(canvases: Canvases) -> None:
    shapes = {
        (int(count), *(int(side) for side in regions[1, 2:] - regions[1, :2]), bool((regions[0, 2:] == SIZE).all()))
        for count, regions in zip((canvases.rows >= 0).sum(1), canvases.regions, strict=True)
    }
    half = SIZE // 2
    kinds = {"side by side": (2, half, SIZE), "one above the other": (2, SIZE, half), "inset": (2, half, half)}
    assert set(LAYOUTS) == {*kinds, "grid"}
    assert {(*shape, name == "inset") for name, shape in kinds.items()} <= shapes
    assert {(3, half, half, False), (4, half, half, False)} <= shapes


def test_a_canvas_is_a_function_of_photographs_rows_and_generator(photographs: np.ndarray) -> None:
    rows = np.arange(8).reshape(2, 4)
    one, other = (compose(photographs, rows, np.random.default_rng(3)) for _ in range(2))
    for name in ("images", "rows", "regions"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_half_the_size_is_the_mean_of_four_pixels() -> None:
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    assert halved(image)[0, 0].tolist() == [(0 + 3 + 12 + 15) // 4, (1 + 4 + 13 + 16) // 4, (2 + 5 + 14 + 17) // 4]
    assert halved(np.full((4, 4, 3), 255, np.uint8)).min() == 255
