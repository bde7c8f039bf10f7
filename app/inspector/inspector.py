"""The models of a running service: loaded once, asked from many threads."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import torch
from PIL import Image

from app.errors import NotReadyError
from app.inspector.cache import LatestUsed, content_hash
from app.settings import Settings
from app.telemetry.metrics import Metrics
from lfi.comparison import MODELS, Comparison, EncodedTrio, Trio
from lfi.errors import CheckpointError, LFIError, UnknownModelError

log = logging.getLogger("lfi")


class Inspector:
    """Answers "where do the models look for these words" from any thread.

    At most `settings.inference_threads` comparisons run at once; others wait. Attributes:
        trios: by name, as far as they are loaded.
        failures: why a trio could not be loaded, by name, in one line without paths.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None):
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.metrics.watch(self)
        self.trios: dict[str, Trio] = {}
        self.failures: dict[str, str] = {}
        self._encoded: LatestUsed[EncodedTrio] = LatestUsed(settings.cached_images)
        self._turns = threading.BoundedSemaphore(settings.inference_threads)
        self.jobs = anyio.CapacityLimiter(settings.jobs)
        self._loaded = False

    @property
    def default(self) -> str:
        """Name of the trio that answers where none is named."""
        return self.settings.trio

    @property
    def ready(self) -> bool:
        """Whether everything that can be loaded is loaded, the default trio with it."""
        return self._loaded and self.default in self.trios

    async def warm(self) -> None:
        """Load in a thread, so that the service answers `/healthz` meanwhile."""
        await anyio.to_thread.run_sync(self.load, abandon_on_cancel=True)

    def load(self) -> None:
        """Load every trio, the default first. One that fails is noted and does not stop the others."""
        torch.set_num_threads(self.settings.torch_threads)
        names = [self.default, *(name for name in self._found() if name != self.default)]
        for name in names:
            try:
                self._rehearse(self.load_only(name))
                log.info("trio %r is ready", name)
            except LFIError as error:
                self.trios.pop(name, None)
                self.failures[name] = str(error).replace(f"{self.settings.models_dir}{os.sep}", "")
                log.error("trio %r is not served: %s", name, error)
            except Exception:
                self.trios.pop(name, None)
                self.failures[name] = "it failed in a way nobody foresaw; the log says how"
                log.exception("trio %r is not served", name)
        self._loaded = True

    def _found(self) -> list[str]:
        return sorted(card.parent.name for card in self.settings.models_dir.glob("*/card.json"))

    def load_only(self, name: str) -> Trio:
        """Load one trio, and let its errors pass.

        Raises:
            UnknownModelError: there is no such folder.
            CheckpointError: a file in it is missing, damaged or does not fit.
        """
        folder = self.settings.models_dir / name
        if not folder.is_dir():
            known = ", ".join(self._found()) or "none; `lfi train-default` makes one"
            raise UnknownModelError(f"no trio {name!r} in {folder.parent}; there are: {known}")
        trio = load_trio(folder, self.settings.device)
        self.trios[name] = trio
        return trio

    def _rehearse(self, trio: Trio) -> None:
        """One answer for nobody: the first is slower than those that people wait for."""
        word = trio.vocabulary[0] if trio.vocabulary else "dog"
        trio.compare(Image.new("RGB", (64, 64), "white"), [word])

    def trio(self, name: str | None = None) -> Trio:
        """The trio of this name, or the default one.

        Raises:
            NotReadyError: still loading, or the default cannot be loaded.
            CheckpointError: this one could not be loaded.
            UnknownModelError: there is no such trio.
        """
        name = name or self.default
        if name in self.trios:
            return self.trios[name]
        if not self._loaded:
            raise NotReadyError("the models are still loading; try again in a moment")
        if name in self.failures:
            why = f"trio {name!r} could not be loaded: {self.failures[name]}"
            raise NotReadyError(why) if name == self.default else CheckpointError(why)
        raise UnknownModelError(f"no trio {name!r}; there are: {', '.join(self.trios) or 'none'}")

    def compare(
        self,
        image: Image.Image,
        words: Sequence[str],
        models: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        trio: str | None = None,
        heads: bool = False,
    ) -> Comparison:
        """Maps of one image (RGB, as `decode_image` gives it) for every word and model. Thread-safe.

        Raises:
            NotReadyError, CheckpointError, UnknownModelError: as `trio`.
            WordsError, ConfigError: as `Trio.compare`.
        """
        chosen = self.trio(trio)
        key = (chosen.name, content_hash(image))
        with self._turns:
            encoded = self._encoded.get(key, lambda: chosen.encode(image))
            found = chosen.compare(encoded, words, models=models, layers=layers, heads=heads)
        for model, seconds in found.seconds.items():
            self.metrics.inference.labels(model).observe(seconds)
        return found

    def gauges(self) -> dict[str, tuple[str, float]]:
        """For the metrics."""
        jobs = self.jobs.statistics()
        return {
            "lfi_queue_length": ("Requests that wait to be decoded and run.", jobs.tasks_waiting),
            "lfi_jobs_running": ("Requests that are decoded, run or rendered.", jobs.borrowed_tokens),
            "lfi_models_ready": ("1 when all models are warm.", self.ready),
        }

    def counts(self) -> dict[str, tuple[str, float]]:
        """For the metrics."""
        return {
            "lfi_cache_hits": ("Questions about an image that was encoded already.", self._encoded.hits),
            "lfi_cache_misses": ("Questions about an image that was not.", self._encoded.misses),
        }


def load_trio(folder: Path, device: str) -> Trio:
    """`Trio.load`, with files that may not be read as a `CheckpointError` too."""
    try:
        return Trio.load(folder, device)
    except OSError as error:
        raise CheckpointError(f"the trio in {folder} cannot be read: {error.strerror or error}") from error
