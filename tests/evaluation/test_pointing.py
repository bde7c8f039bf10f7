"""Metrics of maps against hand-computed cases, and the properties that make them what they claim."""

import numpy as np
import pytest
import torch

from evaluation.metrics.energy import energy_in_mask
from evaluation.metrics.grids import coverage, enlarge
from evaluation.metrics.pointing_game import pointing_hit
from evaluation.pointing import PHRASES, localise, word_cases
from lfi.answerers import Answer
from lfi.data.scenes import Scenes
from lfi.errors import DataError
from lfi.images import pictures, pixels
from lfi.maps import InteractionMaps


def mask(*boxes, size=16):
    made = torch.zeros(len(boxes), size, size, dtype=torch.bool)
    for row, (top, left, bottom, right) in zip(made, boxes, strict=True):
        row[top:bottom, left:right] = True
    return made


def peak_at(row, column, grid=4):
    maps = torch.full((1, grid, grid), 0.01)
    maps[0, row, column] = 1
    return maps / maps.sum()


def test_energy_is_the_mass_in_the_mask():
    maps = torch.tensor([[[0.5, 0.25], [0.25, 0.0]]])
    assert energy_in_mask(maps, mask((0, 0, 8, 8))).item() == pytest.approx(0.5)
    assert energy_in_mask(maps, mask((0, 0, 8, 4))).item() == pytest.approx(0.25), "half of the patch, half of its mass"
    assert energy_in_mask(maps, mask((0, 0, 16, 16))).item() == pytest.approx(1)


def test_a_uniform_map_has_the_masks_area_as_energy():
    masks = mask((3, 2, 9, 13), (0, 0, 1, 1))
    uniform = torch.full((2, 4, 4), 1 / 16)
    assert torch.allclose(energy_in_mask(uniform, masks), masks.float().mean((1, 2)))


@pytest.mark.parametrize("smooth", [True, False])
def test_a_peak_hits_the_mask_it_lies_in_and_no_other(smooth):
    masks = mask((4, 8, 8, 12))
    assert pointing_hit(peak_at(1, 2), masks, smooth).item() == 1
    assert pointing_hit(peak_at(2, 1), masks, smooth).item() == 0


def test_a_perfect_map_scores_one_and_a_mirrored_pair_scores_the_same():
    scenes = Scenes(20, 0).load()
    masks = torch.from_numpy(scenes.masks[:, 0])
    perfect = coverage(masks, (64, 64))
    perfect = perfect / perfect.sum((1, 2), keepdim=True)
    assert energy_in_mask(perfect, masks).min().item() == pytest.approx(1, abs=1e-5)
    assert pointing_hit(perfect, masks, smooth=False).min() == 1
    rough = coverage(masks, (8, 8)) + torch.rand(20, 8, 8) / 100
    assert torch.equal(pointing_hit(rough, masks), pointing_hit(rough.flip(-1), masks.flip(-1)))


def test_an_empty_mask_gives_nan_not_zero():
    nothing = torch.zeros(1, 16, 16, dtype=torch.bool)
    assert torch.isnan(energy_in_mask(peak_at(0, 0), nothing)).all()
    assert torch.isnan(pointing_hit(peak_at(0, 0), nothing)).all()


def test_enlarging_spreads_a_patch_over_its_own_place():
    large = enlarge(peak_at(1, 2), (64, 64))
    assert large.shape == (1, 64, 64)
    assert divmod(int(large.argmax()), 64) in {(23, 39), (23, 40), (24, 39), (24, 40)}


class Oracle:
    """An answerer that knows the masks of a phrase."""

    name, layers, image_size = "oracle", ("only",), (64, 64)

    def __init__(self, scenes):
        self.scenes = scenes
        self.rows = {scenes.images[row].tobytes(): row for row in range(len(scenes))}

    def check(self, words, heads=False):
        pass

    def preprocess(self, pictures):
        return pixels(pictures, self.image_size)

    def encode(self, pixels):
        return [self.rows[np.asarray(picture).tobytes()] for picture in pictures(pixels)]

    def answer(self, images, words, heads=False):
        return [self.know(row, own) for row, own in zip(images, words, strict=True)]

    def know(self, row, words):
        weights = torch.full((1, 1, len(words), 64), 1e-4)
        for _, _, phrase, found in word_cases(self.scenes, row, list(PHRASES)):
            for place in [index for index, word in enumerate(words) if word == phrase]:
                weights[0, 0, place] += coverage(torch.from_numpy(found)[None], (8, 8)).flatten()
        return Answer(
            InteractionMaps.from_scores(
                weights, grid=(8, 8), queries=[words], layers=self.layers, kind="cross-attention", model="oracle"
            )
        )


def test_an_oracle_points_and_a_shuffled_one_does_not():
    scenes = Scenes(40, 5).load()
    knows = localise(Oracle(scenes), scenes)
    floor = localise(Oracle(scenes), scenes, floor=True)
    assert knows.hits.mean() > 0.93
    assert knows.energy.mean() > 8 * knows.area.mean()
    assert floor.hits.mean() < 0.25
    assert set(knows.kinds) == set(PHRASES)
    assert knows.images.max() == 39


def test_a_floor_is_the_same_in_batches_of_any_size_and_needs_another_image():
    scenes = Scenes(5, 5).load()
    floors = [localise(Oracle(scenes), scenes, batch=batch, floor=True).energy for batch in (1, 2, 5)]
    assert np.array_equal(floors[0], floors[2])
    assert np.array_equal(floors[1], floors[2])
    with pytest.raises(DataError, match="there are 1 images; at least two"):
        localise(Oracle(scenes), scenes.first(1), floor=True)


def test_a_word_that_fits_two_objects_is_asked_once_and_either_counts():
    scenes = Scenes(300, 6).load()
    for row in range(300):
        things = [thing for thing in scenes.attributes[row] if thing[3] >= 0]
        colours = [int(thing[2]) for thing in things]
        twice = [c for c in set(colours) if colours.count(c) == 2]
        if twice:
            cases = word_cases(scenes, row, ["colour"])
            assert len(cases) == len(set(colours))
            both = [i for i, c in enumerate(colours) if c == twice[0]]
            masks = [case[3] for case in cases]
            assert any((m == scenes.masks[row, both].any(0)).all() for m in masks)
            return
    pytest.fail("no scene with two objects of one colour among 300")
