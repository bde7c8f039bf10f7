"""Simulated raters in a running service, over HTTP as browsers use it.

A rater's page is never told which condition it shows, so `TrialLookup` gets what their trials show from the study's
database, on the owner's side. Everything else goes the raters' way: link, cookie, token, JSON, pictures.
A request that got no answer is sent again with the same key, as the page does, until the service is back.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import httpx
from sqlalchemy import select

from app.database.models import Assignment, Cell, Rater
from app.study.raters import Invitation
from app.study.service import Studies, find_study
from app.study.trials import KNOWN, conditions_shown, known_trial
from evaluation.study.raters import Answer, Population, SimulatedRater
from lfi.errors import DataError

Request = Callable[[], Awaitable[httpx.Response]]
_RETRY_SECONDS = (0.5, 4.0)  # at first, and at most


@dataclass(frozen=True)
class TrialContent:
    """What a trial shows: kind of cell, item, the condition on the left (or alone) and on the right, right answers."""

    kind: str
    item: str
    left: str
    right: str
    expected: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stored:
    """An answer that the service has acknowledged."""

    rater: str
    key: str
    value: str


@dataclass
class Log:
    """What happened to all raters together.

    Attributes:
        stored: every acknowledged answer, once.
        seconds: of every acknowledged submission, from sending to answer, the simulated network aside.
        doubles: submissions that were sent twice at once.
        retries: requests that were sent again because nobody answered.
        ends: how raters ended, counted by stage (`thanks`, `full`, ...) or `dropped out`.
    """

    stored: list[Stored] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    doubles: int = 0
    retries: int = 0
    conflicts: int = 0
    ends: dict[str, int] = field(default_factory=dict)


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: every client would read them again."""
    return ssl.create_default_context()


class TrialLookup:
    """What simulated raters see, from the study's own database."""

    def __init__(self, studies: Studies, study: str):
        self.studies, self.study = studies, study

    def trials_of(self, code: str) -> dict[str, TrialContent]:
        """All trials of a rater, by their public id."""
        with self.studies.database.reading() as session:
            study = find_study(session, self.study)
            plan = self.studies.plan(session, study)
            rows = session.execute(
                select(Assignment.public, Assignment.flipped, Cell)
                .join(Cell, Cell.id == Assignment.cell_id)
                .join(Rater, Rater.id == Assignment.rater_id)
                .where(Rater.code == code)
            )
            found = {}
            for public, flipped, cell in rows:
                known = known_trial(plan, cell).expected if cell.kind in KNOWN else ()
                found[public] = TrialContent(cell.kind, cell.item, *conditions_shown(cell, flipped), known)
            return found


class Browser:
    """One rater's browser: its cookie, its token, and requests that are sent until somebody answers.

    Args:
        transport: how to reach the service, over the network unless told.
        patience: seconds after which a request is given up.
    """

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None, patience: float = 300.0):
        self.client = httpx.AsyncClient(
            base_url=url, timeout=30.0, headers={"Origin": url}, transport=transport, verify=_certificates()
        )
        self.patience = patience
        self.retries = self.conflicts = 0

    async def enter(self, token: str) -> dict[str, Any]:
        """Follow an invitation; where the rater is."""
        await self._send(partial(self.client.get, f"/s/{token}"), (303,))
        return await self.post("session")

    async def post(self, step: str, **fields: Any) -> dict[str, Any]:
        """Take a step; the page's state. A conflict is answered by loading the page again."""
        answer = await self._send(partial(self.client.post, f"/study/api/{step}", json=fields), (200, 404, 409))
        if answer.status_code != 200:
            self.conflicts += 1
            return await self.post("session")
        state = answer.json()
        if "csrf" in state:
            self.client.headers["X-CSRF-Token"] = state["csrf"]
        return state

    async def fetch(self, addresses: Sequence[str]) -> None:
        """Load pictures; one that is gone is skipped."""
        for address in addresses:
            await self._send(partial(self.client.get, f"/{address}"), (200, 404))

    async def _send(self, request: Request, accepted: tuple[int, ...]) -> httpx.Response:
        deadline, pause = time.monotonic() + self.patience, _RETRY_SECONDS[0]
        while True:
            try:
                answer = await request()
                if answer.status_code in accepted:
                    return answer
                if answer.status_code < 500 and answer.status_code != 429:
                    raise DataError(f"{answer.request.url} answered {answer.status_code}: {answer.text[:200]}")
                reason = str(answer.status_code)
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            if time.monotonic() > deadline:
                raise DataError(f"the service at {self.client.base_url} did not answer: {reason}")
            self.retries += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RETRY_SECONDS[1])


@dataclass(frozen=True)
class Visit:
    """How raters visit a study.

    Attributes:
        url: of the service.
        think: real seconds per simulated second of thinking and of network; 0 hurries.
        pictures: whether they load the pictures, too.
        transport: how to reach the service, over the network unless told.
    """

    url: str
    think: float = 1.0
    pictures: bool = True
    transport: httpx.AsyncBaseTransport | None = None


async def take_part(visit: Visit, invitation: Invitation, rater: SimulatedRater, lookup: TrialLookup, log: Log) -> None:
    """One rater's whole session, or what there is of it before the rater drops out."""
    browser = Browser(visit.url, visit.transport)
    async with browser.client:
        state = await browser.enter(invitation.token)
        if state["stage"] == "consent":
            state = await browser.post("consent", language=state["language"])
        if state["stage"] == "instructions":
            state = await browser.post("begin")
        trials = await asyncio.to_thread(lookup.trials_of, invitation.code)
        leave, done = rater.leaves_after(len(trials)), 0
        while state["stage"] in ("practice", "trial") and done < leave:
            trial = state["trial"]
            if trial["id"] not in trials:  # the places expired and were planned again
                trials = await asyncio.to_thread(lookup.trials_of, invitation.code)
            if visit.pictures:
                await browser.fetch([address for address in trial["pictures"].values() if address])
            answer = decide(rater, trials[trial["id"]], state["scale"])
            # The page takes no answer before.
            answer = replace(answer, response_ms=max(answer.response_ms, state["earliest_ms"]))
            await asyncio.sleep(visit.think * (answer.response_ms / 1000 + rater.network_s()))
            state = await _submit(browser, log, invitation.code, trial, answer)
            done += 1
    end = "dropped out" if state["stage"] in ("practice", "trial") else state["stage"]
    log.ends[end] = log.ends.get(end, 0) + 1
    log.retries += browser.retries
    log.conflicts += browser.conflicts


def decide(rater: SimulatedRater, seen: TrialContent, scale: int) -> Answer:
    """What the rater answers to what is shown."""
    if seen.kind == "pair":
        return rater.choose(seen.item, seen.left, seen.right)
    if seen.kind == "rating":
        return rater.rate(seen.item, seen.left, scale)
    wrong = next(level for level in (1, scale, 2, 3) if level not in seen.expected)
    return rater.catch(seen.expected[-1], wrong)


async def simulate_raters(
    visit: Visit,
    invitations: Sequence[Invitation],
    population: Population,
    lookup: TrialLookup,
    log: Log,
    *,
    first: int = 0,
    seed: int = 0,
    spread: float = 0.0,
    at_once: int = 200,
) -> None:
    """All these raters, beginning one after the other within the first `spread` seconds.

    Args:
        first: number of the first of them; a rater is the same for the same number and seed.
        at_once: how many take part at the same time.

    Raises:
        DataError: the service refuses a request, or is gone for five minutes.
    """
    gate = asyncio.Semaphore(at_once)

    async def one(number: int, invitation: Invitation) -> None:
        rater = SimulatedRater(population, seed, number)
        await asyncio.sleep(spread * (number - first) / max(len(invitations), 1))
        async with gate:
            await take_part(visit, invitation, rater, lookup, log)

    try:
        async with asyncio.TaskGroup() as group:
            for number, invitation in enumerate(invitations, first):
                group.create_task(one(number, invitation))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


async def _submit(browser: Browser, log: Log, code: str, trial: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Send an answer, twice at once where the rater clicked twice; the page's next state."""
    fields = {
        "trial": trial["id"],
        "key": uuid.uuid4().hex,
        "revision": trial["revision"],
        "value": str(answer.value),
        "response_ms": answer.response_ms,
    }
    before, start = (browser.retries, browser.conflicts), time.perf_counter()
    states = await asyncio.gather(*(browser.post("answer", **fields) for _ in range(answer.clicks)))
    if browser.conflicts == before[1]:
        log.stored.append(Stored(code, fields["key"], fields["value"]))
        if browser.retries == before[0]:
            log.seconds.append(time.perf_counter() - start)
    log.doubles += answer.clicks > 1
    return states[-1]
