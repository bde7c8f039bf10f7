"""Accuracy and calibration against direct computations."""

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from evaluation.metrics import METRICS, UndefinedWarning
from evaluation.metrics.calibration import calibration_error


def scores(n=200, classes=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=rng)
    logits = torch.randn(n, classes, generator=rng)
    logits[torch.arange(n), labels] += 1
    return logits.softmax(1), labels


@pytest.mark.parametrize("k", [1, 5])
def test_accuracy_is_scikit_learns(k):
    probabilities, labels = scores()
    direct = top_k_accuracy_score(labels, probabilities, k=k, labels=range(8))
    assert METRICS[f"top-{k}"](probabilities, labels).mean().item() == pytest.approx(direct)


def test_equal_scores_count_against_the_right_class():
    assert METRICS["top-1"](torch.full((1, 6), 1 / 6), torch.tensor([0])).tolist() == [0]


@pytest.mark.parametrize("k", [1, 5])
def test_a_model_that_puts_out_no_numbers_is_right_about_nothing(k):
    assert METRICS[f"top-{k}"](torch.full((2, 6), float("nan")), torch.tensor([0, 5])).tolist() == [0, 0]


def test_among_five_classes_the_best_five_tell_nothing():
    probabilities, labels = scores(classes=5)
    with pytest.warns(UndefinedWarning):
        assert torch.isnan(METRICS["top-5"](probabilities, labels)).all()


def test_calibration_error_bin_by_bin():
    probabilities, labels = scores()
    confidence, chosen = probabilities.max(1)
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            right = (chosen == labels)[inside].float().mean()
            total += float(inside.float().mean() * (confidence[inside].mean() - right).abs())
    assert calibration_error(probabilities, labels).item() == pytest.approx(total, abs=1e-5)


def test_the_sure_and_right_are_calibrated_and_the_sure_and_wrong_are_not():
    sure = torch.eye(4)
    assert calibration_error(sure, torch.arange(4)).item() == 0
    assert calibration_error(sure, torch.arange(4).roll(1)).item() == 1
    assert torch.isnan(calibration_error(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))).all()
