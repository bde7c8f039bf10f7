"""Answers "where do the models look for these words in this picture", for every door of the service.

Every caller gets a `Turn` from `Engine.admission` and hands it on, so requests are refused, time out or are abandoned
in the same way everywhere. Files are decoded within one budget of pixels, pictures that the models still know are not
run through them again, words are checked in one place, and questions that wait together are answered together.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread
from PIL import Image

from app.engine.cache import LatestUsed, content_hash
from app.engine.decode import decoded, opened, several
from app.engine.kept import KeptPictures
from app.engine.microbatches import MicroBatches
from app.engine.pictures import File, ModelInput, Picture
from app.engine.request import MapsRequest
from app.engine.trios import Trios
from app.engine.turns import Admission, Pixels, Turn
from app.engine.words import plain_words
from app.settings import Settings
from app.telemetry.metrics import Metrics
from lfi.comparison import Comparison, EncodedTrio, Question
from lfi.errors import UnknownWordError, WordsError

_FILES = 4096
"""Hashes of files that are remembered, to find their pictures without decoding them."""


class Engine:
    """Answers from any thread. Questions that wait at the same time are answered together.

    Attributes:
        trios: the models.
        kept: pictures that visitors chose to keep.
        jobs: places for work in threads; whatever decodes, asks the models or renders takes one.
        admission: lets requests in and gives each a turn.
        pixels: how many may be decoded at a time.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None):
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.metrics.watch(self)
        self.trios = Trios(settings)
        self.kept = KeptPictures(settings.kept_folder, settings.kept_days, settings.kept_pictures, settings.kept_bytes)
        self.jobs = anyio.CapacityLimiter(settings.jobs)
        self.admission = Admission(settings.places, self.jobs, settings.request_seconds)
        self.pixels = Pixels(settings.pixels_in_work)
        self._encoded: LatestUsed[EncodedTrio] = LatestUsed(
            settings.cached_images, settings.cached_bytes, lambda encoded: encoded.bytes
        )
        self._files: LatestUsed[tuple[str, tuple[int, int], str]] = LatestUsed(_FILES)
        self._microbatches: dict[str, MicroBatches[tuple[ModelInput, Question], Comparison]] = {}
        self._hits = self._misses = 0

    async def warm(self) -> None:
        """Load the models in a thread, so that the service can answer `/healthz` meanwhile."""
        await anyio.to_thread.run_sync(self.trios.load, abandon_on_cancel=True)

    def ask(self, source: File | Picture, request: MapsRequest, turn: Turn) -> Comparison:
        """Maps of a picture for every word and model. Takes a while: call it in a thread.

        Args:
            turn: time left, and whether anybody is still waiting.

        Raises:
            ImageError: as `open`.
            WordsError, ConfigError, NotReadyError, CheckpointError, UnknownModelError: as `question`; an unknown word
                comes with what the teacher sees in the picture.
            LateError, GoneError: the turn was over before the models began.
        """
        turn.check()
        picture = self.open(source, request, turn) if isinstance(source, File) else source
        try:
            question = self.question(request)
        except UnknownWordError as error:
            raise error.beside(self.seen(picture, request, turn)) from None
        name, seen = self._name(request), self._seen(picture, request)
        found = self._queue(name).ask((seen, question), turn)
        for model, seconds in found.seconds.items():
            self.metrics.inference.labels(model).observe(seconds)
        return found

    def seen(self, picture: Picture, request: MapsRequest, turn: Turn) -> tuple[tuple[str, float], ...]:
        """What the teacher sees most in a picture, as `Trio.seen`. Takes a while where the picture is new.

        Raises:
            NotReadyError, CheckpointError, UnknownModelError: as `Trios.get`.
            LateError, GoneError: the turn was over before the models began.
        """
        name, seen = self._name(request), self._seen(picture, request)
        trio = self.trios.get(name)
        if not trio.judges:
            return ()
        turn.check()
        encoded = self._encoded.find((name, seen.key)) or seen.content
        if not isinstance(encoded, EncodedTrio):
            encoded = trio.encode(encoded)
            self._encoded.keep((name, seen.key), encoded)
        return trio.seen(encoded)

    def question(self, request: MapsRequest) -> Question:
        """What the models are asked: words without articles that they do not know, models in their order.

        Raises:
            NotReadyError, CheckpointError, UnknownModelError: as `Trios.get`.
            WordsError, UnknownWordError, UnknownModelError, ConfigError: as `Trio.question`.
        """
        trio = self.trios.get(request.trio)
        words = plain_words(request.words, trio.vocabulary)
        try:
            return trio.question(words, trio.ordered(request.models), request.layers, request.heads)
        except UnknownWordError as error:
            raise error if error.peer else error.known_to(self._knowing(request.words)) from None

    def _knowing(self, words: Sequence[str]) -> list[str]:
        """Trios that know all of these words."""
        found = []
        for name, trio in self.trios.loaded.items():
            with suppress(WordsError):
                trio.teacher.check_prompts(plain_words(words, trio.vocabulary))
                found.append(name)
        return found

    def open(self, file: File, request: MapsRequest, turn: Turn, side: float | None = None) -> Picture:
        """The picture in a file, for the models that are asked.

        Args:
            side: longest side of its image, which is made smaller as need be; None where nobody draws on it: a file
                that the models still know is then not even decoded.

        Raises:
            NotReadyError, CheckpointError, UnknownModelError: the models that are asked for are not there.
            ImageError: as `decode_image`.
            LateError, GoneError: the turn was over before there was room for so many pixels.
        """
        turn.check()
        self.trios.get(request.trio).ordered(request.models)  # before the image is decoded and run
        known = self._recall(file.sha256, request)
        if known is not None and side is None:
            return known
        image = opened(file.data, self.settings.image_limits)
        with self.pixels.held(image.width * image.height, turn):
            image, note = decoded(image, file.data)
            seen = known.seen if known else self._look(image, request, file.sha256, note)
            size = image.size
            if side is not None and side < max(size):
                image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return Picture(file.sha256, size, None if side is None else image, seen, note)

    def decode(self, file: File, turn: Turn, first_frame: bool = False) -> Picture:
        """The picture in a file, for any models.

        Args:
            first_frame: read the first frame of an animation, with a note that says so; otherwise it is refused.

        Raises:
            ImageError: as `decode_image`.
            LateError, GoneError: the turn was over before there was room for so many pixels.
        """
        turn.check()
        image = opened(file.data, self.settings.image_limits, first_frame)
        what = several(image)
        note = f"the {image.format} image has several {what}; this is the first of them" if what else ""
        with self.pixels.held(image.width * image.height, turn):
            image, cut = decoded(image, file.data)
            return Picture.of(image, file.sha256, cut or note, whole=not what)

    def _name(self, request: MapsRequest) -> str:
        return request.trio or self.trios.default

    def _seen(self, picture: Picture, request: MapsRequest) -> ModelInput:
        """What the models of the request's trio see of a picture."""
        name = self._name(request)
        seen = picture.seen or self._look(picture.drawn, request, picture.source, picture.note)
        if seen.trio != name:
            raise ValueError(f"the picture was opened for {seen.trio!r}, not for {name!r}")
        return seen

    def _recall(self, source: str, request: MapsRequest) -> Picture | None:
        """The picture in the file of this hash, or in its first frame, where the models still know it."""
        name = self._name(request)
        key, size, note = self._files.find((name, source)) or ("", (0, 0), "")
        encoded = self._encoded.find((name, key))
        return None if encoded is None else Picture(source, size, None, ModelInput(name, key, encoded), note)

    def _look(self, image: Image.Image, request: MapsRequest, source: str, note: str) -> ModelInput:
        """What the models see of an image, by which it is known from now on."""
        known = self._recall(source, request) if source else None
        if known is not None and known.seen is not None:
            return known.seen
        name = self._name(request)
        content = self.trios.get(name).squash(image)
        seen = ModelInput(name, content_hash(content), content)
        if source:
            self._files.keep((name, source), (seen.key, image.size, note))
        return seen

    def _queue(self, name: str) -> MicroBatches[tuple[ModelInput, Question], Comparison]:
        """Where questions to the trio of this name wait for each other."""
        if name not in self._microbatches:
            made = MicroBatches(
                partial(self._answer, name),
                self.settings.micro_batch,
                self.settings.micro_batch_wait,
                lambda: self.admission.inside,
            )
            self._microbatches.setdefault(name, made)  # another thread may have been quicker
        return self._microbatches[name]

    def _answer(self, name: str, asked: Sequence[tuple[ModelInput, Question]]) -> list[Comparison]:
        """A micro-batch: images that are new, each once, in one forward pass; then all words in another."""
        trio = self.trios.get(name)
        encoded: dict[str, EncodedTrio] = {}
        new: dict[str, Image.Image] = {}
        for seen, _ in asked:
            known = self._encoded.find((name, seen.key)) or seen.content
            if isinstance(known, EncodedTrio):
                encoded[seen.key] = known
            else:
                new[seen.key] = known
        self._hits += len(asked) - len(new)
        self._misses += len(new)
        for key, found in zip(new, trio.encode_all(list(new.values())) if new else (), strict=True):
            encoded[key] = found
            self._encoded.keep((name, key), found)
        return trio.compare_all([encoded[seen.key] for seen, _ in asked], [question for _, question in asked])

    def gauges(self) -> dict[str, tuple[str, float]]:
        """For the metrics."""
        jobs = self.jobs.statistics()
        return {
            "lfi_queue_length": ("Requests that wait to be decoded and run.", jobs.tasks_waiting),
            "lfi_jobs_running": ("Requests that are decoded, run or rendered.", jobs.borrowed_tokens),
            "lfi_models_ready": ("1 when all models are warm.", self.trios.ready),
        }

    def counts(self) -> dict[str, tuple[str, float]]:
        """For the metrics."""
        return {
            "lfi_cache_hits": ("Questions about an image that was encoded already.", self._hits),
            "lfi_cache_misses": ("Questions about an image that was not.", self._misses),
        }
