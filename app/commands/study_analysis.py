"""`lfi study plan|analyse|simulate|demo|coverage`: how large a study must be, what it says, and simulated raters."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluation.plots import plot_path

if TYPE_CHECKING:
    import pandas as pd

    from app.study.report import Material
    from evaluation.study.conduct import Conduct
    from evaluation.study.flow import Attrition
    from evaluation.study.plan import AnalysisPlan, Registration
    from evaluation.study.raters import Population

commands = typer.Typer()


@commands.command()
def plan(
    ratio: Annotated[float, typer.Option(help="True ratio of P(consistent), LFI to baseline, to plan for.")] = 4.0,
    baseline: Annotated[float, typer.Option(help="P(consistent) of the baseline.")] = 0.18,
    claim: Annotated[float, typer.Option(help="What the interval's lower bound must reach; 1: any gain.")] = 2.7,
    power: Annotated[float, typer.Option(help="Desired probability of that.")] = 0.8,
    raters: Annotated[str, typer.Option(help="Numbers of raters to try, separated by commas.")] = "20,40,60,90,120",
    items: Annotated[
        str, typer.Option(help="Numbers of items to try, separated by commas; each has its own picture.")
    ] = "20,40,80",
    trials: Annotated[int, typer.Option(min=1, help="Largest number of ratings by one rater.")] = 40,
    bias: Annotated[float, typer.Option(help="SD of raters' leniency, in logits.")] = 0.7,
    ease: Annotated[float, typer.Option(help="SD of items' ease, in logits.")] = 0.7,
    leaning: Annotated[float, typer.Option(help="SD of raters' preference for a condition, in logits.")] = 0.3,
    fit: Annotated[float, typer.Option(help="SD of how well a condition does on an item, in logits.")] = 0.5,
    studies: Annotated[int, typer.Option(min=10, help="Simulated studies per size.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    out: Annotated[Path, typer.Option(help="The plot: .svg, .png or .pdf.", callback=plot_path)] = Path("power.svg"),
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """How many raters and items a study needs.

    Studies of every size are simulated with the ordinal model (rater and item effects) and analysed as planned; power
    is the share of them whose interval supports the claim. A minute or two on one core.
    """
    from dataclasses import replace

    from evaluation.study.analysis import plain
    from evaluation.study.figures import power_figure
    from evaluation.study.planning import plan_size, population_for
    from evaluation.study.raters import Population

    usual = replace(Population(), bias=bias, ease=ease, leaning=leaning, fit=fit)
    population = population_for(ratio, baseline, usual)
    sizes = (_numbers("raters", raters), _numbers("items", items))
    found = plan_size(population, claim, power, *sizes, trials=trials, studies=studies, seed=seed)
    print(f"{'raters':>7} {'items':>6} {'trials each':>12} {'ratings':>8}  power (95 % Monte-Carlo interval)")
    for size in found.sizes:
        print(f"{size.raters:>7} {size.items:>6} {size.trials:>12} {size.ratings:>8,}  {size.power}")
    best = found.smallest
    if best is None:
        print(f"None of these has a power of {power:g}: try more raters and more items, or a larger true ratio.")
    else:
        print(f"Fewest ratings with a power of {power:g}: {best.raters} raters, {best.items} items.")
    out.parent.mkdir(parents=True, exist_ok=True)
    power_figure(found).savefig(out, dpi=150)
    print(out)
    if json:
        json.write_text(jsonlib.dumps(plain(found), indent=2) + "\n", encoding="utf-8")


@commands.command()
def analyse(
    table: Annotated[
        str, typer.Argument(help="An exported table (.csv, .jsonl, .parquet), or a study's name.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the report; created if missing.")] = Path("report"),
    analysis_plan: Annotated[
        Path | None, typer.Option("--plan", help="Analysis plan (JSON); by default the study's, or the default plan.")
    ] = None,
    registered: Annotated[
        Path | None,
        typer.Option(help="The plan registered before the data: JSON, or an export's plan.json; changes are shown."),
    ] = None,
    registered_sha256: Annotated[
        str, typer.Option(help="The published hash of the registered plan, which must match.")
    ] = "",
) -> None:
    """Analyse a study as planned: HTML report, JSON and SVG figures.

    A look at a study that goes on is noted, and one that its plan does not name widens the final interval.
    """
    from dataclasses import replace

    from evaluation.study.analysis import analyse as run
    from evaluation.study.passages import left_out_sentence
    from evaluation.study.plan import AnalysisPlan, Registration
    from evaluation.study.report import write_report
    from lfi.errors import ConfigError

    rows, registration, own, conduct, attrition, pictures = _study(table)
    chosen = AnalysisPlan.read(analysis_plan) if analysis_plan else own
    if registered:
        registration = Registration.read(registered)
        chosen = chosen or registration.in_force
    if registered_sha256:
        if registration is None:
            raise ConfigError(
                "--registered-sha256 has no plan to be compared with; --registered FILE or a study that has opened "
                "was expected"
            )
        registration = replace(registration, sha256=registered_sha256.strip().lower())
    found = run(rows, chosen or AnalysisPlan(), registration, conduct=conduct, attrition=attrition, quiet=False)
    for path in write_report(found, out, pictures):
        print(path)
    if found.simulated:
        print("Simulated raters, not people.")
    if found.conduct.interim:
        print("INTERIM: the study goes on. This look is noted; the report at the end counts it.")
    if registration is None:
        print("No plan was registered before the data: read it as exploratory.")
    elif not registration.intact:
        print("The registered plan does not have the hash that was published or stored with it.")
    if found.conduct.left_out:
        print(left_out_sentence(found))
    for name, was, now in found.changes:
        print(f"Changed since the plan was registered: {name} was {was}, is {now}.")
    for name, why in found.missing.items():
        print(f"Not made: {name}: {why}")
    print(found.verdict)


@commands.command()
def simulate(
    out: Annotated[Path, typer.Option(help="File for the table: .csv, .jsonl or .parquet.")] = Path("simulated.csv"),
    raters: Annotated[int, typer.Option(min=1, help="Simulated raters.")] = 60,
    items: Annotated[int, typer.Option(min=1, help="Items.")] = 40,
    trials: Annotated[int, typer.Option(min=1, help="Ratings by one rater.")] = 40,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs by one rater.")] = 10,
    ratio: Annotated[float, typer.Option(help="True ratio of P(consistent), LFI to baseline.")] = 3.0,
    baseline: Annotated[float, typer.Option(help="P(consistent) of the baseline.")] = 0.2,
    scale: Annotated[int, typer.Option(help="Levels: 5 or 3.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    url: Annotated[
        str, typer.Option(help="Address of a running service: take part there instead; export the table from it.")
    ] = "",
    study: Annotated[str, typer.Option(help="With --url: the study; its name must contain `simulated`.")] = "",
    think: Annotated[float, typer.Option(min=0, help="With --url: seconds per simulated second; 0: no waiting.")] = 1.0,
) -> None:
    """Simulated raters with a known true ratio: the table they would leave, or answers in a running service."""
    from evaluation.study.planning import population_for
    from evaluation.study.ratings import SCALES, write_ratings
    from evaluation.study.simulation import simulate_table
    from lfi.errors import ConfigError

    if scale not in SCALES:
        raise ConfigError(f"scale is {scale}; 5 or 3 was expected")
    population = population_for(ratio, baseline)
    if url:
        _take_part(url.rstrip("/"), study, raters, population, seed, think)
        return
    table = simulate_table(population, raters, items, trials=trials, pairs=pairs, scale=scale, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_ratings(table, out)
    print(f"{out}: {len(table):,} answers of {raters} simulated raters, true ratio {population.ratio:g}")


@commands.command()
def demo(
    name: Annotated[str, typer.Option(help="Name of the new study; must contain `simulated`.")] = "simulated-demo",
    out: Annotated[Path, typer.Option(help="Folder of the report; created if missing.")] = Path("report-demo"),
    ratio: Annotated[float, typer.Option(help="True ratio of P(consistent), LFI to baseline.")] = 3.0,
    baseline: Annotated[float, typer.Option(help="P(consistent) of the baseline.")] = 0.2,
    items: Annotated[int, typer.Option(min=4, help="Generated scenes, one word each.")] = 24,
    overlap: Annotated[int, typer.Option(min=2, help="Ratings of every item in every condition.")] = 15,
    seed: Annotated[int, typer.Option(min=0, help="Seed of scenes and raters.")] = 0,
) -> None:
    """Run a whole study with simulated raters: generated scenes, answers through the service, report.

    The true ratio is known, so the report can say whether its interval contains it. The study remains, closed.
    """
    from app.main import create_app
    from app.study.demo import run_demo
    from evaluation.study.planning import population_for
    from evaluation.study.report import write_report
    from evaluation.study.simulation import SIMULATED
    from lfi.errors import ConfigError

    if SIMULATED not in name:
        raise ConfigError(f"name is {name!r}; it must contain {SIMULATED!r}, so that every report shows it")
    population = population_for(ratio, baseline)
    log = run_demo(create_app(), name, population, items, overlap, seed)
    ends = ", ".join(f"{count} {end}" for end, count in sorted(log.ends.items()))
    print(f"{len(log.stored):,} answers of simulated raters ({ends}), {log.doubles} sent twice")
    stored = _stored(name)
    found = stored.analysed(truth=population.ratio, quiet=False)
    for path in write_report(found, out, stored.pictures):
        print(path)
    held = found.primary is not None and found.primary.estimate.low <= ratio <= found.primary.estimate.high
    print(found.verdict)
    print(f"Simulated raters, not people. True ratio {ratio:g}: the interval {'contains' if held else 'misses'} it.")


@commands.command()
def coverage(
    studies: Annotated[int, typer.Option(min=20, help="Simulated studies per design.")] = 2000,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap draws per study.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    grid: Annotated[
        Path | None, typer.Option(help="Also write the figures of every cell here, after each.", show_default=False)
    ] = None,
) -> None:
    """How often the interval of the ratio contains the truth, and how often a claim is false, in simulated studies.

    Designs of usual size, and a grid of few raters who lean, meet ceilings, or leave early. Ten minutes on one core.
    """
    from evaluation.report import markdown
    from evaluation.study.coverage import measure_coverage

    command = f"lfi study coverage --studies {studies} --draws {draws} --seed {seed}"
    found, every = measure_coverage(
        studies, draws, seed, command, keep=(lambda so_far: so_far.write(grid)) if grid else None
    )
    if json:
        found.write(json)
    if grid:
        every.write(grid)
    print(markdown(found.record()))


def _take_part(url: str, name: str, count: int, population: Population, seed: int, think: float) -> None:
    """Invite simulated raters to a study and let them answer; its database is found as the service finds it."""
    import asyncio

    from app.settings import read_settings
    from app.study.raters import invite
    from app.study.service import Studies
    from app.study.simulate import Log, TrialLookup, Visit, simulate_raters
    from evaluation.study.simulation import SIMULATED
    from lfi.errors import ConfigError

    if SIMULATED not in name:
        raise ConfigError(f"study is {name!r}; one whose name contains {SIMULATED!r} was expected, not one with people")
    studies, log = Studies(read_settings()), Log()
    invitations = invite(studies, name, count, "simulation")
    visit = Visit(url, think)
    asyncio.run(
        simulate_raters(visit, invitations, population, TrialLookup(studies, name), log, seed=seed, spread=10 * think)
    )
    studies.close()
    ends = ", ".join(f"{number} {end}" for end, number in sorted(log.ends.items()))
    print(f"{len(log.stored):,} answers of {count} simulated raters ({ends})")


def _study(
    name: str,
) -> tuple[
    pd.DataFrame,
    Registration | None,
    AnalysisPlan | None,
    Conduct | None,
    Attrition | None,
    dict[tuple[str, str], str],
]:
    """The table, the registered plan, the study's plan, how it was run, who took part and what raters saw.

    Args:
        name: a file, of which the table alone is known, or a study.
    """
    from evaluation.study.ratings import FORMATS, read_ratings

    path = Path(name)
    if path.suffix.lower() in FORMATS or path.is_file():
        return read_ratings(path), None, None, None, None, {}
    stored = _stored(name)
    return stored.table, stored.registration, stored.plan, stored.conduct, stored.attrition, stored.pictures


def _stored(name: str) -> Material:
    """The same of a study of this service, once nothing speaks against a look at it."""
    from app.settings import read_settings
    from app.study.conduct import look_costs
    from app.study.report import report_material
    from app.study.service import Studies

    studies = Studies(read_settings())
    try:
        if look_costs(studies, name):
            warn(f"study {name!r} goes on, and its plan has no look here: this one is noted and widens its intervals")
        return report_material(studies, name, "cli")
    finally:
        studies.close()


def warn(said: str) -> None:
    """Say it on standard error, and ask whether to go on where somebody can answer."""
    if sys.stdin.isatty():
        typer.confirm(f"{said}. Go on?", abort=True, err=True)
    else:
        print(f"warning: {said}", file=sys.stderr)


def _numbers(name: str, text: str) -> list[int]:
    from lfi.errors import ConfigError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 2:
        raise ConfigError(f"{name} are {text!r}; whole numbers of at least 2, separated by commas, were expected")
    return numbers
