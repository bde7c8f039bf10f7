"""The trios of a running service: loaded once, found by name."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from PIL import Image

from app.failures import NotReadyError
from app.settings import Settings
from lfi.errors import CheckpointError, LFIError, UnknownModelError, excerpt
from lfi.trio import Trio

log = logging.getLogger("lfi")


class Trios:
    """All trios in `settings.models_dir`, by the names of their folders.

    Attributes:
        loaded: by name, as far as they are loaded.
        failures: why a trio could not be loaded, by name, in one line without paths.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.loaded: dict[str, Trio] = {}
        self.failures: dict[str, str] = {}
        self._complete = False

    @property
    def default(self) -> str:
        """Name of the trio that answers where none is named."""
        return self.settings.trio

    @property
    def ready(self) -> bool:
        """Whether everything that can be loaded is loaded, the default trio with it."""
        return self._complete and self.default in self.loaded

    def load(self) -> None:
        """Load every trio, the default first. One that fails is noted and does not stop the others."""
        torch.set_num_threads(self.settings.torch_threads)
        names = [self.default, *(name for name in self._found() if name != self.default)]
        for name in names:
            try:
                _rehearse(self.load_only(name))
                log.info("trio %r is ready", name)
            except LFIError as error:
                self.loaded.pop(name, None)
                self.failures[name] = str(error).replace(f"{self.settings.models_dir}{os.sep}", "")
                log.error("trio %r is not served: %s", name, error)
            except Exception:
                self.loaded.pop(name, None)
                self.failures[name] = "it failed unexpectedly; see the log"
                log.exception("trio %r is not served", name)
        self._complete = True

    def _found(self) -> list[str]:
        return sorted(card.parent.name for card in self.settings.models_dir.glob("*/card.json"))

    def load_only(self, name: str) -> Trio:
        """Load one trio; its errors are raised.

        Raises:
            UnknownModelError: there is no such folder.
            CheckpointError: a file in it is missing, damaged or does not fit.
        """
        folder = self.settings.models_dir / name
        if not folder.is_dir():
            known = ", ".join(self._found()) or "none; `lfi trio` makes one"
            raise UnknownModelError(f"there is no trio {name!r} in {folder.parent}; there are: {known}")
        self.loaded[name] = trio = load_trio(folder, self.settings.device)
        return trio

    def need(self, name: str) -> Trio:
        """The trio of this name, loaded now if it is not there yet: for commands, which wait for what they need.

        Raises:
            UnknownModelError, CheckpointError: as `load_only`.
        """
        return self.loaded.get(name) or self.load_only(name)

    def get(self, name: str | None = None) -> Trio:
        """The trio of this name, or the default one.

        Raises:
            NotReadyError: still loading, or the default cannot be loaded.
            CheckpointError: this one could not be loaded.
            UnknownModelError: there is no such trio.
        """
        name = name or self.default
        if name in self.loaded:
            return self.loaded[name]
        if not self._complete:
            raise NotReadyError("the models are still loading; try again in a moment")
        if name in self.failures:
            why = f"trio {name!r} could not be loaded: {self.failures[name]}"
            raise NotReadyError(why) if name == self.default else CheckpointError(why)
        raise UnknownModelError(f"there is no trio {excerpt(name)!r}; there are: {', '.join(self.loaded) or 'none'}")


def load_trio(folder: Path, device: str) -> Trio:
    """`Trio.load` where `auto` takes a GPU if there is one; files that may not be read are a `CheckpointError`, too."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return Trio.load(folder, device)
    except OSError as error:
        raise CheckpointError(f"the trio in {folder} cannot be read: {error.strerror or error}") from error


def _rehearse(trio: Trio) -> None:
    """Warm up with one answer of each kind: the first one is always slower."""
    word = trio.vocabulary[0] if trio.vocabulary else "dog"
    encoded = trio.encode(Image.new("RGB", (64, 64), "white"))
    trio.compare(encoded, [word])
    trio.seen(encoded)
