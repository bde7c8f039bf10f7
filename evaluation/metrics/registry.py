"""All metrics by name. A new file in this folder with a `METRIC` is found without being listed anywhere."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from evaluation.metrics.metric import Category, Metric


def _found() -> dict[str, Metric]:
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    others = [name for name in names if name not in ("metric", "registry")]
    modules = [import_module(f"evaluation.metrics.{name}") for name in others]
    metrics = [module.METRIC for module in modules if hasattr(module, "METRIC")]
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, Metric] = _found()


def of_category(category: Category) -> list[Metric]:
    """The metrics that are given the same things."""
    return [metric for metric in METRICS.values() if metric.category == category]
