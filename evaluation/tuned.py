"""The methods that `lfi benchmark tune` chose, as its record keeps them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from lfi.errors import ConfigError, reason
from lfi.methods import Method
from lfi.training.config import ObjectiveConfig


def tuned_methods(path: Path) -> dict[str, Method]:
    """Methods of a record, by name.

    Raises:
        ConfigError: for a file that is not a record of `lfi benchmark tune`.
    """
    try:
        return {name: _method(given) for name, given in _chosen(path).items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} holds methods that this version cannot train ({error}); search again") from None


def fingerprint(path: Path) -> str:
    """Eight hexadecimal digits that change with any weight; errors as `tuned_methods`."""
    return hashlib.sha256(json.dumps(_chosen(path), sort_keys=True).encode()).hexdigest()[:8]


def _chosen(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["chosen"]
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {reason(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not a record of `lfi benchmark tune` ({type(error).__name__}: {error})") from None


def _method(given: dict[str, Any]) -> Method:
    return Method(**{**given, "objective": ObjectiveConfig(**given["objective"])})
