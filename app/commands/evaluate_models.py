"""`lfi evaluate classification`, `domains`, `convergence` and `detection`: models side by side on your own data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.tables import deliver
from evaluation.plots import plot_path

if TYPE_CHECKING:
    from evaluation.features import Features

commands = typer.Typer()


@commands.command("classification")
def classification_(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Folder of a student or of an open_clip model, timm:NAME[:FILE], open_clip:NAME:TAG[:FILE]; "
            "NAME=MODEL, the same NAME for several seeds of one method; or records of `lfi benchmark transfer`.",
            metavar="MODEL...",
            show_default=False,
        ),
    ],
    source: Annotated[str, typer.Option(help="Layout of the data: tiny-imagenet, folders.")],
    root: Annotated[Path, typer.Option(help="Its folder.")],
    fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of every class's training images.")] = 1.0,
    validation_root: Annotated[Path | None, typer.Option(help="Test images; by default a fifth of the root.")] = None,
    size: Annotated[int, typer.Option(min=16, help="Side of the images in pixels.")] = 64,
    teacher: Annotated[Path | None, typer.Option(help="Folder whose text tower names the classes.")] = None,
    prompt: Annotated[str, typer.Option(help="Prompt for class names; {} is the name.")] = "{}",
    epochs: Annotated[int, typer.Option(min=0, help="Also train every model further, for this many epochs.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of fraction, split and training.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the figures with their intervals here.", callback=plot_path)
    ] = None,
    confusion: Annotated[Path | None, typer.Option(help="Draw the confusion matrix here.", callback=plot_path)] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Any model: linear probe, k-NN, fine-tuned, and zero-shot in a teacher's space; top-1/5, calibration."""
    from evaluation.classification import evaluate_classification, plot_confusion
    from evaluation.features import load_models, seeds_of
    from evaluation.finetuning import Schedule
    from evaluation.results import Results
    from lfi.devices import best_device
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
    loaded = load_models(models, device or best_device())
    train, test = image_sets(data)
    command = f"lfi evaluate classification {listed(loaded)} --source {source} --root {root.name}"
    command += f" --fraction {fraction:g} --size {size} --seed {seed}" + said_by(teacher, prompt)
    results = Results(
        command=command + (f" --epochs {epochs}" if epochs else ""),
        seeds=seeds_of(loaded, seed),
        n={},
        title=f"Any model's features on {root.name}",
    )
    texts = load_teacher(teacher) if teacher else None
    schedule = Schedule(epochs) if epochs else None
    found = evaluate_classification(loaded, train, test, results, texts, prompt, schedule, seed)
    deliver(results, json, plot)
    if confusion:
        plot_confusion(found, test, confusion)


@commands.command("domains")
def domains_(
    models: Annotated[
        list[str], typer.Argument(help="As for `classification`.", metavar="MODEL...", show_default=False)
    ],
    root: Annotated[Path, typer.Option(help="Folder of DOMAIN/CLASS/* (PACS, VLCS).")],
    way: Annotated[
        str, typer.Option(help="probe, fine-tuned (labels of the other domains), zero-shot (none).")
    ] = "probe",
    size: Annotated[int, typer.Option(min=16, help="Side of the images in pixels.")] = 64,
    untaught: Annotated[
        bool, typer.Option("--untaught", help="Only the images that the shipped teacher for photographs never saw.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="For fine-tuned: number of epochs.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Number of splits, seeded from 0.")] = 3,
    teacher: Annotated[
        Path | None, typer.Option(help="For zero-shot: folder whose text tower names the classes.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="Prompt for class names; {} is the name.")] = "{}",
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the figures with their intervals here.", callback=plot_path)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Models on domains that were left out: probed or trained on the others, selected on these; or zero-shot."""
    from evaluation.domains import left_out, zero_shot_domains
    from evaluation.features import load_models, seeds_of
    from evaluation.finetuning import Schedule
    from evaluation.results import Results
    from evaluation.transfer import half_of
    from lfi.data.domains import domain_folders, stored_side
    from lfi.devices import best_device
    from lfi.errors import ConfigError
    from lfi.teachers import load_teacher

    titles = {
        "zero-shot": "no labels, class names alone",
        "probe": "linear probe of frozen features, one domain left out",
        "fine-tuned": f"the whole model trained further for {epochs} epochs, one domain left out",
    }
    if way not in titles:
        raise ConfigError(f"--way is {way!r}; one of {', '.join(titles)} was expected")
    if way == "zero-shot" and (teacher is None or "{}" not in prompt):
        raise ConfigError("zero-shot needs --teacher, and {} in --prompt where the class's name goes")
    loaded = load_models(models, device or best_device())
    images = domain_folders(root, size=size)
    images = half_of(images) if untaught else images
    options = {
        "zero-shot": said_by(teacher, prompt),
        "probe": f" --seeds {seeds}",
        "fine-tuned": f" --epochs {epochs} --seeds {seeds}",
    }
    results = Results(
        command=f"lfi evaluate domains {listed(loaded)} --root {root.name} --way {way} --size {size}"
        f"{' --untaught' * untaught}{options[way]}",
        seeds=seeds_of(loaded, 0) if way == "zero-shot" else list(range(seeds)),
        n={"images": len(images), "classes": len(images.classes), "models": len(loaded)},
        title=f"{root.name} at {stored_side(root)} px: {titles[way]}",
    )
    if way == "zero-shot":
        assert teacher is not None
        zero_shot_domains(loaded, images, load_teacher(teacher), prompt, results)
    else:
        left_out(loaded, images, range(seeds), results, Schedule(epochs) if way == "fine-tuned" else None)
    deliver(results, json, plot)


def listed(models: Sequence[Features]) -> str:
    """Models as they are typed, each name once and without the path."""
    return " ".join(f'"{name}=..."' for name in dict.fromkeys(model.name for model in models))


def said_by(teacher: Path | None, prompt: str) -> str:
    """The options of a teacher that names classes."""
    return f' --teacher {teacher} --prompt "{prompt}"' if teacher else ""


@commands.command("convergence")
def convergence_(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of `lfi train` or records of `lfi benchmark transfer`; or METHOD=RUN, the same METHOD for "
            "several seeds.",
            metavar="RUN...",
            show_default=False,
        ),
    ],
    ours: Annotated[str, typer.Option(help="Method whose speed is measured.")] = "LFI",
    against: Annotated[
        list[str] | None, typer.Option(help="Baselines to choose the best from; repeatable. By default all others.")
    ] = None,
    score: Annotated[str, typer.Option(help="Score of the evaluations to use, such as top-1.")] = "",
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves here.", callback=plot_path)] = None,
) -> None:
    """Scores over steps and seconds, and how many times sooner ours has the best baseline's final score."""
    from evaluation.convergence import converge, read_curve
    from evaluation.convergence import plot as draw
    from evaluation.results import Results

    curves = []
    for run in runs:
        name, equals, path = run.partition("=")
        named = equals and not Path(run).exists()
        curves.append(read_curve(Path(path), name, score) if named else read_curve(Path(run), score=score))
    chosen = "".join(f' --against "{name}"' for name in against or [])
    names = " ".join(f'"{name}=..."' for name in dict.fromkeys(curve.method for curve in curves))
    results = Results(
        command=f'lfi evaluate convergence {names} --ours "{ours}"{chosen}',
        seeds=sorted({curve.seed for curve in curves}),
        n={"runs": len(curves)},
        title=f"Convergence of {ours}",
    )
    best = converge(curves, ours, against or [], results)
    deliver(results, json, None)
    if plot:
        draw(curves, ours, best, plot, f"{ours} against {best}: mean and 95 % interval over seeds")


@commands.command("detection")
def detection_(
    models: Annotated[
        list[Path],
        typer.Argument(help="Folder of a run of `lfi train`, or its file.", metavar="MODEL...", show_default=False),
    ],
    root: Annotated[Path, typer.Option(help="Folder of the images.")],
    annotations: Annotated[Path, typer.Option(help="Instances in COCO's format.")],
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws of images, for intervals; 0 for none.")] = 100,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw AP with its intervals here.", callback=plot_path)] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Detectors that `lfi train` made: COCO's twelve numbers for boxes and for masks."""
    from evaluation.detectors import evaluate_detectors
    from evaluation.detectors import plot as draw
    from evaluation.report import markdown
    from evaluation.results import Results
    from lfi.detection import load_detector
    from lfi.devices import best_device

    loaded = {}
    for model in models:
        detector, card = load_detector(model)
        loaded[str(model)] = detector.to(device or best_device()), card
    command = f"lfi evaluate detection {' '.join(loaded)} --annotations {annotations.name} --draws {draws}"
    results = Results(command, [0], {}, title=f"Detection and instance segmentation, {annotations.parent.name}")
    evaluate_detectors(loaded, root, annotations, results, draws)
    if json:
        results.write(json)
    print(markdown(results.record()))
    if plot:
        draw(results, plot)
