"""A whole study in one go: generated scenes, simulated raters whose true ratio is known, answers through the service.

The service runs in this process; requests take every step but the network.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import httpx
from fastapi import FastAPI
from tqdm import tqdm

from app.engine import Engine
from app.settings import Settings
from app.study.creation import create_study
from app.study.owner import set_status
from app.study.places import reclaim
from app.study.progress import progress_of
from app.study.raters import invite
from app.study.sample import write_sample
from app.study.service import Studies
from app.study.simulate import Log, TrialLookup, Visit, simulate_raters
from evaluation.study.raters import Population

_URL = "http://simulated"
_ACTOR = "demo"
_LEASE = 0.1  # minutes; simulated raters do not think for long


def run_demo(app: FastAPI, name: str, population: Population, items: int = 24, overlap: int = 15, seed: int = 0) -> Log:
    """Make the study, let simulated raters fill every cell of it, close it.

    Args:
        app: the service; its studies are closed afterwards.
        name: of the new study; it must hold `simulated`, so that every report says what it shows.
        overlap: ratings of every item in every condition, and half as many pairs of every item.

    Raises:
        StudyError: a study of that name was opened before.
    """
    settings: Settings = app.state.settings
    studies: Studies = app.state.studies
    trials = min(items, 24)
    with tempfile.TemporaryDirectory() as folder:
        pairs = {"pair_overlap": overlap // 2, "pair_trials": 4}
        plan = write_sample(Path(folder), name, items, overlap, trials, **pairs, lease_minutes=_LEASE, seed=seed)
        create_study(studies, plan, Engine(settings), _ACTOR)
    set_status(studies, name, "open", _ACTOR)
    log, wanted = Log(), (4 * overlap + overlap // 2) * items
    with tqdm(total=wanted, unit="answer", desc="simulated raters") as progress:
        asyncio.run(_fill(studies, name, population, log, seed, httpx.ASGITransport(app), progress))
    set_status(studies, name, "closed", _ACTOR)
    studies.close()
    return log


async def _fill(
    studies: Studies,
    name: str,
    population: Population,
    log: Log,
    seed: int,
    transport: httpx.ASGITransport,
    progress: tqdm,
) -> None:
    """A few raters at a time, one group after the other, until no cell wants another answer."""
    visit = Visit(_URL, think=0.0, pictures=False, transport=transport)
    lookup, group, first = TrialLookup(studies, name), 8, 0
    while (found := progress_of(studies, name)).done < found.target:
        if not reclaim(studies, name):
            await asyncio.sleep(1)  # until the places of those who dropped out are free again
            continue
        invitations = invite(studies, name, group, _ACTOR)
        await simulate_raters(visit, invitations, population, lookup, log, first=first, seed=seed)
        first += group
        progress.update(min(len(log.stored), progress.total) - progress.n)
