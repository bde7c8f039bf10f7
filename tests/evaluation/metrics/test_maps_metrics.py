"""Every metric of maps against a direct reference or a hand-computed case, and the properties of all of a category."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torchvision.transforms.functional import gaussian_blur

from evaluation.metrics import METRICS, UndefinedWarning, of_category
from evaluation.metrics.best_iou import best_iou
from evaluation.metrics.correlation import correlation
from evaluation.metrics.fixation_kl import fixation_kl
from evaluation.metrics.grids import coverage, on_coarser, resize
from evaluation.metrics.half_peak_iou import half_peak_iou
from evaluation.metrics.metric import Metric
from evaluation.metrics.nss import nss
from evaluation.metrics.ranking import roc_auc
from evaluation.metrics.similarity import similarity

LOCALISATION, GAZE, AGREEMENT = map(of_category, ("localisation", "gaze", "agreement"))


def names(metrics):
    return [metric.name for metric in metrics]


def random_maps(n=8, grid=6, seed=0):
    maps = torch.rand(n, grid, grid, generator=torch.Generator().manual_seed(seed)) ** 3
    return maps / maps.sum((1, 2), keepdim=True)


def random_masks(n=8, size=24, seed=1):
    rng = np.random.default_rng(seed)
    masks = torch.zeros(n, size, size, dtype=torch.bool)
    for mask in masks:
        top, left = rng.integers(0, size - 8, 2)
        height, width = rng.integers(4, 9, 2)
        mask[top : top + height, left : left + width] = True
    return masks


def even(n=8, grid=6):
    return torch.full((n, grid, grid), 1 / grid**2)


def random_fixations(n=8, size=24, seed=2):
    fixations = torch.zeros(n, size, size)
    rng = np.random.default_rng(seed)
    for image in fixations:
        for row, column in rng.integers(0, size, (12, 2)):
            image[row, column] += 1
    return fixations


def test_every_metric_says_how_it_reads():
    assert {"pointing game", "energy in mask", "AUC", "NSS", "KL to fixations", "insertion", "deletion"} <= set(METRICS)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.unit
        assert metric.better in ("higher", "lower")
        assert metric.bounds[0] < metric.bounds[1]


@pytest.mark.parametrize("metric", LOCALISATION, ids=names(LOCALISATION))
def test_a_perfect_map_scores_one(metric):
    masks = random_masks()
    maps = coverage(masks, (24, 24))
    assert metric(maps / maps.sum((1, 2), keepdim=True), masks).tolist() == pytest.approx([1.0] * 8, abs=1e-5)


@pytest.mark.parametrize("metric", LOCALISATION, ids=names(LOCALISATION))
def test_an_even_map_scores_chance(metric):
    masks, area = random_masks(), random_masks().float().mean((1, 2))
    chance = {"AUC": torch.full((8,), 0.5), "pointing game": masks[:, 0, 0].float()}.get(metric.name, area)
    if metric.name != "pointing game":  # where nothing is largest, its peak is anywhere
        assert torch.allclose(metric(even(), masks), chance, atol=1e-5)


@pytest.mark.parametrize("metric", [*LOCALISATION, *GAZE], ids=names([*LOCALISATION, *GAZE]))
def test_mirroring_map_and_target_changes_nothing(metric):
    target = random_masks() if metric.category == "localisation" else random_fixations()
    for axis in (-1, -2):
        mirrored = metric(random_maps().flip(axis), target.flip(axis))
        assert torch.allclose(metric(random_maps(), target), mirrored, atol=1e-5)


@pytest.mark.parametrize("metric", AGREEMENT, ids=names(AGREEMENT))
def test_agreement_is_symmetric_and_one_with_oneself(metric):
    one, two = random_maps(), random_maps(seed=5)
    assert torch.allclose(metric(one, two), metric(two, one))
    assert torch.allclose(metric(one, one), torch.ones(8), atol=1e-5)
    assert (metric(one, two) < 0.9).all()
    assert torch.allclose(metric(one.flip(-1), two.flip(-1)), metric(one, two), atol=1e-6)


@pytest.mark.parametrize("metric", [*LOCALISATION, *GAZE], ids=names([*LOCALISATION, *GAZE]))
def test_nothing_to_find_is_undefined_and_said(metric):
    target = random_masks() if metric.category == "localisation" else random_fixations()
    target[3] = 0
    with pytest.warns(UndefinedWarning, match=rf"{metric.name}: 1 of 8 values are undefined"):
        values = metric(random_maps(), target)
    assert torch.isnan(values).nonzero().flatten().tolist() == [3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric(random_maps(), random_masks() if metric.category == "localisation" else random_fixations())


def test_values_lie_within_the_bounds():
    for metric in (*LOCALISATION, *GAZE, *AGREEMENT):
        target = {"localisation": random_masks(), "gaze": random_fixations()}.get(metric.category, random_maps(seed=9))
        values = metric(random_maps(), target)
        assert ((metric.bounds[0] <= values) & (values <= metric.bounds[1])).all(), metric.name


def test_auc_is_scikit_learns():
    maps, masks = random_maps(), random_masks()
    maps[0] = (maps[0] > maps[0].mean()).float()  # many equal values
    large = resize(maps, (24, 24))
    direct = [roc_auc_score(m.flatten().numpy(), v.flatten().numpy()) for v, m in zip(large, masks, strict=True)]
    assert roc_auc(maps, masks).tolist() == pytest.approx(direct, abs=1e-6)


def test_auc_of_everything_is_undefined():
    assert torch.isnan(roc_auc(random_maps(1), torch.ones(1, 24, 24, dtype=torch.bool))).all()


def test_best_iou_tries_every_threshold():
    maps, masks = random_maps(), random_masks()
    maps[1] = (4 * maps[1] / maps[1].max()).round()  # a threshold takes equal values together
    large = resize(maps, (24, 24))
    for value, mask, found in zip(large, masks, best_iou(maps, masks), strict=True):
        regions = [value >= threshold for threshold in value.unique()]
        direct = max(float((r & mask).sum() / (r | mask).sum()) for r in regions)
        assert found.item() == pytest.approx(direct, abs=1e-6)


def test_half_peak_iou_by_hand():
    maps = torch.tensor([[[0.6, 0.4], [0.0, 0.0]]])
    masks = torch.tensor([[[1, 0], [0, 0]]], dtype=torch.bool)
    assert half_peak_iou(maps, masks).item() == pytest.approx(0.5), "two pixels have half of the peak, one is wanted"
    assert half_peak_iou(maps, masks, threshold=0.7).item() == 1


def test_nss_by_hand():
    maps = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]) / 10
    fixations = torch.tensor([[[0.0, 0.0], [1.0, 3.0]]])
    spread = math.sqrt(1.25)
    assert nss(maps, fixations).item() == pytest.approx((0.5 + 3 * 1.5) / spread / 4, abs=1e-5)
    assert torch.isnan(nss(even(1), random_fixations(1))).all(), "a constant map has no standard deviation"


def test_nss_of_a_map_is_zero_over_all_pixels():
    assert torch.allclose(nss(random_maps(), torch.ones(8, 24, 24)), torch.zeros(8), atol=1e-5)


def test_kl_is_zero_for_the_fixations_themselves_and_grows_with_distance():
    fixations = torch.zeros(1, 24, 24)
    fixations[0, 10, 10] = 5
    itself = torch.zeros(1, 6, 6)
    itself[0, 2, 2] = 1
    blurred = gaussian_blur(itself[:, None], [5, 5], [1.0, 1.0])[:, 0]
    assert fixation_kl(blurred, fixations).item() == pytest.approx(0, abs=1e-4)
    looked = (blurred / blurred.sum()).flatten().double()
    direct = sum(float(p) * math.log(float(p) * 36) for p in looked if p > 0)
    assert fixation_kl(even(1), fixations).item() == pytest.approx(direct, abs=1e-4)
    assert fixation_kl(blurred.roll(3, 2), fixations) > fixation_kl(blurred.roll(1, 2), fixations) > 0


def test_shared_mass_and_correlation_by_hand():
    one, two = torch.tensor([[[0.7, 0.3]]]), torch.tensor([[[0.2, 0.8]]])
    assert similarity(one, two).item() == pytest.approx(0.5)
    assert correlation(one, two).item() == pytest.approx(-1)
    many, others = random_maps(), random_maps(seed=3)
    direct = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(many, others, strict=True)]
    assert correlation(many, others).tolist() == pytest.approx(direct, abs=1e-5)
    assert torch.isnan(correlation(even(1), random_maps(1))).all()


def test_the_best_of_several_follows_the_direction_and_passes_over_what_is_undefined():
    high = Metric("x", "agreement", "y", "higher", lambda a: a)
    low = Metric("x", "agreement", "y", "lower", lambda a: a)
    scores = torch.tensor([float("nan"), 2.0, 3.0, 1.0])
    assert (high.best(scores), low.best(scores)) == (2, 3)


def test_maps_on_two_grids_meet_on_the_coarser_one():
    fine = torch.zeros(1, 4, 6)
    fine[0, 0, 0], fine[0, 3, 5] = 0.25, 0.75
    coarse = torch.full((1, 2, 3), 1 / 6)
    expected = torch.tensor([[[0.25, 0, 0], [0, 0, 0.75]]])
    for ours, theirs in (on_coarser(fine, coarse), on_coarser(coarse, fine)[::-1]):
        assert torch.allclose(ours, expected)
        assert torch.equal(theirs, coarse)


def test_a_mask_covers_patches_by_its_area_where_grids_do_not_divide():
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, :, :32] = True
    assert coverage(mask, (14, 14))[0, 0].tolist() == pytest.approx([1.0] * 7 + [0.0] * 7)
    assert coverage(mask, (5, 5))[0, 0].tolist() == pytest.approx([1, 1, 0.5, 0, 0])
    corner = torch.zeros(1, 14, 14)
    corner[0, 0, 0] = corner[0, 4, 4] = 0.5
    coarse, _ = on_coarser(corner, torch.full((1, 12, 12), 1 / 144))
    assert coarse[0, 0, 0].item() == pytest.approx(0.5)
