"""`lfi maps`: the maps of one image as files."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lfi.errors import ConfigError, ImageError, reason

if TYPE_CHECKING:
    from app.settings import Settings

commands = typer.Typer()


@commands.command()
def maps(
    image: Annotated[Path, typer.Argument(help="The image file.", metavar="IMAGE", show_default=False)],
    word: Annotated[list[str], typer.Option(help="A word or short phrase; repeat it for more.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the files; created if missing.")] = Path("maps"),
    trio: Annotated[str, typer.Option(help="Name of a trio, or a folder that holds one. [LFI_TRIO]")] = "",
    models: Annotated[
        str, typer.Option(help="Some of teacher,lfi,baseline (default: all), or others such as baseline:rollout.")
    ] = "",
    layer: Annotated[int | None, typer.Option(help="Layer to draw, from 0; by default each model's own.")] = None,
    figure_format: Annotated[str, typer.Option(help="svg, pdf or png.")] = "svg",
) -> None:
    """Write overlays, a figure and raw maps of an image.

    One overlay (WebP) per model and word, one figure of them all, and the numbers of every layer (npz). Where a model
    does not find the word in the image, it says so on stderr, and its map is fainter.
    """
    from app.engine import Engine, File, MapsRequest, Turn
    from app.engine.downloads import at_layer, comparison_scale, npz_bytes, overlay_files
    from lfi.rendering import FORMATS, SHORT_TITLES, figure, titled

    if figure_format not in FORMATS:
        raise ConfigError(f"figure format is {figure_format!r}; one of {', '.join(FORMATS)} was expected")
    settings = chosen_trio(trio)
    data = read_image(image, settings.image_limits.bytes)
    request = MapsRequest.from_fields(settings.word_limits, word, [models])
    engine, turn = Engine(settings), Turn()
    picture = engine.decode(File(data), turn)
    engine.trios.need(settings.trio)
    comparison = at_layer(engine.ask(picture, request, turn), layer)

    if picture.note:
        print(f"{image}: {picture.note}", file=sys.stderr)
    make_folder(out)
    drawn = figure(comparison, picture.drawn, format=figure_format, scale=comparison_scale(comparison))
    files = [
        *overlay_files(comparison, picture.drawn, settings.overlay_side),
        (f"figure.{figure_format}", drawn),
        ("maps.npz", npz_bytes(comparison, {"trio": settings.trio, "image": {"name": image.name}})),
    ]
    for name, content in files:
        write_file(out / name, content)
        print(out / name)
    for model, _, sentence in comparison.absences():
        print(f"{titled(model, SHORT_TITLES)} {sentence}", file=sys.stderr)


def chosen_trio(trio: str) -> Settings:
    """Settings with this trio: a name, a folder, `hf-hub:ORG/NAME`, or the default one where empty."""
    from app.settings import read_settings

    folder = fetched(trio)
    full = Path(os.path.abspath(folder))  # a link keeps its name
    named = {"models_dir": full.parent, "trio": full.name} if trio and folder.is_dir() else {}
    return read_settings(**(named or {"trio": trio or None}))


def fetched(trio: str) -> Path:
    """The folder of a trio; of `hf-hub:ORG/NAME` one of that name, as long as this process lasts.

    The hub's cache names folders by commits, and the service shows a trio's folder as its name.

    Raises:
        UnknownModelError, CheckpointError: as `lfi.hub.local_folder`.
    """
    if not trio.startswith("hf-hub:"):
        return Path(trio)
    from lfi.hub import local_folder  # its package takes a while to load

    named = Path(tempfile.mkdtemp(prefix="lfi-hub-"))
    atexit.register(shutil.rmtree, named, ignore_errors=True)
    link = named / trio.removeprefix("hf-hub:").partition("@")[0].rpartition("/")[2]
    link.symlink_to(local_folder(trio), target_is_directory=True)
    return link


def read_image(path: Path, most: int) -> bytes:
    """The file's bytes; of what has no size of its own, such as a device, no more than it takes to be refused.

    Raises:
        ImageError: there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(-1 if path.is_file() else most + 1)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {reason(error)}") from error


def make_folder(path: Path) -> None:
    """The folder, made with its parents.

    Raises:
        ConfigError: something else has that name, or the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {path}: {reason(error)}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"cannot write to {path}: {reason(error)}") from error
