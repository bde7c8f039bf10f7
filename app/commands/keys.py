"""`lfi keys`: API keys for a service that other machines can reach, and accounts of those who run studies."""

from __future__ import annotations

from typing import Annotated

import typer

commands = typer.Typer()
keys = typer.Typer(
    help="API keys for a service that other machines can reach, and accounts for /admin.", no_args_is_help=True
)
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
    print("Separate several keys with commas.")


@keys.command()
def owner(
    name: Annotated[str, typer.Argument(help="Name of the person, as the audit trails of studies show it.")],
    role: Annotated[str, typer.Option(help="owner (runs studies) or analyst (sees and exports them).")] = "owner",
) -> None:
    """Make an account for /admin. Its token is shown once; the service only gets its hash."""
    from app.keys import ROLES, new_key

    secret, account = new_key(name, [role], ROLES)
    print(f"The token, shown this once:\n  {secret}")
    print(f"For the service, which keeps only its hash:\n  LFI_OWNERS={account.line()}")
    print("Separate several accounts with commas.")
