"""How well frozen features tell classes apart: linear probe and k nearest neighbours."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from lfi.errors import DataError

STRENGTHS = (0.01, 0.1, 1.0)
"""Inverse strengths of the linear probe's penalty, of which held-out training images choose."""
NEIGHBOURS, TEMPERATURE = 20, 0.07
_NEVER = -30.0
"""Logit of a class without training images."""


def fitted_probe(train: Tensor, labels: np.ndarray, seed: int = 0) -> Pipeline:
    """A logistic regression on standardised features.

    The penalty is chosen on a fifth of the training images, and the probe trained again on all of them.

    Args:
        train: `[n, dim]`.
        labels: int64 `[n]` of the training images, at least two of every class that occurs.

    Raises:
        DataError: a class with one training image, or fewer than two classes.
    """
    counts = np.bincount(labels)
    if (counts == 1).any() or (counts > 0).sum() < 2:
        raise DataError("a linear probe needs two classes or more and at least two training images of each")
    features = train.numpy()
    held_out = max(0.2, (counts > 0).sum() / len(labels))
    fit, check = next(StratifiedShuffleSplit(1, test_size=held_out, random_state=seed).split(features, labels))
    tried = {c: _fitted(c, features[fit], labels[fit]) for c in STRENGTHS}
    return _fitted(_best(tried, features[check], labels[check]), features, labels)


def chosen_probe(train: tuple[Tensor, np.ndarray], selection: tuple[Tensor, np.ndarray]) -> Pipeline:
    """As `fitted_probe`; the penalty is chosen on images given for it (features, labels), not trained on.

    Raises:
        DataError: fewer than two classes to train on, or no image to choose on.
    """
    classes, images = len(np.unique(train[1])), len(selection[1])
    if classes < 2 or not images:
        raise DataError(
            f"a linear probe was given {classes} classes to learn and {images} images to choose its penalty on; two "
            "classes or more and at least one image were expected"
        )
    tried = {c: _fitted(c, train[0].numpy(), train[1]) for c in STRENGTHS}
    return tried[_best(tried, selection[0].numpy(), selection[1])]


def head_of(probe: Pipeline, classes: int) -> nn.Linear:
    """The probe as one layer on raw features; classes that it never saw get a negligible probability.

    For two classes alone, scikit-learn keeps one row of logits: the other class's is 0.
    """
    scaler, regression = probe[0], probe[-1]
    weight = torch.from_numpy(regression.coef_ / scaler.scale_).float()
    bias = torch.from_numpy(regression.intercept_ - regression.coef_ @ (scaler.mean_ / scaler.scale_)).float()
    if len(weight) == 1:
        weight, bias = torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])
    head = nn.Linear(weight.shape[1], classes)
    seen = torch.from_numpy(regression.classes_)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(_NEVER)
        head.weight[seen], head.bias[seen] = weight, bias
    return head


def nearest_neighbours(train: Tensor, labels: np.ndarray, test: Tensor, classes: int) -> Tensor:
    """Probabilities `[n, class]` by the nearest training images by cosine, weighted as Wu et al. 2018 do
    (arXiv 1805.01978)."""
    model = KNeighborsClassifier(
        min(NEIGHBOURS, len(labels)), metric="cosine", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE)
    )
    return probed(model.fit(train.numpy(), labels), test, classes)


def _best(tried: dict[float, Pipeline], features: np.ndarray, labels: np.ndarray) -> float:
    return max(tried, key=lambda strength: tried[strength].score(features, labels))


def _fitted(strength: float, features: np.ndarray, labels: np.ndarray) -> Pipeline:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what 300 steps reach is what is reported
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300)).fit(features, labels)


def probed(model: Pipeline | KNeighborsClassifier, test: Tensor, classes: int) -> Tensor:
    """A fitted model's probabilities `[n, class]` of features `[n, dim]`, 0 for classes that it never saw."""
    found = torch.zeros(len(test), classes)
    found[:, torch.from_numpy(model.classes_)] = torch.from_numpy(model.predict_proba(test.numpy())).float()
    return found
