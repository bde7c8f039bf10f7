"""The batches of a running service: accepted, processed one image at a time, kept for a while, deleted.

There is one worker. For every image it waits for one of the places that requests wait for too, so that people who look
at one image never wait for more than one image of somebody's batch. What was sent is deleted as soon as its batch is
over, the results some time later; a service that ends takes all of it with it, and what one left that was killed is
deleted when the next one starts.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio

from app.archives import ArchiveLimits
from app.batch.folder import BatchFolder
from app.batch.gallery import gallery_page
from app.batch.held import HeldFolder, sweep
from app.batch.room import Room
from app.batch.sources import Images, ZipImages
from app.batch.uploads import SentImages, Upload, is_zip
from app.batch.work import answer_image, question_of, write_results
from app.engine import Engine, MapsRequest, Turn
from app.failures import BusyError, LateError, NothingHereError, TooMuchError
from lfi.errors import LFIError

log = logging.getLogger("lfi")

T = TypeVar("T")
State = Literal["waiting", "running", "done", "stopped", "failed"]
OVER = ("done", "stopped", "failed")
DELETED = "there is no such batch; it was deleted or has expired"
_PAUSE = 1.0
"""Seconds until an image is tried again that the busy service turned away, or the worker after a failure."""


@dataclass
class Batch:
    """One batch and how it stands.

    Attributes:
        id: nobody can guess it; who has it may see, stop and delete the batch, with the key it was sent with.
        key: name of that key; empty where no keys are asked for.
        sender: the key or the client, whose places it holds until it is over.
        sent: bytes of what was sent; 0 once that is deleted.
        packed: bytes of the zip of its results.
        place: its folder; `source` in it is what was sent, `out` the results.
        problem: why it failed, or the service stopped it.
        began, ended: by `time.monotonic`; None before. From its end on, nothing of it changes.
    """

    id: str
    request: MapsRequest
    place: Path
    images: Images
    folder: BatchFolder
    key: str = ""
    sender: str = ""
    sent: int = 0
    packed: int = 0
    state: State = "waiting"
    problem: str = ""
    began: float | None = None
    ended: float | None = None
    created: float = field(default_factory=time.monotonic)
    stopped: anyio.Event = field(default_factory=anyio.Event)

    @property
    def done(self) -> int:
        """Images processed so far, including unreadable ones."""
        return len(self.folder.records)

    @property
    def over(self) -> bool:
        """Whether nothing more is looked at."""
        return self.state in OVER

    @property
    def images_left(self) -> int:
        """That were not looked at yet."""
        return len(self.images.names) - self.done

    @property
    def bytes(self) -> int:
        """On disk, about."""
        return self.sent + self.folder.bytes + (self.folder.to_come if self.ended is None else self.packed)

    @property
    def seconds_left(self) -> float | None:
        """Until it is done, at the pace so far."""
        if self.state != "running" or self.began is None or not self.done:
            return None
        return (time.monotonic() - self.began) / self.done * self.images_left


class Batches:
    """All batches of this service. `work` runs as long as the service does; everything else answers immediately."""

    def __init__(self, engine: Engine):
        self.engine, self.settings = engine, engine.settings
        self._batches: dict[str, Batch] = {}
        self._room = Room(self.settings.batches, self.settings.batches_room, self.settings.batch_seconds)
        self._root: HeldFolder | None = None
        self._arrived = anyio.Event()
        self._drawing = anyio.CapacityLimiter(1)
        self._shown = "", 0, ""
        """The gallery that was drawn last: of which batch, of how many images."""

    @contextmanager
    def receiving(self, sender: str, size: int) -> Iterator[None]:
        """Hold a place and room on disk while a batch is sent and until it is admitted.

        Args:
            size: bytes of the request.

        Raises:
            BatchesFullError: there is no place, or no room; it says when there should be.
            NothingHereError: this service takes no batches.
        """
        if not self.settings.batches:
            raise NothingHereError("this service takes no batches")
        with self._room.hold(self._batches.values(), sender, size):
            yield

    def store(self, request: MapsRequest, uploads: Sequence[Upload], key: str = "", sender: str = "") -> Batch:
        """A batch of what was sent, not yet admitted. Copies files: call it in a thread.

        Raises:
            ArchiveError, TooMuchError: what was sent cannot be processed as a batch.
            NotReadyError, CheckpointError, UnknownModelError, UnknownWordError: as `question_of`.
        """
        asked = question_of(self.engine, request)
        name = secrets.token_urlsafe(16)
        place = self._folder() / name
        images: Images | None = None
        try:
            images = self._source(place / "source", uploads)
            if len(images.names) > self.settings.batch_images:
                raise TooMuchError(
                    f"the batch has {len(images.names):,} images; at most {self.settings.batch_images:,} are accepted"
                )
            sent = sum(file.stat().st_size for file in (place / "source").iterdir())
            return Batch(name, request, place, images, BatchFolder(place / "out", asked), key, sender, sent)
        except BaseException:
            _close(images)
            shutil.rmtree(place, ignore_errors=True)
            raise

    def admit(self, batch: Batch) -> None:
        """Let the worker have it."""
        self._batches[batch.id] = batch
        self._arrived.set()

    def get(self, name: str, key: str = "") -> Batch:
        """The batch of this id, which was sent with this key.

        Raises:
            NothingHereError: there is none, or no more, or it is another key's: the answers are the same.
        """
        batch = self._batches.get(name)
        if batch is None or batch.key != key:
            raise NothingHereError(DELETED)
        return batch

    def ahead(self, batch: Batch) -> int:
        """How many batches come before this one."""
        before = [each for each in self._batches.values() if not each.over and each.created < batch.created]
        return len(before) if batch.state == "waiting" else 0

    async def stop(self, batch: Batch) -> None:
        """Stop it after the current image, or now where there is none; what is done is kept."""
        waiting = batch.state == "waiting"
        self._halt(batch)
        if waiting:
            await self._run(batch)

    async def delete(self, batch: Batch) -> None:
        """End it and delete everything of it, immediately or after the current image."""
        self._halt(batch)
        self._forget(batch)
        if batch.ended is not None or batch.began is None:  # else whoever is at it deletes it
            await anyio.to_thread.run_sync(_remove, batch)

    async def draw(self, batch: Batch, make: Callable[[], T]) -> T:
        """Make something of its files in a thread: one at a time, which takes no place of those who ask about an image.

        Raises:
            NothingHereError: it was deleted meanwhile.
        """
        try:
            return await anyio.to_thread.run_sync(make, limiter=self._drawing)
        except FileNotFoundError:
            self.get(batch.id, batch.key)
            raise

    async def gallery(self, batch: Batch) -> str:
        """The gallery of what is done, drawn once until another image is done.

        Raises:
            NothingHereError: as `draw`.
        """

        def page() -> str:
            names = [name for name in batch.images.names if name in batch.folder.records]
            if self._shown[:2] != (batch.id, len(names)):
                self._shown = batch.id, len(names), gallery_page(batch.folder, names)
            return self._shown[2]

        return await self.draw(batch, page)

    async def work(self) -> None:
        """Process batches in order for as long as the service runs; first delete what a killed service left."""
        if swept := await anyio.to_thread.run_sync(sweep):
            log.warning("deleted the batches of %d services that had been killed", swept)
        while True:
            try:
                await self._expire()
                waiting = next((each for each in self._batches.values() if each.state == "waiting"), None)
                if waiting is not None:
                    await self._run(waiting)
                    continue
                with anyio.move_on_after(self.settings.batch_seconds / 10):
                    await self._arrived.wait()
                self._arrived = anyio.Event()
            except Exception:  # it would end the service's other tasks, and with this one all batches
                log.exception("the worker of batches failed, and goes on")
                await anyio.sleep(_PAUSE)

    def close(self) -> None:
        """Delete all of it."""
        for batch in self._batches.values():
            _close(batch.images)
        self._batches.clear()
        if self._root is not None:
            self._root.cleanup()

    async def _run(self, batch: Batch) -> None:
        batch.began = time.monotonic()
        try:
            if batch.state == "waiting":
                batch.state = "running"
            await self._look(batch)
            if batch.id in self._batches:
                await anyio.to_thread.run_sync(_finish, batch)
            if batch.state == "running":
                batch.state = "done"
        except Exception as error:
            log.exception("a batch failed")
            expected = isinstance(error, LFIError)
            batch.problem = str(error) if expected else "it failed unexpectedly; see the log"
            batch.state = "failed"
            await anyio.to_thread.run_sync(_give_up, batch)
        batch.ended = time.monotonic()
        if batch.id not in self._batches:
            await anyio.to_thread.run_sync(_remove, batch)

    async def _look(self, batch: Batch) -> None:
        """At one image after the other, until it is stopped or there is no room for what comes of another."""
        assert batch.began is not None
        largest = 0
        for name in batch.images.names:
            if batch.state != "running":
                return
            while (room := self._room.takes(self._batches.values(), largest)) == "perhaps":
                with anyio.move_on_after(_PAUSE):  # what is being sent may yet be given up, or refused
                    await batch.stopped.wait()
                if batch.state != "running":
                    return
            if room == "no":
                batch.problem = (
                    f"there is no room for more of its results: at most {self._room.most / 1e6:,.0f} MB of batches are "
                    "kept; delete some, and send the rest again"
                )
                self._halt(batch)
                return
            before = batch.bytes
            await self._answer(batch, name)
            largest = max(largest, batch.bytes - before)
            if batch.done:
                self._room.pace = (time.monotonic() - batch.began) / batch.done
            await self._expire()

    async def _answer(self, batch: Batch, name: str) -> None:
        def work(turn: Turn) -> None:
            answer_image(batch.folder, batch.images, name, self.engine, batch.request, turn)

        while True:
            try:
                await self.engine.admission.run(work)
                return
            except (BusyError, LateError):  # interactive requests come first: a batch can wait, until somebody stops it
                with anyio.move_on_after(_PAUSE):
                    await batch.stopped.wait()
            if batch.state != "running":
                return

    async def _expire(self) -> None:
        now = time.monotonic()
        for batch in list(self._batches.values()):
            if batch.ended is not None and now - batch.ended > self.settings.batch_seconds:
                self._forget(batch)
                await anyio.to_thread.run_sync(_remove, batch)

    def _halt(self, batch: Batch) -> None:
        if not batch.over:
            batch.state = "stopped"
            batch.stopped.set()

    def _forget(self, batch: Batch) -> None:
        """Show nothing of it any more; somebody else may have done so already."""
        self._batches.pop(batch.id, None)
        if self._shown[0] == batch.id:
            self._shown = "", 0, ""

    def _folder(self) -> Path:
        if self._root is None:
            self._root = HeldFolder()
        return Path(self._root.name)

    def _source(self, place: Path, uploads: Sequence[Upload]) -> Images:
        place.mkdir(parents=True)
        if len(uploads) == 1 and is_zip(uploads[0]):
            path = place / "images.zip"
            with path.open("wb") as file:
                shutil.copyfileobj(uploads[0].file, file)
            entries = 4 * self.settings.batch_images
            limits = ArchiveLimits(entries, unpacked=10 * self.settings.max_batch_bytes)
            return ZipImages(path, limits, called="the zip")
        return SentImages(place, uploads)


def _finish(batch: Batch) -> None:
    """Write the results and pack them, and delete what was sent."""
    out = batch.folder.path
    done = write_results(batch.folder, batch.images.names)
    packed = batch.place / "batch.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in (out / "index.html", out / "scores.csv", *(batch.folder.maps_file(each) for each in done.read)):
            archive.write(path, path.relative_to(out))
    batch.packed = packed.stat().st_size
    _forget_sent(batch)


def _give_up(batch: Batch) -> None:
    """Delete what was sent, and a zip that was begun."""
    batch.packed = 0
    with suppress(OSError):
        (batch.place / "batch.zip").unlink()
    _forget_sent(batch)


def _forget_sent(batch: Batch) -> None:
    _close(batch.images)
    shutil.rmtree(batch.place / "source", ignore_errors=True)
    batch.sent = 0


def _close(images: Images | None) -> None:
    close: Any = getattr(images, "close", None)
    if close is not None:
        close()


def _remove(batch: Batch) -> None:
    _close(batch.images)
    with suppress(OSError):
        shutil.rmtree(batch.place)
