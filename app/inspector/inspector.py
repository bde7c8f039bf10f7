"""The models of a running service: loaded once, asked from many threads."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import torch
from PIL import Image

from app.failures import NotReadyError
from app.inspector.batches import Batches
from app.inspector.cache import LatestUsed, content_hash
from app.inspector.decode import decoded, opened
from app.inspector.turns import Admission, Pixels, Turn
from app.inspector.words import plain_words
from app.settings import Settings
from app.telemetry.metrics import Metrics
from lfi.comparison import MODELS, Comparison, EncodedTrio, Question
from lfi.errors import CheckpointError, LFIError, UnknownModelError
from lfi.trio import Trio

log = logging.getLogger("lfi")

_FILES = 4096
"""Hashes of files that are remembered, to find their pictures without decoding them."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that the models are asked about.

    Attributes:
        key: names what the models see of it.
        size: its width and height as people see it.
        image: no more of it than `Trio.squash` leaves, or what the models know of it already; None where it is only
            remembered.
    """

    key: str
    size: tuple[int, int]
    image: Image.Image | EncodedTrio | None


class Inspector:
    """Answers "where do the models look for these words" from any thread.

    Questions that wait at the same time are answered together, `settings.batch` of them at most. Attributes:
        trios: by name, as far as they are loaded.
        failures: why a trio could not be loaded, by name, in one line without paths.
        jobs: places for work in threads; whatever decodes, asks the models or renders takes one.
        admission: lets requests in.
        pixels: how many may be decoded at once.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None):
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.metrics.watch(self)
        self.trios: dict[str, Trio] = {}
        self.failures: dict[str, str] = {}
        self.jobs = anyio.CapacityLimiter(settings.jobs)
        self.admission = Admission(settings.places, self.jobs, settings.request_seconds)
        self.pixels = Pixels(settings.pixels_in_work)
        self._encoded: LatestUsed[EncodedTrio] = LatestUsed(
            settings.cached_images, settings.cached_bytes, lambda encoded: encoded.bytes
        )
        self._files: LatestUsed[Picture] = LatestUsed(_FILES)
        self._batches: dict[str, Batches[tuple[Picture, Question], Comparison]] = {}
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
            known = ", ".join(self._found()) or "none; `lfi trio` makes one"
            raise UnknownModelError(f"no trio {name!r} in {folder.parent}; there are: {known}")
        trio = load_trio(folder, self.settings.device)
        self._batches[name] = Batches(
            partial(self._answer, trio), self.settings.batch, self.settings.batch_wait, lambda: self.admission.inside
        )
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

    def decode(self, data: bytes, turn: Turn | None = None) -> Image.Image:
        """As `decode_image`, when there is room for so many pixels.

        Raises:
            ImageError: as `decode_image`.
            LateError, GoneError: the turn was over before there was.
        """
        image = opened(data, self.settings.image_limits)
        with self.pixels.held(image.width * image.height, turn or Turn()):
            return decoded(image)

    def recall(self, file: str, trio: str | None = None) -> Picture | None:
        """The picture in the file of this hash, where the models of this trio still know it: it need not be decoded."""
        name = self.trio(trio).name
        picture = self._files.find((name, file))
        encoded = None if picture is None else self._encoded.find((name, picture.key))
        return None if picture is None or encoded is None else replace(picture, image=encoded)

    def picture(self, image: Image.Image, trio: str | None = None, file: str = "") -> Picture:
        """What the models of this trio see of an image (RGB, as `decode_image` gives it).

        Equal pictures have equal keys, however they were stored.

        Args:
            file: hash of the file, by which `recall` finds it again.
        """
        chosen = self.trio(trio)
        seen = chosen.squash(image)
        picture = Picture(content_hash(seen), image.size, seen)
        if file:
            self._files.keep((chosen.name, file), replace(picture, image=None))
        return picture

    def compare(
        self,
        image: Image.Image | Picture,
        words: Sequence[str],
        models: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        trio: str | None = None,
        heads: bool = False,
        turn: Turn | None = None,
    ) -> Comparison:
        """Maps of one image for every word and model. Thread-safe.

        Args:
            image: RGB, as `decode_image` gives it.
            words: answered under the names that `plain_words` gives them.
            turn: time that is left, and whether anybody waits.

        Raises:
            NotReadyError, CheckpointError, UnknownModelError: as `trio`.
            WordsError, ConfigError: as `Trio.question`.
            LateError, GoneError: the turn was over before the models began.
        """
        chosen = self.trio(trio)
        question = chosen.question(plain_words(words, chosen.vocabulary), chosen.ordered(models), layers, heads)
        if isinstance(image, Image.Image):
            image = self.picture(image, trio)
        found = self._batches[trio or self.default].ask((image, question), turn)
        for model, seconds in found.seconds.items():
            self.metrics.inference.labels(model).observe(seconds)
        return found

    def _answer(self, trio: Trio, asked: Sequence[tuple[Picture, Question]]) -> list[Comparison]:
        """A batch: images that are new, each once, in one forward pass; then all words in another."""
        encoded: dict[str, EncodedTrio] = {}
        new: dict[str, Image.Image] = {}
        for picture, _ in asked:
            known = self._encoded.find((trio.name, picture.key)) or picture.image
            if isinstance(known, EncodedTrio):
                encoded[picture.key] = known
            elif known is not None:
                new[picture.key] = known
        self._encoded.hits += len(asked) - len(new)
        self._encoded.misses += len(new)
        for key, found in zip(new, trio.encode_all(list(new.values())) if new else (), strict=True):
            encoded[key] = found
            self._encoded.keep((trio.name, key), found)
        return trio.compare_all([encoded[picture.key] for picture, _ in asked], [question for _, question in asked])

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
    """`Trio.load` where `auto` takes a GPU if there is one; files that may not be read are a `CheckpointError`, too."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return Trio.load(folder, device)
    except OSError as error:
        raise CheckpointError(f"the trio in {folder} cannot be read: {error.strerror or error}") from error
