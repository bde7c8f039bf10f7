"""Top-5 accuracy: how often the right class is among the five that score highest."""

from __future__ import annotations

from evaluation.metrics.metric import Metric
from evaluation.metrics.ranks import within_best

METRIC = Metric("top-5", "classification", "share of images", "higher", lambda s, labels: within_best(s, labels, 5))
