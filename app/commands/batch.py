"""`lfi batch`: a folder or a zip of images to maps, scores and a gallery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lfi.errors import ConfigError

commands = typer.Typer()

_NAMED = 10
"""Files left aside that are named."""
_INTERRUPTED = 130
"""The exit code of a command that Ctrl+C ended."""


@commands.command()
def batch(
    source: Annotated[
        Path,
        typer.Argument(help="A folder of images, or a zip; with --engine ray also shards.", metavar="FOLDER_OR_ZIP"),
    ],
    word: Annotated[list[str], typer.Option(help="A word or short phrase; repeat it for more.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for gallery, scores and maps.")] = Path("gallery"),
    trio: Annotated[str, typer.Option(help="Name of a trio, or a folder that holds one. [LFI_TRIO]")] = "",
    models: Annotated[
        str, typer.Option(help="Some of teacher,lfi,baseline (default: all), or others such as baseline:rollout.")
    ] = "",
    engine_: Annotated[
        str, typer.Option("--engine", help="here, or ray: Parquet by Ray Data, on many cores or machines.")
    ] = "here",
    workers: Annotated[int, typer.Option(min=1, help="With --engine ray: engines that answer at once.")] = 1,
) -> None:
    """Maps and scores of many images: a gallery to sort, scores.csv, and raw maps (npz).

    Ctrl+C keeps what is done; the same command resumes. An image that cannot be read is named and skipped.
    """
    if engine_ not in ("here", "ray"):
        raise ConfigError(f"--engine is {engine_!r}; here or ray was expected")
    if engine_ == "ray":
        on_ray(source, word, out, trio, models, workers)
        return
    from tqdm import tqdm

    from app.batch.folder import BatchFolder
    from app.batch.sources import open_images
    from app.batch.work import answer_image, question_of, write_results
    from app.commands.maps import chosen_trio
    from app.engine import Engine, MapsRequest, Turn

    settings = chosen_trio(trio)
    request = MapsRequest.from_fields(settings.word_limits, word, [models])
    images = open_images(source, out)
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
    tell_of(
        [(record.name, record.problem) for record in done.unread],
        [(record.name, record.note) for record in done.read if record.note],
        images.others,
    )
    print(f"{len(done.read)} of {len(images.names)} images, {len(done.unread)} not read")
    print(out / "index.html")
    if stopped:
        print("stopped; the same command resumes")
        raise typer.Exit(_INTERRUPTED)


def on_ray(source: Path, word: list[str], out: Path, trio: str, models: str, workers: int) -> None:
    """The same answers in `OUT/parts/*.parquet`; parts that are there are not answered again, unless images changed."""
    from tqdm import tqdm

    from app.batch.parts import begin, file_of, parts_of, stale_files, told
    from app.batch.ray_engine import answer_on_ray
    from app.batch.work import question_of
    from app.commands.maps import chosen_trio
    from app.engine import Engine, MapsRequest

    settings = chosen_trio(trio)
    request = MapsRequest.from_fields(settings.word_limits, word, [models])
    parts = parts_of(str(source.absolute()), out)
    engine = Engine(settings)
    engine.trios.need(settings.trio)
    begin(out, question_of(engine, request))
    missing = [part for part in parts if not file_of(out, part).is_file()]
    there = len(parts) - len(missing)
    with tqdm(total=len(parts), initial=there, desc="batch", unit="part", disable=not missing) as bar:
        for _ in answer_on_ray(missing, settings, request, out, workers) if missing else ():
            bar.update()
    for stale in stale_files(out, str(source.absolute()), parts):
        stale.unlink(missing_ok=True)
        print(f"removed, as its images have changed: {stale.name}")
    answered = unread = 0
    skipped: list[str] = []
    for part in parts:
        found = told(file_of(out, part))
        answered, unread = answered + found.answered, unread + len(found.unread)
        skipped += found.others
        tell_of(found.unread, found.noted)
    tell_of(others=skipped)
    print(f"{answered} of {answered + unread} images, {unread} not read; {there} of {len(parts)} parts were there")
    print(out / "parts")


def tell_of(
    unread: Iterable[tuple[str, str]] = (), noted: Iterable[tuple[str, str]] = (), others: Sequence[str] = ()
) -> None:
    """Name what was left out, and why."""
    for name, problem in unread:
        print(f"not read: {name}: {problem}")
    for name, note in noted:
        print(f"read in part: {name}: {note}")
    if others:
        print(f"skipped, as they are not images: {len(others)} ({', '.join(others[:_NAMED])})")
