"""Who rates what: a Latin square over items and conditions, walked through by one rater after the other."""

from __future__ import annotations

import numpy as np

from lfi.errors import ConfigError


def latin_design(raters: int, items: int, conditions: int, trials: int) -> np.ndarray:
    """Item and condition of every trial, int `[rater, trial, 2]`.

    Raters take the next `trials` items of an endless round; each round shows an item in its next condition. So no two
    cells (item, condition) differ by more than one rating, and a rater who sees an item again sees another condition.

    Raises:
        ConfigError: nobody, nothing, or more trials than there are cells.
    """
    if min(raters, items, conditions, trials) < 1:
        raise ConfigError(f"{raters} raters, {items} items and {trials} trials; at least one of each was expected")
    if trials > items * conditions:
        raise ConfigError(f"{trials} trials per rater, but {items} items in {conditions} conditions allow fewer")
    place = np.arange(raters * trials).reshape(raters, trials)
    item = place % items
    return np.stack([item, (item + place // items) % conditions], axis=-1)
