"""`lfi batch`: a folder or a zip of images to maps, scores and a gallery. `lfi figure`: rows of it for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()

_NAMED = 10
"""Files left aside that are named."""
_INTERRUPTED = 130
"""The exit code of a command that Ctrl+C ended."""


@commands.command()
def batch(
    source: Annotated[Path, typer.Argument(help="A folder of images, or a zip.", metavar="FOLDER_OR_ZIP")],
    word: Annotated[list[str], typer.Option(help="A word or short phrase; repeat it for more.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for gallery, scores and maps.")] = Path("gallery"),
    trio: Annotated[str, typer.Option(help="Name of a trio, or a folder that holds one. [LFI_TRIO]")] = "",
    models: Annotated[
        str, typer.Option(help="Some of teacher,lfi,baseline (default: all), or others such as baseline:rollout.")
    ] = "",
) -> None:
    """Maps and scores of many images: a gallery to sort, scores.csv, and raw maps (npz).

    Ctrl+C keeps what is done; the same command resumes. An image that cannot be read is named and skipped.
    """
    from tqdm import tqdm

    from app.batch.folder import BatchFolder
    from app.batch.sources import open_images
    from app.batch.work import answer_image, question_of, write_results
    from app.commands.maps import chosen_trio
    from app.engine import Engine, MapsRequest, Turn

    settings = chosen_trio(trio)
    request = MapsRequest.from_fields(settings.word_limits, word, [models])
    images = open_images(source)
    engine = Engine(settings)
    engine.trios.need(settings.trio)
    folder = BatchFolder(out, question_of(engine, request))
    stopped = False
    try:
        for name in tqdm(images.names, desc="batch", unit="image", dynamic_ncols=True):
            answer_image(folder, images, name, engine, request, Turn())
    except KeyboardInterrupt:
        stopped = True
    done = write_results(folder, images.names)
    for record in done.unread:
        print(f"not read: {record.name}: {record.problem}")
    for record in done.read:
        if record.note:
            print(f"read in part: {record.name}: {record.note}")
    if images.others:
        print(f"skipped, as they are not images: {len(images.others)} ({', '.join(images.others[:_NAMED])})")
    print(f"{len(done.read)} of {len(images.names)} images, {len(done.unread)} not read")
    print(out / "index.html")
    if stopped:
        print("stopped; the same command resumes")
        raise typer.Exit(_INTERRUPTED)


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
    points: Annotated[int, typer.Option(help="Size of the letters, 6 to 10.")] = 8,
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
    drawn = batch_figure(opened, list(opened.records), wanted)
    make_folder(out.parent)
    for path, data in (
        (out, drawn.drawn),
        (out.with_name(f"{out.stem}-caption.tex"), drawn.caption),
        (out.with_name(f"{out.stem}-provenance.json"), drawn.provenance),
    ):
        write_file(path, data)
        print(path)
