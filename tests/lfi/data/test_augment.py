"""Maps move with their images: against exact integrals in float64, and against a teacher that sees the crop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.data.augment import Views
from lfi.data.scenes import Scenes, phrase_of
from lfi.images import normalise
from lfi.teachers import load_teacher

TEACHER = Path(__file__).parents[3] / "static/models/scenes/teacher"
DRAWN = 40


def view(box: tuple[float, float, float, float], flipped: bool = False) -> Views:
    return Views(torch.tensor([box]), torch.tensor([flipped]))


def drawn(seed: int = 0, count: int = DRAWN, **options: float) -> Views:
    return Views.draw(count, np.random.default_rng(seed), **options)


def random_maps(*shape: int, seed: int = 0) -> Tensor:
    maps = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) ** 4
    return maps / maps.sum((-2, -1), keepdim=True)


def integral(density: np.ndarray, left: float, top: float, right: float, bottom: float) -> float:
    """Mass of a box, shares of the image: the sum over cells of mass times covered share, one by one in float64."""
    height, width = density.shape
    total = 0.0
    for row in range(height):
        for column in range(width):
            tall = min(bottom, (row + 1) / height) - max(top, row / height)
            wide = min(right, (column + 1) / width) - max(left, column / width)
            total += density[row, column] * max(tall, 0.0) * height * max(wide, 0.0) * width
    return total


def test_the_whole_image_is_no_change() -> None:
    images, maps = torch.randn(3, 3, 16, 12), random_maps(3, 2, 5, 4, 6)
    views = Views(torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(3, 1), torch.zeros(3, dtype=torch.bool))
    moved, held = views.maps(maps)
    torch.testing.assert_close(views.images(images), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved, maps, atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(held, torch.ones(3, 2, 5))


def test_a_flip_mirrors_image_and_map_and_a_second_one_undoes_it() -> None:
    images, maps = torch.randn(1, 3, 16, 16), random_maps(1, 4, 8, 8)
    flip = view((0.0, 0.0, 1.0, 1.0), True)
    torch.testing.assert_close(flip.images(images), images.flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(flip.maps(maps)[0], maps.flip(-1), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(flip.images(flip.images(images)), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(flip.maps(flip.maps(maps)[0])[0], maps, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("flipped", [False, True])
def test_the_map_of_a_crop_is_the_exact_integral_over_its_cells(flipped: bool) -> None:
    maps = random_maps(DRAWN, 3, 6, 5)
    views = Views(drawn(scale=0.3).boxes, torch.full((DRAWN,), flipped))
    moved, held = views.maps(maps)
    for image in range(0, DRAWN, 7):
        left, top, right, bottom = views.boxes[image].double().tolist()
        tall, wide = (bottom - top) / 6, (right - left) / 5
        for word in range(3):
            density = maps[image, word].double().numpy()
            expected = np.array(
                [
                    [
                        integral(density, left + c * wide, top + r * tall, left + (c + 1) * wide, top + (r + 1) * tall)
                        for c in range(5)
                    ]
                    for r in range(6)
                ]
            )
            mass = integral(density, left, top, right, bottom)
            assert float(held[image, word]) == pytest.approx(mass, abs=1e-5)
            expected = (expected / mass)[:, :: -1 if flipped else 1]
            np.testing.assert_allclose(moved[image, word].numpy(), expected, atol=1e-5)


def test_the_crop_of_a_density_of_two_halves_is_known() -> None:
    """Three quarters of the mass left of the middle; a crop from 1/4 to 3/4 holds half of each half."""
    maps = torch.full((1, 4, 4), 0.25 / 8)
    maps[..., :2] = 0.75 / 8
    moved, held = view((0.25, 0.0, 0.75, 1.0)).maps(maps)
    assert held.item() == pytest.approx(0.5)
    torch.testing.assert_close(moved, maps, atol=1e-7, rtol=1e-5)
    moved, held = view((0.375, 0.5, 1.0, 1.0)).maps(maps)  # 1/8 of the left half's width, all of the right's
    assert held.item() == pytest.approx((0.75 / 4 + 0.25) / 2)
    columns = moved[0].sum(0) * held.item()
    cell = (1 - 0.375) / 4  # its columns are so wide; the first one reaches over the middle
    left, right = 0.75 / 0.5 / 2, 0.25 / 0.5 / 2  # mass a width, in the lower half
    expected = [0.125 * left + (cell - 0.125) * right, cell * right, cell * right, cell * right]
    np.testing.assert_allclose(columns.numpy(), expected, rtol=1e-5)


def test_what_is_held_is_the_mass_in_the_crop_and_an_empty_crop_is_even() -> None:
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 0, 0] = maps[0, 1, 3, 3] = 1
    moved, held = view((0.5, 0.5, 1.0, 1.0)).maps(maps)
    assert held.tolist() == [[0.0, 1.0]]
    torch.testing.assert_close(moved[0, 0], torch.full((4, 4), 1 / 16))
    corner = torch.zeros(4, 4)
    corner[2:, 2:] = 0.25  # the cell, twice as large
    torch.testing.assert_close(moved[0, 1], corner)


def test_every_map_sums_to_one_whatever_the_view() -> None:
    moved, held = drawn(3, scale=0.1).maps(random_maps(DRAWN, 2, 3, 8, 8))
    torch.testing.assert_close(moved.sum((-2, -1)), torch.ones(DRAWN, 2, 3))
    assert (moved >= 0).all()
    assert ((held > 0) & (held <= 1 + 1e-6)).all()


def test_image_and_map_move_together() -> None:
    """A bright square, and a map that lies on it: in every view the map lies where the square is seen."""
    generator = np.random.default_rng(5)
    images, maps = torch.zeros(DRAWN, 1, 64, 64), torch.zeros(DRAWN, 1, 8, 8)
    for image, (row, column) in enumerate(generator.integers(0, 8, (DRAWN, 2))):
        images[image, 0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1
        maps[image, 0, row, column] = 1
    views = drawn(6, scale=0.5)
    seen = F.avg_pool2d(views.images(images), 8)
    moved, held = views.maps(maps)
    visible = held[:, 0] > 0.5
    assert visible.sum() > DRAWN / 2
    similar = F.cosine_similarity(seen.flatten(1), moved.flatten(1))[visible]
    assert similar.min() > 0.97, "bilinear pixels blur the square's edges, no more"
    away = Views(views.boxes, ~views.flipped).maps(maps)[0]
    assert F.cosine_similarity(seen.flatten(1), away.flatten(1))[visible].mean() < 0.5


def test_views_lie_within_the_image_and_are_a_function_of_the_generator() -> None:
    views, again = drawn(9, 500, scale=0.4), drawn(9, 500, scale=0.4)
    assert torch.equal(views.boxes, again.boxes)
    assert torch.equal(views.flipped, again.flipped)
    width, height = (views.boxes[:, 2:] - views.boxes[:, :2]).T
    assert ((views.boxes >= 0) & (views.boxes <= 1 + 1e-6)).all()
    assert (width * height).min() > 0.39
    assert (width / height).max() < 4 / 3 + 1e-3
    assert 0.4 < views.flipped.float().mean() < 0.6
    assert not drawn(9, 50, flip=0.0).flipped.any()


@pytest.mark.parametrize("scale", [0.05, 0.6, 0.75, 0.8, 0.9, 0.99])
def test_no_crop_keeps_less_than_it_should(scale: float) -> None:
    width, height = (drawn(2, 2000, scale=scale).boxes @ torch.tensor([[-1.0, 0], [0, -1], [1, 0], [0, 1]])).T
    assert (width * height).min() > scale - 1e-5


@pytest.mark.parametrize("scale", [0.08, 0.3, 0.6, 0.75])
def test_up_to_three_quarters_aspects_reach_from_3_4_to_4_3(scale: float) -> None:
    rng = np.random.default_rng(8)
    area, aspect = rng.uniform(scale, 1, 50), np.exp(rng.uniform(-1, 1, 50) * np.log(4 / 3))
    width, height = np.minimum(np.sqrt(area * aspect), 1), np.minimum(np.sqrt(area / aspect), 1)
    left, top = rng.random(50) * (1 - width), rng.random(50) * (1 - height)
    boxes = np.stack([left, top, left + width, top + height], 1).astype(np.float32)
    assert np.array_equal(drawn(8, 50, scale=scale).boxes.numpy(), boxes)


def test_a_cached_map_that_is_cropped_is_nearly_the_teachers_own_map_of_the_crop() -> None:
    """The tolerance that the module states, on the shipped teacher: words whose map lies mostly within the crop."""
    teacher, scenes = load_teacher(TEACHER), Scenes(64, 77).load(masks=False)
    images = normalise(torch.from_numpy(scenes.images))
    views = drawn(1, len(scenes))
    crops = views.images(images)
    moved, unmoved = [], []
    for row, attributes in enumerate(scenes.attributes):
        names = [phrase_of(thing, (False, False, True, True)) for thing in attributes if thing[3] >= 0]
        cached, own = (teacher.interactions_of(x[row : row + 1], names).weights[:, 0] for x in (images, crops))
        cropped, held = Views(views.boxes[row : row + 1], views.flipped[row : row + 1]).maps(cached)
        inside = held[0] > 0.5
        moved.append(F.cosine_similarity(cropped[0].flatten(1), own[0].flatten(1))[inside])
        unmoved.append(F.cosine_similarity(cached[0].flatten(1), own[0].flatten(1))[inside])
    assert torch.cat(moved).mean() > 0.76
    assert torch.cat(unmoved).mean() < 0.5
