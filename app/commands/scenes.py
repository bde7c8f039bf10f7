"""`lfi scenes show` and `lfi students describe`: look at the data and at the size of a student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()
scenes = typer.Typer(help="Generated scenes.", no_args_is_help=True)
students = typer.Typer(help="Student architectures.", no_args_is_help=True)
commands.add_typer(scenes, name="scenes")
commands.add_typer(students, name="students")


@scenes.command()
def show(
    out: Annotated[Path, typer.Option(help="The image: .png, .jpg or .webp.")] = Path("scenes.png"),
    count: Annotated[int, typer.Option(min=1, max=100, help="Scenes on the sheet.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the set.")] = 0,
    size: Annotated[int, typer.Option(min=16, max=512, help="Side of a scene in pixels.")] = 64,
    domain: Annotated[
        list[str] | None, typer.Option(help="photo, painting, cartoon or sketch; all by default.")
    ] = None,
) -> None:
    """Write a contact sheet of scenes with their captions and outlines of their masks."""
    from lfi.data.scenes import DOMAINS, Scenes
    from lfi.data.sheet import contact_sheet
    from lfi.errors import ConfigError

    if out.suffix.lower() not in (".jpg", ".png", ".webp"):
        raise ConfigError(f"the image is {out}; a name ending in .jpg, .png or .webp was expected")
    contact_sheet(Scenes(count, seed, size, tuple(domain or DOMAINS))).save(out)
    print(out)


@scenes.command()
def write(
    folder: Annotated[Path, typer.Argument(help="Folder to write the set to.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, help="Scenes.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the set.")] = 0,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side of a scene in pixels.")] = 64,
    domain: Annotated[
        list[str] | None, typer.Option(help="photo, painting, cartoon or sketch; all by default.")
    ] = None,
    by: Annotated[str, typer.Option(help="Categories: name (colour and shape), colour or shape.")] = "name",
) -> None:
    """Write scenes in COCO's format: images, instances with exact masks, captions."""
    from lfi.data.coco_writer import write_coco
    from lfi.data.scenes import DOMAINS, Scenes

    print(write_coco(Scenes(count, seed, size, tuple(domain or DOMAINS)), folder, by))


@scenes.command()
def benchmark(count: Annotated[int, typer.Option(min=10, help="Scenes to draw.")] = 1000) -> None:
    """Time the drawing of scenes, at 64 px on one core."""
    import time

    from lfi.data.scenes import Scenes

    start = time.perf_counter()
    Scenes(count, 0).load()
    print(f"{1000 * (time.perf_counter() - start) / count:.2f} ms a scene, one core, n = {count}")


@students.command()
def describe(
    backbone: Annotated[
        str, typer.Argument(help="A timm vision transformer, e.g. vit_small_patch16_224.", show_default=False)
    ],
    queries: Annotated[int, typer.Option(min=1, max=256, help="Interaction Queries.")] = 8,
    text_dim: Annotated[int, typer.Option(min=1, help="Width of the teacher's text space.")] = 512,
) -> None:
    """What Interaction Queries add to BACKBONE, in parameters."""
    from lfi.students import describe as measure

    found = measure(backbone, queries, text_dim)
    print(f"{found.backbone}: {found.blocks} blocks of width {found.dim}, {found.grid[0]} x {found.grid[1]} patches")
    print(f"backbone             {found.parameters:>12,} parameters")
    print(f"Interaction Queries  {found.queries:>12,}  ({found.queries / found.parameters:.2%})")
    print(f"naming head          {found.names:>12,}  ({found.names / found.parameters:.2%})")
    print(f"LFI adds             {found.queries + found.names:>12,}  ({found.overhead:.2%})")
