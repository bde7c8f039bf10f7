"""Many simulated raters at once, the service killed midway, and a check of what the database contains afterwards."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import func, select
from tqdm import tqdm

from app.database.models import CURRENT, Answer, Assignment, Cell, Rater
from app.engine import Engine
from app.settings import read_settings
from app.study.creation import create_study
from app.study.owner import set_status
from app.study.places import reclaim
from app.study.progress import progress_of
from app.study.raters import invite
from app.study.sample import write_sample
from app.study.service import Studies, find_study
from app.study.simulate import Log, TrialLookup, Visit, simulate_raters
from bench.servers import Service
from evaluation.study.raters import Population

_NAME = "simulated-load"
_ACTOR = "benchmark"


@dataclass(frozen=True)
class Load:
    """The load on the service.

    Attributes:
        raters: take part at the same time.
        items, trials: of the study; the overlap follows, so that these raters would fill every cell.
        think: seconds of thinking at a trial (median).
        spread: seconds within which they all begin.
        lease: minutes for which the places of a rater who left are kept.
        kill: kill the service when half of the answers are stored.
    """

    raters: int = 150
    items: int = 30
    trials: int = 20
    think: float = 3.0
    spread: float = 30.0
    lease: float = 1.0
    kill: bool = True
    seed: int = 0

    @property
    def overlap(self) -> int:
        """Ratings of every item in each of four conditions."""
        return max(1, self.raters * self.trials // (4 * self.items))

    @property
    def answers(self) -> int:
        """All that the study wants, of ratings and pairs."""
        return self.items * (4 * self.overlap + self.pair_overlap)

    @property
    def pair_overlap(self) -> int:
        """Pairs of every item."""
        return max(1, self.raters * 2 // self.items)


@dataclass(frozen=True)
class Outcome:
    """The outcome.

    Attributes:
        acknowledged: submissions that the service confirmed.
        lost: of those, how many the database does not hold as sent.
        duplicates: answers stored beyond one a trial; nobody went back to change one.
        cells, off_target: cells of the study, and those without exactly as many valid answers as they want.
        seconds: `[submission]`, from sending to answer, while all raters took part.
        retries: requests that were sent again; `doubles`: answers that were sent twice at once.
        kills: how often the service was killed.
    """

    acknowledged: int
    lost: int
    duplicates: int
    cells: int
    off_target: int
    seconds: np.ndarray
    retries: int
    doubles: int
    ends: dict[str, int]
    kills: int


def run_load(load: Load, database_url: str, folder: Path) -> Outcome:
    """Make a study in `folder` and this database, serve it, let raters take part, kill, restart, fill up, check."""
    settings = read_settings(study_folder=folder / "study", database_url=database_url)
    studies = Studies(settings)
    plan = write_sample(
        folder / "plan",
        _NAME,
        load.items,
        load.overlap,
        load.trials,
        pair_overlap=load.pair_overlap,
        pair_trials=2,
        lease_minutes=load.lease,
        seed=load.seed,
    )
    create_study(studies, plan, Engine(settings), _ACTOR)
    set_status(studies, _NAME, "open", _ACTOR)
    environment = {"LFI_STUDY_FOLDER": str(settings.study_folder), "LFI_DATABASE_URL": database_url}
    service = Service(environment | {"LFI_LOG_LEVEL": "warning"}, folder / "service.log")
    service.start()
    try:
        log, refill, kills = asyncio.run(_drive(load, studies, service))
    finally:
        service.kill()
    outcome = check(studies, _NAME, log, refill, kills)
    studies.close()
    return outcome


def check(studies: Studies, name: str, log: Log, refill: Log, kills: int) -> Outcome:
    """Compare what raters were told with what the study's database contains.

    Args:
        log, refill: of the raters who took part at once, and of those who filled what was left.
    """
    told = [*log.stored, *refill.stored]
    with studies.database.reading() as session:
        study = find_study(session, name)
        rows = session.execute(
            select(Rater.code, Answer.key, Answer.value)
            .join(Rater, Rater.id == Answer.rater_id)
            .where(Rater.study_id == study.id)
        ).all()
        held = {(code, key): value for code, key, value in rows}
        trials = session.scalars(
            select(func.count(Answer.assignment_id.distinct()))
            .join(Rater, Rater.id == Answer.rater_id)
            .where(Rater.study_id == study.id)
        ).one()
        filled = (
            select(Assignment.cell_id, func.count().label("count"))
            .join(CURRENT, CURRENT.c.assignment_id == Assignment.id)
            .join(Rater, Rater.id == Assignment.rater_id)
            .where(Rater.study_id == study.id, ~Rater.preview, Rater.status != "excluded")
            .group_by(Assignment.cell_id)
            .subquery()
        )
        cells = session.execute(
            select(Cell.target, func.coalesce(filled.c.count, 0))
            .outerjoin(filled, filled.c.cell_id == Cell.id)
            .where(Cell.study_id == study.id, Cell.target.is_not(None))
        ).all()
    return Outcome(
        acknowledged=len(told),
        lost=sum(held.get((each.rater, each.key)) != each.value for each in told),
        duplicates=len(rows) - trials,
        cells=len(cells),
        off_target=sum(target != count for target, count in cells),
        seconds=np.array(log.seconds),
        retries=log.retries + refill.retries,
        doubles=log.doubles + refill.doubles,
        ends={end: log.ends.get(end, 0) + refill.ends.get(end, 0) for end in {**log.ends, **refill.ends}},
        kills=kills,
    )


async def _drive(load: Load, studies: Studies, service: Service) -> tuple[Log, Log, int]:
    """The crowd, with a killing in the middle; then, a few at a time, raters for the places that are left."""
    population = Population(pace_ms=1000 * load.think)
    lookup, log, refill = TrialLookup(studies, _NAME), Log(), Log()
    done = asyncio.Event()

    async def watch() -> int:
        kills = 0
        with tqdm(total=load.answers, unit="answer", desc="raters") as progress:
            while not done.is_set():
                await asyncio.sleep(0.05)
                progress.update(min(len(log.stored), load.answers) - progress.n)
                if load.kill and not kills and len(log.stored) >= load.answers / 2:
                    service.kill()
                    await asyncio.to_thread(service.start)
                    kills += 1
        return kills

    watching = asyncio.create_task(watch())
    try:
        invitations = await asyncio.to_thread(invite, studies, _NAME, load.raters, _ACTOR)
        await simulate_raters(
            Visit(service.url),
            invitations,
            population,
            lookup,
            log,
            seed=load.seed,
            spread=load.spread,
            at_once=load.raters,
        )
    finally:
        done.set()
        kills = await watching
    first, hurried = load.raters, Visit(service.url, think=0.0, pictures=False)
    while (found := await asyncio.to_thread(progress_of, studies, _NAME)).done < found.target:
        if not await asyncio.to_thread(reclaim, studies, _NAME):
            await asyncio.sleep(1)  # until the places of those who dropped out are free again
            continue
        count = math.ceil((found.target - found.done) / load.trials) + 1
        more = await asyncio.to_thread(invite, studies, _NAME, count, _ACTOR)
        await simulate_raters(hurried, more, population, lookup, refill, first=first, seed=load.seed)
        first += count
    return log, refill, kills
