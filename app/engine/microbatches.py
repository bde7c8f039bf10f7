"""Micro-batches: requests that wait for the models at the same time are answered by one forward pass.

While the models work on a batch, the next one fills up; so under load batches are full, and no request waits for one to
fill. A lone request runs immediately. Only if others are known to be on their way (uploads being decoded) does
a batch wait for them, a few milliseconds at most.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.engine.turns import Turn

In = TypeVar("In")
Out = TypeVar("Out")


class _Place(Generic[In, Out]):
    """One question on its way through a batch."""

    def __init__(self, asked: In, turn: Turn):
        self.asked = asked
        self.turn = turn
        self.answer: list[Out] = []
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return bool(self.answer) or self.error is not None


class MicroBatches(Generic[In, Out]):
    """Questions from many threads, answered together by one thread of its own.

    Args:
        run: answers a batch, in its order.
        size: questions in a batch at most.
        patience: seconds that a batch waits for questions that are on their way.
        coming: how many requests are being served in all, including those that wait here.
    """

    def __init__(
        self,
        run: Callable[[Sequence[In]], Sequence[Out]],
        size: int,
        patience: float = 0.0,
        coming: Callable[[], int] = lambda: 0,
    ):
        self.run, self.size, self.patience, self.coming = run, size, patience, coming
        self._waiting: deque[_Place[In, Out]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def ask(self, asked: In, turn: Turn) -> Out:
        """The answer, once the batch that this question gets into is done.

        Raises:
            GoneError, LateError: nobody waits any more, or the time is over, and its batch has not begun.
            Exception: whatever `run` raised for this question.
        """
        place: _Place[In, Out] = _Place(asked, turn)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="models", daemon=True)
                self._thread.start()
            self._waiting.append(place)
            self._changed.notify_all()
            try:
                place.turn.wait(self._changed, lambda: place.done or place not in self._waiting)
            except BaseException:
                if place in self._waiting:  # Ctrl+C may come after its batch has begun
                    self._waiting.remove(place)
                raise
            while not place.done:  # its batch has begun
                self._changed.wait()
        if place.error is not None:
            raise place.error
        return place.answer[0]

    def _work(self) -> None:
        while True:
            batch = self._take()
            self._answer(batch)
            with self._changed:
                self._changed.notify_all()

    def _take(self) -> list[_Place[In, Out]]:
        """The next batch, as soon as there is one that need not wait for more."""
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            end = time.monotonic() + self.patience
            while len(self._waiting) < min(self.size, self.coming()) and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return [self._waiting.popleft() for _ in range(min(self.size, len(self._waiting)))]

    def _answer(self, batch: Sequence[_Place[In, Out]]) -> None:
        """Answer a batch; where it fails, each of its questions alone, so that one does not spoil the others."""
        try:
            for place, answer in zip(batch, self.run([place.asked for place in batch]), strict=True):
                place.answer = [answer]
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for place in batch:
                self._answer([place])
