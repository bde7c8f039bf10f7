"""`lfi`: the command line. Every error that a user can fix is one line on stderr and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from app.commands import batch, data, distil, evaluate, figure, hub, keys, maps, report, scenes, serve, study, training
from app.failures import StorageError
from bench import commands as benchmark
from lfi.errors import LFIError, reason

cli = typer.Typer(
    name="lfi",
    help="Learning from Interactions: see and transfer what a vision-language model's words attend to.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (
    serve,
    keys,
    maps,
    batch,
    figure,
    distil,
    training,
    hub,
    evaluate,
    scenes,
    data,
    study,
    benchmark,
    report,
):
    cli.add_typer(module.commands)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `lfi` with these arguments (default: those of the process). Exits 2 on an error a user can mend.

    Files that cannot be read or written are such errors, wherever they are met.
    """
    try:
        cli(args=arguments, prog_name="lfi")
    except LFIError as error:
        said = f"{error}: {error.reason}" if isinstance(error, StorageError) and error.reason else str(error)
        print(f"lfi: {' '.join(said.split())}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if not error.filename:
            raise
        print(f"lfi: {error.filename}: {reason(error)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
