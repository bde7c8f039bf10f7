"""`lfi train` and `lfi train-default`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


@commands.command()
def train(
    config: Annotated[Path, typer.Argument(help="A TOML file; see lfi/training/recipes.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, over the file; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, metrics, the student.")] = Path(
        "runs/train"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Distil a teacher into a student as CONFIG says."""
    from lfi.training.config import load_config
    from lfi.training.run import prepare, train_student

    settings = load_config(config, set_ or [])
    where = device or best_device()
    _, records = train_student(prepare(settings, where), out, resume=resume, device=where, title=config.stem)
    score = next((record["mAP"] for record in reversed(records) if "mAP" in record), None)
    print(f"{out / 'student.safetensors'}" + (f": {score:.1f} % mAP on validation scenes" if score is not None else ""))


@commands.command("train-default")
def train_default_(
    out: Annotated[Path, typer.Option(help="Folder of the trio.")] = Path("static/models/scenes"),
    runs: Annotated[Path, typer.Option(help="Folder for checkpoints; an interrupted run goes on from there.")] = Path(
        "runs/default"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again, whatever the runs folder holds.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Train the trio that the app ships with: teacher, LFI student, baseline. Under two hours on 2 cores."""
    from evaluation.trio import train_default

    figures = train_default(out, runs, device or best_device(), resume=not fresh)
    for model, measured in figures.items():
        print(f"{model}: " + ", ".join(f"{name} {value}" for name, value in measured.items()))


def best_device() -> str:
    """`cuda` where torch finds a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
