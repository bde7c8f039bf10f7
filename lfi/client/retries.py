"""When to ask again, and after how long.

A service that is busy or starting says when to come back (`Retry-After`, RFC 9110 10.2.3), and the client obeys.
Without that header, pauses double and are drawn at random below that, so that many clients do not return together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import anyio
import httpx

from lfi.client.errors import ProblemError, UnreachableError

_LATER = (429, 502, 503, 504)
_NOT_TAKEN = (429, 503)
"""Statuses that mean the service did nothing; the others come from proxies, which cannot know."""


@dataclass(frozen=True)
class Retries:
    """How patient a client is.

    Attributes:
        attempts: requests in all, the first with them.
        first: seconds before the second one, at most, where the service names no time; later ones wait twice as long.
        longest: seconds that one pause may last; where the service asks for more, the client gives up.
        sleep, async_sleep: wait, in `Client` and in `AsyncClient`.

    Raises:
        ValueError: not even one attempt.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    async_sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}; at least 1 was expected")

    def run(self, send: Callable[[], httpx.Response], repeatable: bool = True, deletes: bool = False) -> httpx.Response:
        """The answer, 2xx.

        Args:
            send: makes one request; is called again for another.
            repeatable: whether a request may be sent twice when it is unknown whether the first one arrived.
            deletes: whether 404 is an answer, too, where an earlier attempt may have arrived.

        Raises:
            ProblemError: the service refuses, for good or for longer than we wait.
            UnreachableError: it does not answer.
        """
        attempts = _Attempts(self, repeatable, deletes)
        while True:
            try:
                response = send()
            except httpx.RequestError as error:
                pause = attempts.after_error(error)
            else:
                if attempts.answered(response):
                    return response
                pause = attempts.after_refusal(response)
            self.sleep(pause)

    async def run_async(
        self, send: Callable[[], Awaitable[httpx.Response]], repeatable: bool = True, deletes: bool = False
    ) -> httpx.Response:
        """As `run`, in an event loop."""
        attempts = _Attempts(self, repeatable, deletes)
        while True:
            try:
                response = await send()
            except httpx.RequestError as error:
                pause = attempts.after_error(error)
            else:
                if attempts.answered(response):
                    return response
                pause = attempts.after_refusal(response)
            await self.async_sleep(pause)


@dataclass
class _Attempts:
    """What became of the attempts at one request so far."""

    retries: Retries
    repeatable: bool
    deletes: bool
    failed: int = 0
    perhaps: bool = False
    """Whether one of them may have arrived."""

    def answered(self, response: httpx.Response) -> bool:
        """Whether the request is done."""
        return response.is_success or (self.deletes and self.perhaps and response.status_code == 404)

    def after_error(self, error: httpx.RequestError) -> float:
        """Seconds to wait after an attempt without an answer, or `UnreachableError`."""
        lost = not isinstance(error, httpx.ConnectError)
        hopeless = isinstance(error, httpx.LocalProtocolError)  # the request cannot be written
        if hopeless or not self._another() or (lost and not self.repeatable):
            raise UnreachableError(f"no answer from {_place(error)}: {_reason(error)}") from error
        self.perhaps |= lost
        return self._drawn()

    def after_refusal(self, response: httpx.Response) -> float:
        """Seconds to wait after an answer that is not 2xx, or `ProblemError`."""
        another = self._another()
        said = retry_after(response)
        wait = self._drawn() if said is None else said
        later = response.status_code in (_LATER if self.repeatable else _NOT_TAKEN)
        if not another or not later or wait > self.retries.longest:
            raise ProblemError.of(response)
        self.perhaps |= response.status_code not in _NOT_TAKEN
        return wait

    def _another(self) -> bool:
        self.failed += 1
        return self.failed < self.retries.attempts

    def _drawn(self) -> float:
        return min(random.uniform(0, self.retries.first * 2 ** (self.failed - 1)), self.retries.longest)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the answer asks to wait, from a number or a date; None where it asks for nothing readable."""
    said = response.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        then = parsedate_to_datetime(said)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max((then - datetime.now(UTC)).total_seconds(), 0.0)


def _place(error: httpx.RequestError) -> str:
    url = error.request.url
    return f"{url.scheme}://{url.netloc.decode()}"


def _reason(error: httpx.RequestError) -> str:
    return str(error).lower() or type(error).__name__
