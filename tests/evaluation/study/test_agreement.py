"""Agreement has the published values of published codings."""

import evalica
import numpy as np
import pandas as pd
import pytest

from evaluation.study.agreement import ordinal_alpha, reliability, variance_components

N = None
CODERS = pd.DataFrame(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ],
    dtype=float,
)
"""Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): four coders, twelve units."""

JUDGES = pd.DataFrame([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], dtype=float)
"""Shrout and Fleiss (1979), table 2: four judges, six targets."""


def test_alpha_is_krippendorffs():
    assert ordinal_alpha(CODERS, draws=10).value == pytest.approx(0.815, abs=5e-4)
    published = {"nominal": 0.743, "interval": 0.849, "ratio": 0.797}
    found = {distance: evalica.alpha(CODERS, distance).alpha for distance in published}
    assert found == pytest.approx(published, abs=5e-4)


def test_the_intraclass_correlation_is_shrouts_and_fleisss():
    found = reliability(JUDGES)
    assert (found.mean, found.single, found.raters) == pytest.approx((0.62, 0.29, 4), abs=5e-3)


def test_variance_components_without_gaps_are_those_of_the_analysis_of_variance():
    values = JUDGES.to_numpy()
    raters, items = values.shape
    residual = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    noise = (residual**2).sum() / ((raters - 1) * (items - 1))
    of_raters = (items * values.mean(1).var(ddof=1) - noise) / items
    of_items = (raters * values.mean(0).var(ddof=1) - noise) / raters
    rater, item = np.indices(values.shape).reshape(2, -1)
    assert variance_components(values.ravel(), rater, item) == pytest.approx((of_raters, of_items, noise), rel=1e-3)


def test_reliability_survives_gaps():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 300) + rng.normal(0, 0.5, (60, 1)) + rng.normal(0, 1, (60, 300))
    sparse = pd.DataFrame(truth).where(rng.random(truth.shape) < 0.1)
    found = reliability(sparse)
    assert found.single == pytest.approx(1 / 2.25, abs=0.06)
    assert found.raters == pytest.approx(6, abs=0.3)


def test_alphas_interval_holds_the_truth_about_as_often_as_it_says():
    """Alpha of many items is the truth; samples of 30 items must be within their intervals."""
    rng = np.random.default_rng(1)
    everything = pd.DataFrame(np.clip(np.round(3 + rng.normal(0, 1, 2000) + rng.normal(0, 0.7, (4, 2000))), 1, 5))
    truth = ordinal_alpha(everything, draws=1).value
    held = 0
    for start in range(0, 1200, 30):
        found = ordinal_alpha(everything.iloc[:, start : start + 30], draws=80, seed=start)
        held += found.low <= truth <= found.high
    assert held >= 34  # of 40; fewer than 35 happen 1 time in 80 at 95 %


@pytest.mark.parametrize("levels", [[[1, 2, 3]], [[3, 3, 3], [3, 3, 3]], [[1, N, N], [N, 2, 2]]])
def test_no_disagreement_to_measure_is_no_number(levels):
    assert np.isnan(ordinal_alpha(pd.DataFrame(levels, dtype=float), draws=5).value)
    assert np.isnan(reliability(pd.DataFrame(levels, dtype=float)).mean)


def test_perfect_agreement_on_few_items_is_not_certain():
    """Of 8 items, all agreed on, 37 % of all items may be agreed on by chance alone (Clopper and Pearson)."""
    found = ordinal_alpha(pd.DataFrame(np.tile([1.0, 2, 3, 4, 5, 1, 2, 3], (4, 1))), draws=100)
    assert (found.value, found.low, found.high) == (1, pytest.approx(0.025 ** (1 / 8)), 1)
