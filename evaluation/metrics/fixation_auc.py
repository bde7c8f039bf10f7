"""AUC of the map as a score for "somebody looked here": fixated pixels against all others. A uniform map has .5.

AUC-Judd (Judd et al. 2009) without its random noise: equal values count half instead.
"""

from __future__ import annotations

from evaluation.metrics.metric import Metric
from evaluation.metrics.ranking import roc_auc

METRIC = Metric("AUC of fixations", "gaze", "AUC", "higher", roc_auc)
