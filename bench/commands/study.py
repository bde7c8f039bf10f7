"""`lfi benchmark study`: many raters at once, the service killed midway, nothing lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.study_load import Outcome
    from evaluation.results import Figure, Results

commands = typer.Typer()


@commands.command("study")
def study_(
    raters: Annotated[int, typer.Option(min=2, help="Simulated raters who take part in parallel.")] = 150,
    items: Annotated[int, typer.Option(min=4, help="Generated scenes.")] = 30,
    trials: Annotated[int, typer.Option(min=1, help="Ratings by one rater.")] = 20,
    think: Annotated[float, typer.Option(min=0, help="Median seconds of thinking at a trial.")] = 3.0,
    spread: Annotated[float, typer.Option(min=0, help="Seconds within which they all begin.")] = 30.0,
    database: Annotated[str, typer.Option(help="sqlite, postgresql, or both.")] = "both",
    kill: Annotated[bool, typer.Option(help="Kill the service (kill -9) when half of the answers are in.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of scenes and raters.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """Simulated raters over HTTP, with drop-outs, double clicks and slow networks; checks what was stored.

    Each database gets a study, a service and a temporary folder of its own. Takes a few minutes.
    """
    import tempfile
    from contextlib import ExitStack

    from bench.servers import temporary_postgresql
    from bench.study_load import Load, run_load
    from evaluation.report import markdown
    from evaluation.results import Results
    from lfi.errors import ConfigError

    kinds = {"both": ("sqlite", "postgresql"), "sqlite": ("sqlite",), "postgresql": ("postgresql",)}
    if database not in kinds:
        raise ConfigError(f"database is {database!r}; one of {', '.join(kinds)} was expected")
    load = Load(raters, items, trials, think, spread, kill=kill, seed=seed)
    command = f"lfi benchmark study --raters {raters} --think {think:g} --database {database}"
    found = Results(command + ("" if kill else " --no-kill"), [seed], {"raters": raters, "items": items})
    for kind in kinds[database]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lfi-load")))
            url = (
                stack.enter_context(temporary_postgresql())
                if kind == "postgresql"
                else f"sqlite:///{folder / 'study.db'}"
            )
            _add(found, kind, run_load(load, url, folder))
    if json:
        found.write(json)
    print(markdown(found.record()))


def _add(found: Results, kind: str, outcome: Outcome) -> None:
    import numpy as np

    from bench.timing import quantile
    from evaluation.results import Figure, Goal

    def count(value: float, unit: str) -> Figure:
        return Figure(float(value), float("nan"), float("nan"), unit)

    found.n[f"acknowledged answers, {kind}"] = outcome.acknowledged
    figures = {
        "lost answers": count(outcome.lost, "answers"),
        "duplicate answers": count(outcome.duplicates, "answers"),
        "cells off target": count(outcome.off_target, f"of {outcome.cells} cells"),
        "answers sent twice at once": count(outcome.doubles, "answers"),
        "requests repeated while the service was down": count(outcome.retries, "requests"),
        "raters who dropped out": count(outcome.ends.get("dropped out", 0), "raters"),
        "kills": count(outcome.kills, "kill -9"),
    }
    for share in (50, 95, 99):
        figures[f"p{share} of a submission"] = quantile(1000 * outcome.seconds, share / 100)
    found.figures |= {f"{kind}: {name}": figure for name, figure in figures.items()}
    p95 = float(np.quantile(1000 * outcome.seconds, 0.95))
    found.goals |= {
        f"{kind}: acknowledged answers lost": Goal(outcome.lost, 0, outcome.lost == 0),
        f"{kind}: duplicates": Goal(outcome.duplicates, 0, outcome.duplicates == 0),
        f"{kind}: cells off target": Goal(outcome.off_target, 0, outcome.off_target == 0),
        f"{kind}: p95 of a submission, ms": Goal(p95, 200, p95 <= 200),
    }
