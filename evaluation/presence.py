"""Is a word in the picture? Statements about photographs, half of them true, and how well a model judges them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from lfi.answerers import Answerer
from lfi.presence import Presence
from lfi.training.photographs.bank import Truth

BATCH = 50


@dataclass(frozen=True, eq=False)
class Statements:
    """Words that are asked of pictures.

    Attributes:
        pictures: uint8 `[n, side, side, 3]`.
        words: as many of every picture.
        truth: bool `[n, word]`.
    """

    pictures: np.ndarray
    words: tuple[tuple[str, ...], ...]
    truth: np.ndarray


def state(pictures: np.ndarray, labels: np.ndarray, truth: Truth, seed: int, each: int = 2) -> Statements:
    """Of every picture `each` names that are true of it, and as many that are false.

    True ones are the photographs' own names and names above them, false ones those of other photographs.

    Args:
        labels: int64 `[n, place]`, numbers of names, -1 where there is none.
    """
    rng = np.random.default_rng((seed, 17))
    common = np.unique(labels[labels >= 0])
    words, right = [], []
    for row in labels:
        own = row[row >= 0]
        true = np.flatnonzero(truth.above[own].any(0))
        false = np.flatnonzero(truth.apart[own].all(0) & ~truth.unsure[own].any(0) & truth.above[common].any(0))
        said = [rng.choice(own), *rng.choice(true, each - 1)]
        near = common[truth.apart[own][:, common].all(0)]
        said += [rng.choice(near), *rng.choice(false, each - 1)]
        words.append(tuple(truth.names.names[number] for number in said))
        right.append([True] * each + [False] * each)
    return Statements(pictures, tuple(words), np.array(right))


def evidence(answerer: Answerer[Any], statements: Statements) -> np.ndarray:
    """An answerer's evidence of every statement, `[n, word, feature]`."""
    answerer.judges = True
    found = []
    for start in tqdm(
        range(0, len(statements.words), BATCH), desc=f"judging by {answerer.name}", unit="batch", dynamic_ncols=True
    ):
        shown = [Image.fromarray(each) for each in statements.pictures[start : start + BATCH]]
        images = answerer.encode(answerer.preprocess(shown))
        for answer in answerer.answer(images, statements.words[start : start + BATCH]):
            assert answer.evidence is not None
            found.append(answer.evidence.numpy())
    return np.stack(found)


def calibrate(found: Sequence[np.ndarray], statements: Sequence[Statements]) -> Presence:
    """A logistic regression over evidence of some sets of statements, as many true as false.

    The threshold is where misses and false alarms are as many. How good it is, is measured on the same statements;
    `measured` measures it on others.
    """
    features, right = _joined(found, statements)
    fitted = LogisticRegression(C=100.0, max_iter=1000).fit(features, right)
    weights = tuple(round(float(each), 5) for each in fitted.coef_[0])
    bias = round(float(fitted.intercept_[0]), 5)
    likely = fitted.predict_proba(features)[:, 1]
    tried = np.quantile(likely, np.linspace(0.02, 0.98, 97))
    threshold = min(tried, key=lambda at: abs((likely[~right] >= at).mean() - (likely[right] < at).mean()))
    threshold = round(float(np.clip(threshold, 0.01, 0.99)), 3)
    return measured(Presence(weights, bias, threshold, math.nan, math.nan, math.nan, 0), found, statements)


def measured(presence: Presence, found: Sequence[np.ndarray], statements: Sequence[Statements]) -> Presence:
    """The same calibration, with how good it is on evidence of these statements."""
    features, right = _joined(found, statements)
    likely = presence.probability(torch.from_numpy(features)).numpy()
    return replace(
        presence,
        false_alarms=round(float((likely[~right] >= presence.threshold).mean()), 3),
        misses=round(float((likely[right] < presence.threshold).mean()), 3),
        auc=round(float(roc_auc_score(right, likely)), 3),
        words=len(right),
    )


def _joined(found: Sequence[np.ndarray], statements: Sequence[Statements]) -> tuple[np.ndarray, np.ndarray]:
    """Evidence of all statements of some sets, `[statement, feature]`, and whether each is true."""
    features = np.concatenate([each.reshape(-1, each.shape[-1]) for each in found])
    return features, np.concatenate([each.truth.ravel() for each in statements])
