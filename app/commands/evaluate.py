"""`lfi evaluate ...` and `lfi results`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands import evaluate_models
from app.commands.tables import deliver
from evaluation.plots import plot_path
from lfi.shipped import MODELS

commands = typer.Typer()
evaluate = typer.Typer(help="Measure models; every table can go to JSON.", no_args_is_help=True)
evaluate.add_typer(evaluate_models.commands)
commands.add_typer(evaluate, name="evaluate")


@evaluate.command("scenes")
def scenes_(
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, counted from 0.")] = 3,
    teacher: Annotated[str, typer.Option(help="Folder of a teacher, or `scenes`, which comes with LFI.")] = "scenes",
    runs: Annotated[
        Path, typer.Option(help="Keeps finished runs; an interrupted evaluation resumes from there.")
    ] = Path("runs/scenes"),
    method: Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the figures with their intervals here.", callback=plot_path)
    ] = None,
) -> None:
    """Students with and without interactions on generated scenes, and where words point. Half an hour on 2 cores."""
    from evaluation.runs import check_known
    from evaluation.scenes import COMPARED, evaluate_scenes
    from lfi.methods import METHODS

    check_known("method", method or (), METHODS)
    deliver(evaluate_scenes(teacher, range(seeds), runs, method or list(COMPARED)), json, plot)


@evaluate.command("photographs")
def photographs_(
    tiny_imagenet: Annotated[Path, typer.Option(help="Folder with TinyImageNet's wnids.txt.")],
    pacs: Annotated[Path | None, typer.Option(help="Folder with PACS's domains.")] = None,
    trio: Annotated[
        Path, typer.Option(help="Folder of the trio.", show_default="that for photographs, which comes with LFI")
    ] = MODELS / "photographs",
    teacher: Annotated[str, typer.Option(help="A teacher to evaluate instead of a trio: a folder or a name.")] = "",
    images: Annotated[int, typer.Option(min=100, help="Maximum number of validation images.")] = 10_000,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the figures with their intervals here.", callback=plot_path)
    ] = None,
) -> None:
    """Zero-shot accuracy, the pointing game and presence of a trio on photographs. A quarter of an hour on 2 cores."""
    from evaluation.photographs import evaluate_photographs
    from lfi.teachers import load_teacher
    from lfi.trio import Trio

    models = load_teacher(teacher) if teacher else Trio.load(trio)
    deliver(evaluate_photographs(models, tiny_imagenet, pacs, images), json, plot)


@evaluate.command("maps")
def maps_(
    trio: Annotated[
        Path | None,
        typer.Argument(help="Folder of the trio.", show_default="scenes or photographs, as the images are"),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            help="scenes (generated), coco (masks) or tiny-imagenet (boxes).", show_default="coco with --annotations"
        ),
    ] = "",
    root: Annotated[
        Path | None,
        typer.Option(
            help="For coco: the images; for tiny-imagenet: its folder.", show_default="the folder of the annotations"
        ),
    ] = None,
    annotations: Annotated[Path | None, typer.Option(help="For coco: the instances JSON.")] = None,
    scenes: Annotated[
        int, typer.Option(min=3, help="Images to measure on; a third as many are used for choices.")
    ] = 300,
    size: Annotated[
        int, typer.Option(min=16, help="Side of the masks in pixels, where images are not generated.")
    ] = 224,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the scenes; layers are chosen on scenes of the next seed.")
    ] = 22,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw localisation with its intervals here.", callback=plot_path)
    ] = None,
) -> None:
    """Maps of words against masks or boxes, floors and ceiling; insertion, deletion, shifts, randomised weights."""
    from evaluation.cases import coco_cases, known_to, split, tiny_imagenet_cases
    from evaluation.maps import KINDS, evaluate_maps, scene_scorer, text_likeness
    from evaluation.maps import plot as draw
    from evaluation.pointing import scene_cases
    from lfi.data.notes import announce
    from lfi.data.scenes import Scenes
    from lfi.errors import ConfigError
    from lfi.trio import Trio

    source = source or ("coco" if annotations else "scenes")
    if source not in ("scenes", "coco", "tiny-imagenet"):
        raise ConfigError(f"--source is {source!r}; scenes, coco or tiny-imagenet was expected")
    if source == "coco" and annotations is None:
        raise ConfigError("--source coco needs --annotations")
    root = annotations.parent if annotations and root is None else root
    if source == "tiny-imagenet" and root is None:
        raise ConfigError("--source tiny-imagenet needs --root")
    usual = MODELS / ("scenes" if source == "scenes" else "photographs")
    trio = usual if trio is None else trio
    models, named = Trio.load(trio), "" if trio.resolve() == usual else f" {trio.resolve().name}"
    command = f"lfi evaluate maps{named} --scenes {scenes} --seed {seed}"
    if source == "scenes":
        test = scene_cases(Scenes(scenes, seed).load(), KINDS)
        choice = scene_cases(Scenes(max(10, scenes // 3), seed + 1).load(), KINDS)
        found = evaluate_maps(models, test, choice, command, seed, scene_scorer(models))
    else:
        assert root is not None
        knows = known_to(models.teacher)
        if source == "coco":
            assert annotations is not None
            cases, title = coco_cases(root, annotations, knows, size), "Maps of class names against masks"
        else:
            cases, title = tiny_imagenet_cases(root, knows, size), "Maps of class names against boxes"
        announce(cases.notes, root.name)
        test, choice = split(cases, scenes, seed)
        command += f" --source {source} --size {size}"
        found = evaluate_maps(models, test, choice, command, seed, text_likeness(models.teacher), title, by_size=True)
    deliver(found, json, None)
    if plot:
        draw(found, plot)


@evaluate.command("gaze")
def gaze_(
    model: Annotated[
        str, typer.Argument(help="Folder of a trio or of an open_clip model, or open_clip:NAME:TAG.", metavar="MODEL")
    ],
    fixations: Annotated[Path, typer.Option(help="OSIE's fixations.mat, or a file with the same layout.")],
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    word: Annotated[
        list[str] | None, typer.Option(help="Word to ask about every image; repeatable.", show_default=False)
    ] = None,
    words: Annotated[Path | None, typer.Option(help="JSON with the words of every image: {FILE: [WORD, ...]}.")] = None,
    models: Annotated[str, typer.Option(help="For a trio: as in `lfi maps`.")] = "",
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the figures with their intervals here.", callback=plot_path)
    ] = None,
) -> None:
    """Maps against where people looked: NSS, AUC and KL, with two floors; the ceiling is people's agreement."""
    from evaluation.gaze import evaluate_gaze, find_images, teacher_looks, trio_looks
    from evaluation.results import Results
    from lfi.comparison import MODELS
    from lfi.data.gaze import read_gaze
    from lfi.errors import ConfigError
    from lfi.teachers import load_teacher
    from lfi.trio import Trio

    if bool(word) == bool(words):
        given = "both were given" if word else "neither was given"
        raise ConfigError(f"either --word WORD or --words FILE was expected; {given}")
    if (Path(model) / "card.json").is_file():
        asked = tuple(name.strip() for name in models.split(",") if name.strip())
        look = trio_looks(Trio.load(model), asked or MODELS)
    else:
        name, _, tag = model.removeprefix("open_clip:").partition(":")
        look = teacher_looks(load_teacher(name, tag or None), model)
    seen = find_images(read_gaze(fixations), images, read_words(words) if words else word or [])
    results = Results(
        f"lfi evaluate gaze {Path(model).name}",
        [0],
        {},
        title=f"Maps against where people looked, {fixations.parent.name}",
    )
    evaluate_gaze(seen, look, results)
    deliver(results, json, plot)


def read_words(path: Path) -> dict[str, list[str]]:
    """`{FILE: [WORD, ...]}`.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    from evaluation.results import read
    from lfi.errors import DataError

    found = read(path)
    lists = isinstance(found, dict) and all(
        isinstance(words, list) and all(isinstance(word, str) for word in words) for words in found.values()
    )
    if not lists:
        raise DataError(f"{path} is not a table of words; {{FILE: [WORD, ...]}} was expected")
    return found


@commands.command("results")
def results_(
    pages: Annotated[
        list[Path] | None, typer.Argument(help="Pages whose tables are rewritten; by default README.md and docs/*.md.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Recorded runs.")] = Path("results"),
) -> None:
    """Rewrite the tables of README and documents from the recorded runs."""
    from evaluation.report import rewrite

    for page in pages or [Path("README.md"), *sorted(Path("docs").glob("*.md"))]:
        for name in rewrite(page, folder):
            print(f"{page}: {name}")
