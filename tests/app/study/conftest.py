"""Studies on both databases, and raters who take part over the use cases themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
import torch
from databases import database_url, postgresql  # noqa: F401 -- fixtures
from fastapi import FastAPI
from plans import write_plan
from takers import Taker

from app.engine import Engine
from app.main import create_app
from app.settings import Settings, read_settings
from app.study.creation import create_study
from app.study.owner import exclude, set_status
from app.study.service import Studies
from lfi.trio import Trio

OWNER = "an owner's secret token"


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


@pytest.fixture(scope="session")
def tiny_trio(trio_folder: Path) -> Trio:
    torch.set_num_threads(1)
    return Trio.load(trio_folder)


@pytest.fixture
def engine(study_settings: Settings, tiny_trio: Trio) -> Engine:
    """An engine as a command has it, with the tiny trio."""
    engine = Engine(study_settings)
    engine.trios.loaded[study_settings.trio] = tiny_trio
    return engine


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shell() -> str:
    """What carries the raters' page; files of tests that must hold in both override it."""
    return "gradio"


@pytest.fixture
def study_settings(tmp_path: Path, trio_folder: Path, database_url: str, shell: str) -> Settings:  # noqa: F811
    return read_settings(
        models_dir=trio_folder.parent,
        trio=trio_folder.name,
        study_folder=tmp_path / "study",
        database_url=database_url,
        admin_token=OWNER,
        study_page=shell,
        address="http://testserver",
        study_rate="",  # all tests come from one address
        study_browser_rate="",
    )


@pytest.fixture
def studies(study_settings: Settings, clock: Clock) -> Iterator[Studies]:
    studies = Studies(study_settings, clock)
    yield studies
    studies.close()


@pytest.fixture
def create(studies: Studies, engine: Engine, tmp_path: Path) -> Callable[..., str]:
    """`create(overlap=..., ...)`: a study that is open; its name."""

    def create(open: bool = True, **design: object) -> str:
        folder = tmp_path / "plan"
        folder.mkdir(exist_ok=True)
        plan = create_study(studies, write_plan(folder, **design), engine)
        if open:
            set_status(studies, plan.name, "open", "test")
        return plan.name

    return create


@pytest.fixture(scope="session")
def services(trio_folder: Path) -> Callable[[str], FastAPI]:
    """The application with each shell, made once: mounting Gradio's pages takes seconds."""

    @cache
    def made(shell: str) -> FastAPI:
        settings = read_settings(
            models_dir=trio_folder.parent,
            trio=trio_folder.name,
            admin_token=OWNER,
            study_page=shell,
            address="http://testserver",
            study_rate="",
            study_browser_rate="",
        )
        return create_app(settings)

    return made


@pytest.fixture
def app(services: Callable[[str], FastAPI], shell: str, studies: Studies) -> FastAPI:
    """The application, serving the studies of this test."""
    service = services(shell)
    service.state.studies = studies
    return service


@pytest.fixture
def walked(studies, create) -> tuple[str, dict[str, Taker]]:
    """A study with one rater who finished, one who was excluded, one who dropped out, and a preview."""
    name = create(overlap=2, trials=8, pair_overlap=1, pair_trials=2, practice=True, catch=True, images=12)
    who = {role: Taker(studies, name).start() for role in ("finished", "excluded", "left")}
    who["finished"].finish()
    who["excluded"].finish()
    exclude(studies, name, who["excluded"].code, "knew the hypothesis", "test")
    for _ in range(4):
        who["left"].answer()
    Taker(studies, name, preview=True).start().finish()
    return name, who
