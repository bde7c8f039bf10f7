"""Which ratings are of one item, and which items show one picture.

Two words on one picture share what makes it easy or hard, so their ratings resemble each other as those of one word do.
Studies sample pictures: wherever items are resampled, counted as independent or tested, it is pictures that are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def items_of(rows: pd.DataFrame) -> np.ndarray:
    """The number of each row's item, from 0, in the order of their names; studies have no item in common.

    Args:
        rows: `study`, `item` and `image` of `evaluation.study.ratings`.
    """
    return rows.groupby(["study", "item", "image"]).ngroup().to_numpy()


def pictures_of(rows: pd.DataFrame) -> np.ndarray:
    """The number of each row's picture, from 0, in the order of their first items; studies have none in common.

    With one word per picture these are the numbers of the items. Where no image is named, an item counts as a picture.
    """
    named = rows["image"] != ""
    picture = [rows["study"], named, rows["image"].where(named, rows["item"])]
    first = pd.Series(items_of(rows), rows.index).groupby(picture).transform("min")
    return pd.factorize(first, sort=True)[0]


def summed(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """`values` `[..., item]` summed per group, `[..., group]`.

    Args:
        groups: int `[item]`, from 0.
    """
    return values @ np.eye(groups.max() + 1)[groups]
