"""JSON files that are whole or not there, however the process that writes them ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lfi.errors import ConfigError, reason


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all; folders are made.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write to {path.parent}: {reason(error)}") from error
