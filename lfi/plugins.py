"""Your own code, named in a configuration: `FILE.py:NAME` or `package.module:NAME`."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from lfi.errors import ConfigError


def is_reference(text: str) -> bool:
    """Whether this names code: `FILE.py:NAME` or `package.module:NAME`."""
    place, colon, name = text.rpartition(":")
    return bool(colon) and name.isidentifier() and (place.endswith(".py") or place.replace(".", "").isidentifier())


def load_reference(text: str) -> Any:
    """What the reference names. The file or module is run, as any import is.

    Raises:
        ConfigError: it is not a reference, there is no such file, module or name in it, or running it fails.
    """
    if not is_reference(text):
        raise ConfigError(f"{text!r} does not name any code; FILE.py:NAME or package.module:NAME was expected")
    place, _, name = text.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
    except Exception as error:
        raise ConfigError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise ConfigError(f"{place} has no {name}")
    return getattr(module, name)
