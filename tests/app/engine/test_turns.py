"""Who is let in: a bounded number, for a bounded time, with a bounded sum of pixels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from app.engine.turns import Admission, Pixels, Turn
from app.failures import BusyError, GoneError, LateError


async def never() -> None:
    await anyio.sleep_forever()


def waits_for(event: threading.Event) -> Callable[[Turn], str]:
    def work(turn: Turn) -> str:
        assert event.wait(10)
        return "done"

    return work


def test_a_request_too_many_is_refused_and_those_inside_are_answered():
    async def story() -> list[str]:
        admission, event, answers = (
            Admission(places=2, threads=anyio.CapacityLimiter(1), seconds=10),
            threading.Event(),
            [],
        )

        async def ask() -> None:
            answers.append(await admission.run(waits_for(event), never))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert admission.inside == 2
            with pytest.raises(BusyError, match="2 requests are waiting already"):
                await admission.run(waits_for(event), never)
            event.set()
        assert admission.inside == 0
        return answers

    assert anyio.run(story) == ["done", "done"]


def test_a_request_that_waits_too_long_is_given_up_and_one_in_work_is_not():
    async def story() -> list[str]:
        admission, event, answers = (
            Admission(places=4, threads=anyio.CapacityLimiter(1), seconds=0.1),
            threading.Event(),
            [],
        )

        async def ask() -> None:
            answers.append(await admission.run(waits_for(event)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            start = time.monotonic()
            with pytest.raises(LateError, match=r"took more than 0\.1 s; try again"):
                await admission.run(waits_for(event))
            assert time.monotonic() - start >= 0.1
            event.set()
        return answers

    assert anyio.run(story) == ["done"]


def test_a_client_that_goes_frees_its_place():
    async def story() -> None:
        admission, event = Admission(places=2, threads=anyio.CapacityLimiter(1), seconds=10), threading.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(admission.run, waits_for(event))
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(GoneError):
                await admission.run(waits_for(event), lambda: anyio.sleep(0))
            assert admission.inside == 1
            event.set()

    anyio.run(story)


def test_what_goes_wrong_in_the_thread_is_raised_as_it_is():
    def fails(turn: Turn) -> None:
        raise ZeroDivisionError

    async def story() -> None:
        with pytest.raises(ZeroDivisionError):
            await Admission(places=1, threads=anyio.CapacityLimiter(1), seconds=1).run(fails, never)

    anyio.run(story)


class Watched(Turn):
    """A turn that says when it was looked at for the second time: its owner is waiting, and goes on waiting."""

    def __init__(self, seconds: float):
        super().__init__(seconds)
        self.waits = threading.Event()
        self.looks = 0

    def check(self) -> None:
        super().check()
        self.looks += 1
        if self.looks > 1:
            self.waits.set()


def test_a_picture_without_room_for_its_pixels_waits_for_its_whole_time():
    pixels = Pixels(100)
    with pixels.held(60, Turn()), pixels.held(40, Turn()):
        start = time.monotonic()
        with pytest.raises(LateError), pixels.held(1, Turn(0.05)):
            pass
        assert time.monotonic() - start >= 0.05


@pytest.mark.parametrize("count", [50, 1000], ids=["a picture", "a picture larger than all of the room"])
def test_pictures_are_let_in_once_there_is_room_for_their_pixels(count):
    pixels, turn, story = Pixels(100), Watched(10), []

    def later() -> None:
        with pixels.held(count, turn):
            story.append("let in")

    with ThreadPoolExecutor(1) as threads:
        with pixels.held(60, Turn()):
            waiting = threads.submit(later)
            waiting.add_done_callback(lambda _: turn.waits.set())
            assert turn.waits.wait(10)
            story.append("room")
        waiting.result(10)
    assert story == ["room", "let in"]
    with pixels.held(100, Turn(1)):
        pass  # what it held is free again
