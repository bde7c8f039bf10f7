"""The cumulative-link mixed model, an extra: levels explained by condition, with crossed rater and item effects.

Bayesian, by bambi (`cumulative` family, logit link, its default priors). Raters and items have random intercepts, and
random slopes for the plan's numerator, as the contrast of interest needs them (Barr et al. 2013); so do pictures, where
several words were asked about one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.study.estimate import Estimate
from evaluation.study.pictures import items_of, pictures_of
from evaluation.study.plan import AnalysisPlan
from evaluation.study.ratings import CONDITIONS
from lfi.errors import ConfigError, DataError


@dataclass(frozen=True)
class MixedModel:
    """Posterior of the cumulative odds ratio of each condition against the reference (mean of the log, exponentiated).

    Attributes:
        reference: the plan's denominator.
        odds_ratios: of being rated at least as high as any level.
        r_hat: the largest of all; above 1.01 the chains have not mixed.
    """

    reference: str
    odds_ratios: dict[str, Estimate]
    r_hat: float


def mixed_model(ratings: pd.DataFrame, plan: AnalysisPlan, draws: int = 1000) -> MixedModel:
    """Fit the model to ratings of one scale; minutes.

    Raises:
        ConfigError: bambi is not installed.
        DataError: ratings of two scales, or none of the denominator.
    """
    try:
        import arviz
        import bambi
    except ImportError:
        raise ConfigError(
            "the mixed model needs bambi, which is not installed; "
            "install the extra `mixed`: pip install 'learning-from-interactions[mixed]'"
        ) from None
    if ratings["scale"].nunique() != 1:
        raise DataError("the mixed model needs ratings on one scale; these are on two")
    if not (ratings["condition"] == plan.denominator).any():
        raise DataError(f"no ratings of {plan.denominator} are left to compare with")
    levels = ratings["value"].astype(int)
    data = pd.DataFrame(
        {
            "level": pd.Categorical(levels, categories=sorted(levels.unique()), ordered=True),
            "rater": ratings["rater"].astype(str),
            "item": [f"item {number:05}" for number in items_of(ratings)],
            "picture": [f"picture {number:05}" for number in pictures_of(ratings)],
        }
    )
    names = [name for name in CONDITIONS if name != plan.denominator and (ratings["condition"] == name).any()]
    for name in names:
        data[name] = (ratings["condition"] == name).astype(float)
    units = ["rater", "item"] + ["picture"] * (data["picture"].nunique() < data["item"].nunique())
    intercepts = [f"(1 | {unit})" for unit in units]
    slopes = [f"(0 + {plan.numerator} | {unit})" for unit in units if plan.numerator in names]
    formula = "level ~ 0 + " + " + ".join([*names, *intercepts, *slopes])
    posterior = bambi.Model(formula, data, family="cumulative").fit(
        draws=draws, chains=4, random_seed=plan.seed, progressbar=False
    )
    tails = [50 * (1 - plan.confidence), 50 * (1 + plan.confidence)]
    ratios = {}
    for name in names:
        logs = np.asarray(posterior.posterior[name]).ravel()
        low, high = np.exp(np.percentile(logs, tails))
        ratios[name] = Estimate(float(np.exp(logs.mean())), float(low), float(high))
    r_hat = max(float(arviz.rhat(posterior)[name]) for name in names)
    return MixedModel(plan.denominator, ratios, r_hat)
