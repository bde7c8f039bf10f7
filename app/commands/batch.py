"""`lfi batch`: a folder or a zip of images to maps, scores and a gallery."""

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
