"""`lfi keys`: API keys for a service that other machines can reach."""

from __future__ import annotations

from typing import Annotated

import typer

commands = typer.Typer()
keys = typer.Typer(help="API keys for a service that other machines can reach.", no_args_is_help=True)
commands.add_typer(keys, name="keys")


@keys.command()
def new(
    name: Annotated[str, typer.Option(help="Name of the key's owner; logged with each request.")] = "lab",
    scope: Annotated[
        list[str] | None, typer.Option(help="maps (the page and the API) or metrics; repeatable. [default: maps]")
    ] = None,
) -> None:
    """Make a key. It is shown once; the service only gets its hash."""
    from app.keys import new_key

    secret, key = new_key(name, scope or ["maps"])
    print(f"The key, shown this once:\n  {secret}")
    print(f"For the service, which keeps only its hash:\n  LFI_API_KEYS={key.line()}")
    print("Several keys stand there with commas between.")
