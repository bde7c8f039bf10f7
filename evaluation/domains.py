"""`lfi evaluate domains`: what frozen models know of a domain that no label came from.

Two tables that answer different questions and are kept apart: a linear probe of the source domains, its penalty chosen
on images of these (DomainBed's source-domain model selection), tested on the domain that was left out; and zero-shot by
class names alone, for which no label is used at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from evaluation.features import Features
from evaluation.probes import selected_probe
from evaluation.results import Figure, Results, over_clusters, over_seeds
from lfi.data.domains import leave_one_out
from lfi.data.imageset import ImageSet
from lfi.teachers.openclip import OpenClipTeacher

_MEAN = "mean over domains"


def probe_domains(models: Sequence[Features], images: ImageSet, seeds: Sequence[int], results: Results) -> None:
    """Top-1 of a linear probe on every domain that is left out; intervals over seeds of the split."""
    domains, places = sorted(set(images.domains)), {name: row for row, name in enumerate(images.ids)}
    bar = tqdm(total=len(models) * len(domains) * len(seeds), desc="probes", unit="probe", dynamic_ncols=True)
    with bar:
        for model in models:
            features, found = model.all(images.images), np.zeros((len(domains), len(seeds)))
            for number, domain in enumerate(domains):
                for column, seed in enumerate(seeds):
                    split = leave_one_out(images, domain, seed=seed)
                    train, selection, test = (
                        features[[places[name] for name in part.ids]]
                        for part in (split.train, split.validation, split.test)
                    )
                    probabilities = selected_probe(
                        (train, split.train.labels), (selection, split.validation.labels), test, len(images.classes)
                    )
                    found[number, column] = accuracy(probabilities, split.test.labels)
                    bar.update()
            for domain, values in zip(domains, found, strict=True):
                results.figures[f"{model.name}: {domain}"] = over_seeds(values.tolist(), "% top-1")
            results.figures[f"{model.name}: {_MEAN}"] = over_seeds(found.mean(0).tolist(), "% top-1")


def zero_shot_domains(
    models: Sequence[Features], images: ImageSet, teacher: OpenClipTeacher, prompt: str, results: Results
) -> None:
    """Top-1 by class names on every domain; intervals over images. The mean gives every domain the same weight.

    Raises:
        ConfigError: a model that has no text space.
    """
    texts = teacher.embed_texts([prompt.format(name) for name in images.classes])
    where = np.array(images.domains)
    for model in models:
        right = (model.all(images.images, texts).argmax(1).numpy() == images.labels).astype(float)
        figures = []
        for domain in sorted(set(images.domains)):
            values = 100 * right[where == domain]
            figures.append(over_clusters(values, np.arange(len(values)), "% top-1"))
            results.figures[f"{model.name}: {domain}"] = figures[-1]
        # Domains are independent samples, so variances of their means add up.
        reach = np.sqrt(sum((each.high - each.low) ** 2 for each in figures)) / 2 / len(figures)
        mean = float(np.mean([each.value for each in figures]))
        results.figures[f"{model.name}: {_MEAN}"] = Figure(mean, mean - reach, mean + reach, "% top-1")


def accuracy(probabilities: Tensor, labels: np.ndarray) -> float:
    """Top-1 in percent."""
    return 100 * float((probabilities.argmax(1) == torch.from_numpy(labels)).float().mean())
