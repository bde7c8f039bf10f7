"""Micro-batches: questions that wait together are answered together, each with its own answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.engine.microbatches import MicroBatches
from app.engine.turns import Turn
from app.failures import GoneError, LateError


class Squares:
    """A model that squares, and can be held up."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.open = threading.Event()
        self.busy = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.seen.append(list(numbers))
        self.busy.set()
        assert self.open.wait(10)
        if 13 in numbers:
            raise ValueError("13 cannot be squared")
        return [number**2 for number in numbers]


def until(ready: object) -> None:
    end = time.monotonic() + 10
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.001)


def test_what_waits_while_the_models_work_is_the_next_batch():
    model = Squares()
    batches: MicroBatches[int, int] = MicroBatches(model, size=4)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(batches.ask, 0, Turn())
        assert model.busy.wait(10)
        others = [threads.submit(batches.ask, number, Turn()) for number in range(1, 7)]
        until(lambda: len(batches._waiting) == 6)
        model.open.set()
        assert [each.result(10) for each in (first, *others)] == [0, 1, 4, 9, 16, 25, 36]
    assert [len(batch) for batch in model.seen] == [1, 4, 2]


def test_a_batch_waits_for_those_that_are_on_their_way_and_no_longer():
    model, coming = Squares(), 2
    model.open.set()
    batches: MicroBatches[int, int] = MicroBatches(model, size=8, patience=10, coming=lambda: coming)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(batches.ask, (1, 2), (Turn(), Turn()))) == [1, 4]
    assert [sorted(batch) for batch in model.seen] == [[1, 2]]
    coming = 1
    assert batches.ask(3, Turn()) == 9  # alone: at once, not after ten seconds


def test_one_that_fails_does_not_spoil_its_batch():
    model = Squares()
    batches: MicroBatches[int, int] = MicroBatches(model, size=8)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(batches.ask, 0, Turn())
        assert model.busy.wait(10)
        others = {number: threads.submit(batches.ask, number, Turn()) for number in (2, 13, 3)}
        until(lambda: len(batches._waiting) == 3)
        model.open.set()
        assert [first.result(10), others[2].result(10), others[3].result(10)] == [0, 4, 9]
        with pytest.raises(ValueError, match="13 cannot be squared"):
            others[13].result(10)


@pytest.mark.parametrize(("seconds", "error"), [(0.2, LateError), (10, GoneError)])
def test_a_question_that_waits_in_vain_frees_its_place(seconds, error):
    model = Squares()
    batches: MicroBatches[int, int] = MicroBatches(model, size=1)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(batches.ask, 5, Turn())
        assert model.busy.wait(10)
        turn = Turn(seconds)
        late = threads.submit(batches.ask, 6, turn)
        if error is GoneError:
            until(lambda: len(batches._waiting) == 1)
            turn.abandon()
        with pytest.raises(error):
            late.result(10)
        assert not batches._waiting
        model.open.set()
        assert first.result(10) == 25
    assert model.seen == [[5]]
