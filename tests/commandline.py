"""`lfi` in this process."""

from __future__ import annotations

from app.cli import main


def lfi(*arguments: object) -> int:
    """The exit code of the command line with these arguments."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
