"""`lfi evaluate ...` and `lfi results`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()
evaluate = typer.Typer(help="Measure models; every table can go to JSON.", no_args_is_help=True)
commands.add_typer(evaluate, name="evaluate")


@evaluate.command("scenes")
def scenes_(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0.")] = 3,
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher.")] = Path("static/models/scenes/teacher"),
    runs: Annotated[
        Path, typer.Option(help="Keeps finished runs; an interrupted evaluation goes on from there.")
    ] = Path("runs/scenes"),
    method: Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
) -> None:
    """Students with and without interactions on generated scenes, and where words point. Half an hour on 2 cores."""
    from evaluation.report import markdown
    from evaluation.scenes import METHODS, evaluate_scenes
    from lfi.errors import ConfigError

    unknown = [name for name in method or () if name not in METHODS]
    if unknown:
        raise ConfigError(f"unknown method {unknown[0]!r}; one of {', '.join(METHODS)} was expected")
    found = evaluate_scenes(teacher, range(seeds), runs, method or list(METHODS))
    if json:
        found.write(json)
    print(markdown(found.record()))


@evaluate.command("photographs")
def photographs_(
    tiny_imagenet: Annotated[Path, typer.Option(help="Folder with TinyImageNet's wnids.txt.")],
    pacs: Annotated[Path | None, typer.Option(help="Folder with PACS's domains.")] = None,
    teacher: Annotated[Path, typer.Option(help="Folder of the teacher.")] = Path("static/models/photographs/teacher"),
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
) -> None:
    """Zero-shot accuracy of a teacher and the pointing game of its words, on photographs. Two minutes on 2 cores."""
    from evaluation.photographs import evaluate_photographs
    from evaluation.report import markdown
    from lfi.teachers import load_teacher

    found = evaluate_photographs(load_teacher(teacher), tiny_imagenet, pacs)
    if json:
        found.write(json)
    print(markdown(found.record()))


@evaluate.command("maps")
def maps_(
    trio: Annotated[Path, typer.Argument(help="Folder of teacher, LFI student and baseline.")] = Path(
        "static/models/scenes"
    ),
    scenes: Annotated[int, typer.Option(min=10, help="Generated scenes that are measured.")] = 300,
    seed: Annotated[int, typer.Option(help="Of these; layers are chosen on scenes of the next seed.")] = 22,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw localisation with its intervals here.")] = None,
) -> None:
    """Maps of words against exact masks, with floors and ceiling; insertion, deletion, shifts, randomised weights."""
    from evaluation.maps import evaluate_maps
    from evaluation.maps import plot as draw
    from evaluation.report import markdown
    from lfi.comparison import Trio
    from lfi.data.scenes import Scenes

    command = f"lfi evaluate maps --scenes {scenes} --seed {seed}"
    test, choice = Scenes(scenes, seed).load(), Scenes(max(10, scenes // 3), seed + 1).load()
    found = evaluate_maps(Trio.load(trio), test, choice, command, seed)
    if json:
        found.write(json)
    if plot:
        draw(found, plot)
    print(markdown(found.record()))


@commands.command("results")
def results_(
    pages: Annotated[
        list[Path] | None, typer.Argument(help="Pages whose tables are rewritten; README.md and docs/*.md unless told.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Recorded runs.")] = Path("results"),
) -> None:
    """Rewrite the tables of README and documents from the recorded runs."""
    from evaluation.report import rewrite

    for page in pages or [Path("README.md"), *sorted(Path("docs").glob("*.md"))]:
        for name in rewrite(page, folder):
            print(f"{page}: {name}")
