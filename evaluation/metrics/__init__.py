"""Metrics, one file each. Every file declares a `METRIC`: its name, category, unit and which direction is better."""

from evaluation.metrics.metric import Metric, UndefinedWarning
from evaluation.metrics.registry import METRICS, of_category

__all__ = ["METRICS", "Metric", "UndefinedWarning", "of_category"]
