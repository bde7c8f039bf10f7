"""Area under the ROC curve of the map as a score for "this pixel lies in the mask". A uniform map has .5."""

from __future__ import annotations

from evaluation.metrics.metric import Metric
from evaluation.metrics.ranking import roc_auc

METRIC = Metric("AUC", "localisation", "AUC", "higher", roc_auc)
