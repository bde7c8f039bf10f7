"""A run's records on a dashboard: Weights & Biases or trackio, which share one interface. Beside TensorBoard."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfi.errors import ConfigError

TRACKERS = ("", "wandb", "trackio")
PROJECT = "lfi"


class Tracker:
    """Sends records to a dashboard as they are made.

    Args:
        name: `wandb` or `trackio`; what they read from the environment (`WANDB_MODE`, `TRACKIO_SPACE_ID`) holds.
        folder: of the run, whose name is the run's.
        config: of the run, shown beside its curves.
        resumed: whether an earlier part of this run may be there already.

    Raises:
        ConfigError: the package is not installed, or does not start.
    """

    def __init__(self, name: str, folder: Path, config: Mapping[str, Any], resumed: bool):
        try:
            self._package: Any = importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f"loop.tracker is {name!r}, which is not installed; pip install {name}") from error
        options: dict[str, Any] = {"resume": "allow" if resumed else "never"}
        if name == "wandb":
            options |= {"dir": str(folder), "id": _id_of(folder, resumed)}
        try:
            self._package.init(project=PROJECT, name=folder.name, config=dict(config), **options)
        except Exception as error:  # whatever it raises: not signed in, no network
            raise ConfigError(f"{name} does not start: {' '.join(str(error).split())[:200]}") from error

    def add(self, record: Mapping[str, float]) -> None:
        """Send a record; `step` stands in it."""
        values = {key: value for key, value in record.items() if key != "step"}
        self._package.log(values, step=int(record["step"]))

    def close(self) -> None:
        """Send what is left."""
        self._package.finish()


def _id_of(folder: Path, resumed: bool) -> str:
    """Under which the dashboard knows a run: a new one for a new run, kept in its folder for when it is resumed."""
    kept = folder / "wandb.id"
    if not (resumed and kept.is_file()):
        kept.write_text(secrets.token_hex(4), encoding="utf-8")
    return kept.read_text(encoding="utf-8")
