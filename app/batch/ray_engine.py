"""Parts of a batch on Ray Data: as many engines as asked for, on this machine or on a cluster that Ray knows.

Ray hands the parts out and starts a worker anew that dies; each part is written by who answered it, so all of them must
see the folder that is written to, and the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.batch.parts import Part, Worker
from app.engine import MapsRequest
from app.settings import Settings
from lfi.errors import ConfigError


class Batched:
    """A worker as Ray Data calls it: a batch of one part."""

    def __init__(self, settings: Settings, request: MapsRequest, out: str):
        self.worker = Worker(settings, request, out)

    def __call__(self, batch: dict[str, Any]) -> dict[str, np.ndarray]:
        """The part's name, once its file is there."""
        (text,) = batch["item"]
        part = Part.of(str(text))
        self.worker(part)
        return {"name": np.array([part.name])}


def answer_on_ray(
    parts: Sequence[Part], settings: Settings, request: MapsRequest, out: Path, workers: int
) -> Iterator[str]:
    """The name of every part, as they are finished.

    Raises:
        ConfigError: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("--engine ray needs Ray: pip install 'learning-from-interactions[ray]'") from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    items = ray.data.from_items([{"item": part.text()} for part in parts], override_num_blocks=len(parts))
    found = items.map_batches(
        Batched,
        batch_size=1,
        concurrency=workers,
        fn_constructor_args=(settings, request, str(out.resolve())),
    )
    for row in found.iter_rows():
        yield str(row["name"])
