"""`lfi study ...`: a study from its design to its data."""

from __future__ import annotations

import typer

commands = typer.Typer()
study = typer.Typer(help="Run a human study: design, invitations, progress, data, report.", no_args_is_help=True)
commands.add_typer(study, name="study")


@study.callback()
def _study() -> None:
    """Run a human study: design, invitations, progress, data, report."""
