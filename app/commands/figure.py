"""`lfi figure`: rows of a batch as one figure for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


@commands.command()
def figure(
    folder: Annotated[Path, typer.Argument(help="A folder that `lfi batch` wrote.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option(help="The figure; its suffix, pdf, svg or png, is the format.")] = Path(
        "figure.pdf"
    ),
    row: Annotated[
        list[str] | None,
        typer.Option(
            help="IMAGE:WORD, an image or a word; repeat it for more. Default: the first rows of the gallery."
        ),
    ] = None,
    first: Annotated[int, typer.Option(help="How many rows, where none are named.")] = 6,
    models: Annotated[
        str, typer.Option(help="Columns: some of the batch's models, in this order (default: all).")
    ] = "",
    width: Annotated[float, typer.Option(help="8.5 or 17.5 cm.")] = 17.5,
    points: Annotated[int, typer.Option(help="Font size in points, 6 to 10.")] = 8,
    captions: Annotated[bool, typer.Option("--captions", help="Notes and the caption on the figure itself.")] = False,
) -> None:
    """Rows of a batch as one figure for a paper: an image and a word a row, its maps on one colour scale.

    Beside it are FIGURE-caption.tex and FIGURE-provenance.json, which says what it was made of. No model is needed.
    """
    from app.batch.figure import batch_figure, figure_request
    from app.batch.folder import open_folder
    from app.commands.maps import make_folder, write_file

    wanted = figure_request(
        format=out.suffix.removeprefix(".").lower(),
        row=row or [],
        first=first,
        models=[models],
        width=width,
        points=points,
        captions=captions,
    )
    opened = open_folder(folder)
    drawn = batch_figure(opened, opened.last_run(), wanted)
    make_folder(out.parent)
    for path, data in (
        (out, drawn.drawn),
        (out.with_name(f"{out.stem}-caption.tex"), drawn.caption),
        (out.with_name(f"{out.stem}-provenance.json"), drawn.provenance),
    ):
        write_file(path, data)
        print(path)
