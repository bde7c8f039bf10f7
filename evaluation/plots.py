"""The files that plots are written to."""

from __future__ import annotations

from pathlib import Path

from lfi.errors import ConfigError

ENDINGS = (".pdf", ".png", ".svg")


def plot_path(path: Path | None) -> Path | None:
    """A plot's file as an option named it; checked while options are read, before any work is done.

    Raises:
        ConfigError: its ending is none that plots have.
    """
    if path is not None and path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"the plot is {path}; a name ending in .pdf, .png or .svg was expected")
    return path
