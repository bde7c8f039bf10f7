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


@evaluate.command("classification")
def classification_(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Folder of a student or of an open_clip model, timm:NAME[:FILE], open_clip:NAME:TAG.",
            metavar="MODEL...",
            show_default=False,
        ),
    ],
    source: Annotated[str, typer.Option(help="Layout of the data: tiny-imagenet, folders.")],
    root: Annotated[Path, typer.Option(help="Its folder.")],
    fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of every class's training images.")] = 1.0,
    validation_root: Annotated[Path | None, typer.Option(help="Test images; a fifth of the root without.")] = None,
    size: Annotated[int, typer.Option(min=16, help="Side of the images in pixels.")] = 64,
    teacher: Annotated[Path | None, typer.Option(help="Folder whose text tower names the classes.")] = None,
    prompt: Annotated[str, typer.Option(help="In which class names are read.")] = "{}",
    seed: Annotated[int, typer.Option(help="Of what is drawn: fraction and split.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw what is taken for what here.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Frozen features of any model: linear probe, k-NN, and zero-shot in a teacher's space; top-1/5, calibration."""
    from app.commands.training import best_device
    from evaluation.classification import evaluate_classification, plot_confusion
    from evaluation.features import load_features
    from evaluation.report import markdown
    from evaluation.results import Results
    from lfi.errors import ConfigError
    from lfi.teachers import load_teacher
    from lfi.training.config import DataConfig
    from lfi.training.sources import image_sets

    if "{}" not in prompt:
        raise ConfigError(f"--prompt is {prompt!r}; it needs {{}} where the class's name goes")
    data = DataConfig(
        source=source,
        root=str(root),
        fraction=fraction,
        size=size,
        seed=seed,
        validation_root=str(validation_root or ""),
    )
    loaded = [load_features(model, device or best_device()) for model in models]
    train, test = image_sets(data)
    command = f"lfi evaluate classification --source {source} --fraction {fraction:g} --size {size} --seed {seed}"
    results = Results(command, [seed], {}, title=f"Frozen features on {root.name}")
    texts = load_teacher(teacher) if teacher else None
    found = evaluate_classification(loaded, train, test, results, texts, prompt)
    if json:
        results.write(json)
    if plot:
        plot_confusion(found, test, plot)
    print(markdown(results.record()))


@evaluate.command("domains")
def domains_(
    models: Annotated[
        list[str], typer.Argument(help="As for `classification`.", metavar="MODEL...", show_default=False)
    ],
    root: Annotated[Path, typer.Option(help="Folder of DOMAIN/CLASS/* (PACS, VLCS).")],
    way: Annotated[str, typer.Option(help="probe: labels of the other domains; zero-shot: no labels.")] = "probe",
    size: Annotated[int, typer.Option(min=16, help="Side of the images in pixels.")] = 64,
    seeds: Annotated[int, typer.Option(min=1, help="How many splits, from seed 0.")] = 3,
    teacher: Annotated[Path | None, typer.Option(help="For zero-shot: whose text tower names the classes.")] = None,
    prompt: Annotated[str, typer.Option(help="In which class names are read.")] = "{}",
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Frozen models on domains that were left out: a probe selected on source domains, or zero-shot."""
    from app.commands.training import best_device
    from evaluation.domains import probe_domains, zero_shot_domains
    from evaluation.features import load_features
    from evaluation.report import markdown
    from evaluation.results import Results
    from lfi.data.domains import domain_folders
    from lfi.errors import ConfigError
    from lfi.teachers import load_teacher

    titles = {
        "zero-shot": "no labels, class names alone",
        "probe": "linear probe of frozen features, one domain left out",
    }
    if way not in titles:
        raise ConfigError(f"--way is {way!r}; probe or zero-shot was expected")
    if way == "zero-shot" and (teacher is None or "{}" not in prompt):
        raise ConfigError("zero-shot needs --teacher, and {} in --prompt where the class's name goes")
    loaded = [load_features(model, device or best_device()) for model in models]
    images = domain_folders(root, size=size)
    results = Results(
        command=f"lfi evaluate domains --way {way} --size {size}" + (f" --seeds {seeds}" if way == "probe" else ""),
        seeds=list(range(seeds)) if way == "probe" else [0],
        n={"images": len(images), "classes": len(images.classes)},
        title=f"{root.name}: {titles[way]}",
    )
    if way == "probe":
        probe_domains(loaded, images, range(seeds), results)
    else:
        assert teacher is not None
        zero_shot_domains(loaded, images, load_teacher(teacher), prompt, results)
    if json:
        results.write(json)
    print(markdown(results.record()))


@evaluate.command("detection")
def detection_(
    models: Annotated[
        list[Path],
        typer.Argument(help="Folder of a run of `lfi train`, or its file.", metavar="MODEL...", show_default=False),
    ],
    root: Annotated[Path, typer.Option(help="Folder of the images.")],
    annotations: Annotated[Path, typer.Option(help="Instances in COCO's format.")],
    draws: Annotated[int, typer.Option(min=0, help="Of images, for intervals; 0 for none.")] = 100,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw AP with its intervals here.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Detectors that `lfi train` made: COCO's twelve numbers for boxes and for masks."""
    from app.commands.training import best_device
    from evaluation.detectors import evaluate_detectors
    from evaluation.detectors import plot as draw
    from evaluation.report import markdown
    from evaluation.results import Results
    from lfi.detection import load_detector

    loaded = {}
    for model in models:
        detector, card = load_detector(model)
        loaded[str(model)] = detector.to(device or best_device()), card
    command = f"lfi evaluate detection {' '.join(loaded)} --annotations {annotations.name} --draws {draws}"
    results = Results(command, [0], {}, title=f"Detection and instance segmentation, {annotations.parent.name}")
    evaluate_detectors(loaded, root, annotations, results, draws)
    if json:
        results.write(json)
    if plot:
        draw(results, plot)
    print(markdown(results.record()))


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
