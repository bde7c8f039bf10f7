"""`lfi evaluate domains`: what models know of a domain without labels from it.

Three tables that answer different questions and are kept apart: a linear probe of the source domains on frozen
features; the whole model trained further on them; and zero-shot by class names alone, for which no label is used at
all. The probe's penalty and the epoch of the trained model are chosen on held-out images of the source domains
(DomainBed's training-domain validation), never on the domain that was left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from evaluation.features import Features, by_name, texts_for
from evaluation.finetuning import Schedule, finetuned, probabilities
from evaluation.probes import chosen_probe, head_of, probed
from evaluation.results import Figure, Results, over_clusters, over_seeds
from lfi.accuracy import among_best
from lfi.data.domains import leave_one_out
from lfi.data.imageset import ImageSet
from lfi.data.prompts import fill
from lfi.teachers.base import BaseTeacher

_MEAN = "mean over domains"


def left_out(
    models: Sequence[Features],
    images: ImageSet,
    seeds: Sequence[int],
    results: Results,
    schedule: Schedule | None = None,
) -> None:
    """Top-1 in percent on every domain that is left out; intervals over seeds.

    Args:
        models: of one name, one method trained with several seeds: each is measured over all splits, and intervals are
            over the models. One alone has intervals over the splits.
        seeds: of the splits, and of training.
        schedule: trains the whole model; a linear probe of frozen features without it.
    """
    domains = sorted(set(images.domains))
    total = len(models) * len(domains) * len(seeds)
    with tqdm(total=total, desc="domains", unit="split", dynamic_ncols=True) as bar:
        for name, trained in by_name(models).items():
            found = np.zeros((len(trained), len(seeds), len(domains)))
            for row, model in enumerate(trained):
                features = model.all(images.images)
                for place in np.ndindex(len(seeds), len(domains)):
                    seed, domain = seeds[place[0]], domains[place[1]]
                    found[row][place] = _of_split(model, features, images, domain, seed, schedule)
                    bar.update()
            over = found.mean(1) if len(trained) > 1 else found[0]
            for domain, values in zip(domains, over.T, strict=True):
                results.figures[f"{name}: {domain}"] = over_seeds(values.tolist(), "% top-1")
            results.figures[f"{name}: {_MEAN}"] = over_seeds(over.mean(1).tolist(), "% top-1")


def _of_split(
    model: Features, features: Tensor, images: ImageSet, domain: str, seed: int, schedule: Schedule | None
) -> float:
    """Top-1 in percent on one domain, learned from the others."""
    places = {name: row for row, name in enumerate(images.ids)}
    split, count = leave_one_out(images, domain, seed=seed), len(images.classes)
    train, selection, test = (
        features[[places[name] for name in part.ids]] for part in (split.train, split.validation, split.test)
    )
    probe = chosen_probe((train, split.train.labels), (selection, split.validation.labels))
    if schedule is None:
        return accuracy(probed(probe, test, count), split.test.labels)
    tuned = finetuned(
        model,
        head_of(probe, count),
        split.train,
        schedule,
        seed,
        lambda each: accuracy(probabilities(each, split.validation.images), split.validation.labels),
    )
    return accuracy(probabilities(tuned, split.test.images), split.test.labels)


def zero_shot_domains(
    models: Sequence[Features], images: ImageSet, teacher: BaseTeacher, prompt: str, results: Results
) -> None:
    """Top-1 by class names on every domain. The mean gives every domain the same weight.

    Intervals are over images; over models where several of one name are one method trained with several seeds.

    Raises:
        ConfigError: a model that has no text space, or that of another teacher.
    """
    names = [fill(prompt, name) for name in images.classes]
    texts = {id(model): texts_for(model, names, teacher) for model in models}
    where = np.array(images.domains)
    domains = sorted(set(images.domains))
    for name, trained in by_name(models).items():
        right = [100.0 * _right(model.all(images.images, texts[id(model)]), images.labels) for model in trained]
        if len(trained) > 1:
            found = np.array([[each[where == domain].mean() for domain in domains] for each in right])
            figures = [over_seeds(values.tolist(), "% top-1") for values in found.T]
            mean = over_seeds(found.mean(1).tolist(), "% top-1")
        else:
            within = [right[0][where == domain] for domain in domains]
            figures = [over_clusters(values, np.arange(len(values)), "% top-1") for values in within]
            mean = _mean_of(figures)
        for domain, each in zip(domains, figures, strict=True):
            results.figures[f"{name}: {domain}"] = each
        results.figures[f"{name}: {_MEAN}"] = mean


def _mean_of(figures: Sequence[Figure]) -> Figure:
    """Domains are independent samples, so variances of their means add up."""
    reach = np.sqrt(sum((each.high - each.low) ** 2 for each in figures)) / 2 / len(figures)
    mean = float(np.mean([each.value for each in figures]))
    return Figure(mean, mean - reach, mean + reach, "% top-1")


def accuracy(probabilities: Tensor, labels: np.ndarray) -> float:
    """Top-1 in percent."""
    return 100 * float(_right(probabilities, labels).mean())


def _right(scores: Tensor, labels: np.ndarray) -> np.ndarray:
    return among_best(scores, torch.from_numpy(labels), 1).numpy()
