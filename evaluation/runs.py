"""Runs of a benchmark: several processes at a time, each result kept as a JSON record."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from lfi.devices import cores
from lfi.errors import ConfigError
from lfi.training.provenance import difference
from lfi.writing import whole

T = TypeVar("T")


def in_processes(
    work: Callable[..., T], runs: Iterable[tuple[Any, ...]], workers: int, title: str, unit: str
) -> Iterator[T]:
    """What `work(*run)` returns for every run, as runs finish; each process takes its share of the cores."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _share_cores, (workers,)) as pool:
        futures = [pool.submit(work, *run) for run in runs]
        try:
            for future in tqdm(as_completed(futures), total=len(futures), desc=title, unit=unit, dynamic_ncols=True):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # none is begun any more; those at work finish and are kept
            raise


def _share_cores(workers: int) -> None:
    granted = min(torch.get_num_threads(), cores())  # the former by the environment
    torch.set_num_threads(max(1, granted // workers))


def check_known(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that a benchmark does not have.

    Raises:
        ConfigError: names the first of them, and those that exist.
    """
    for each in given:
        if each not in known:
            raise ConfigError(f"unknown {what} {each!r}; one of {', '.join(known)} was expected")


def check_recipe(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse what was made by another recipe than it would be now; see `difference`.

    Raises:
        ConfigError: names the first difference, or says that the file has no recipe.
    """
    if not before:
        raise ConfigError(f"{path} does not say how it was made; move it away, or pass another --runs")
    if found := difference(before, now):
        name, was, value = found
        raise ConfigError(
            f"{path} was made with {name} {was!r}, which is {value!r} now; move it away, or pass another --runs"
        )


def keep(path: Path, record: dict[str, Any]) -> None:
    """Write a record, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_text(json.dumps(record) + "\n")
