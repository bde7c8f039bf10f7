"""`lfi report`: results, runs and example maps as one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.maps import make_folder, read_image
from lfi.errors import ConfigError

commands = typer.Typer()


@commands.command()
def report(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Records (JSON) and folders of `lfi train`.", metavar="RUN...", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    trio: Annotated[Path | None, typer.Option(help="Show example maps of this trio's folder.")] = None,
    example: Annotated[
        list[str] | None, typer.Option(help="IMAGE=WORD to show maps of; repeat it for more.", show_default=False)
    ] = None,
) -> None:
    """One self-contained HTML page: tables, intervals, curves and example maps, each with its provenance."""
    from app.engine.decode import decoded, opened
    from app.settings import read_settings
    from evaluation.page import report_page
    from lfi.trio import Trio

    if example and trio is None:
        raise ConfigError("--example needs --trio, the folder of the models that draw it")
    limits = read_settings().image_limits
    examples = []
    for each in example or []:
        path, equals, word = each.rpartition("=")
        if not equals or not path or not word.strip():
            raise ConfigError(f"--example is {each!r}; IMAGE=WORD was expected, such as cat.jpg=cat")
        data = read_image(Path(path), limits.bytes)
        picture, note = decoded(opened(data, limits), data)
        if note:
            print(f"{path}: {note}", file=sys.stderr)
        examples.append((picture, word.strip()))
    page = report_page(sources, Trio.load(trio) if trio else None, examples)
    make_folder(out.parent)
    out.write_text(page, encoding="utf-8")
    print(out)
