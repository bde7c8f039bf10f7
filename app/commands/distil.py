"""`lfi distil`: one command from a folder of images to a trio that the page shows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lfi.devices import best_device
from lfi.errors import ConfigError

commands = typer.Typer()


@commands.command()
def distil(
    teacher: Annotated[
        str,
        typer.Option(
            help="An open_clip NAME:TAG or NAME:TAG:FILE; a folder of a CoCa, CLIP, BLIP or LLaVA; hf-hub:ORG/NAME; or "
            "`scenes` or `photographs`, which come with LFI.",
            show_default=False,
        ),
    ],
    images: Annotated[
        Path, typer.Option(help="Folder of the images; CLASS/* where there are no captions.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the trio; its name is the trio's.", show_default=False)],
    captions: Annotated[
        Path | None,
        typer.Option(
            help="CSV, TSV or JSONL with image and caption, or COCO's captions JSON; paths are relative to --images.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Folder for all stages; a killed run resumes from there.", show_default="runs/NAME"),
    ] = None,
    hours: Annotated[
        float, typer.Option(help="Time for all of it, in hours: the largest student that fits is trained.")
    ] = 12.0,
    student: Annotated[
        str, typer.Option(help="least, little, middle, tiny, small or base; by default what fits.")
    ] = "",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs for each student; 0: chosen by the number of images.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed for holding out images and for the students.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and print the plan; write nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again, whatever the runs folder holds.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """From images to a trio: ask the teacher once, train LFI and the strongest baselines, choose, calibrate, write.

    Sizes, epochs and batches follow from the number of images and a short measurement on this machine. Called again
    with the same arguments, it goes on where it was; what is finished is not done again.
    """
    if not hours > 0:
        raise ConfigError(f"--hours is {hours:g}; more than 0 was expected")

    from evaluation.distil import check_out, plan_of
    from evaluation.distil import distil as make
    from lfi.training.distil import Request
    from lfi.training.distil.sizes import size_of

    if student:
        size_of(student)
    request = Request(teacher, images, captions, hours, student, epochs, seed)
    where, kept = device or best_device(), runs or Path("runs") / out.resolve().name
    if dry_run:
        check_out(out, kept, fresh)
        print("\n".join(plan_of(request, where).lines(hours)))
        return
    make(request, out, kept, where, fresh=fresh, tell=partial(print, flush=True))
