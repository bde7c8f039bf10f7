"""`lfi push`: a model to the Hugging Face hub. `lfi export`: a student as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


@commands.command()
def push(
    folder: Annotated[Path, typer.Argument(help="A trio, a teacher or a run's folder.", show_default=False)],
    repository: Annotated[str, typer.Argument(help="ORG/NAME on the hub.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private if it is new.")] = False,
    license: Annotated[str, typer.Option(help="Licence for the model card, as the hub names it: apache-2.0.")] = "",
) -> None:
    """Put a trio, a teacher or a student on the Hugging Face hub, with a model card.

    `hf auth login` signs in. Afterwards hf-hub:ORG/NAME stands for the folder everywhere.
    """
    from lfi.hub import push

    done = push(folder, repository, private=private, license=license)
    for name in done.files:
        print(name)
    print(done.url)


@commands.command()
def export(
    trio: Annotated[Path, typer.Argument(help="Folder of a trio, or hf-hub:ORG/NAME.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the graph and the words.")] = Path("onnx"),
) -> None:
    """Write a trio's LFI student as ONNX, with the words that it knows.

    It runs without torch: python -m lfi.exporting.runner OUT IMAGE --word WORD
    """
    from lfi.exporting.student import export
    from lfi.trio import Trio

    loaded = Trio.load(trio)
    words = loaded.vocabulary or loaded.phrases
    print(export(loaded.lfi, out, loaded.teacher, words, f"{loaded.name} lfi", loaded.phrases))
    print(f"run it: python -m lfi.exporting.runner {out} IMAGE --word {words[0] if words else 'WORD'} --out maps.npz")
