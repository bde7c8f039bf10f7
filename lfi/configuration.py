"""Dataclasses from plain values, as TOML and JSON have them; errors name the key, the value and what was expected."""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from lfi.errors import ConfigError

T = typing.TypeVar("T")


def build(kind: type[T], raw: dict[str, Any], where: str = "") -> T:
    """A dataclass from plain values, checked name by name and type by type."""
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    values = {}
    for name, value in raw.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {where}{near[0]}?" if near else f"; known: {', '.join(known)}"
            raise ConfigError(f"unknown key {where}{name}{hint}")
        values[name] = _convert(hints[name], value, f"{where}{name}")
    missing = [
        name
        for name, entry in known.items()
        if name not in values and entry.default is entry.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"{where}{missing[0]} is missing")
    return kind(**values)


def _convert(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is {value!r}; a section was expected")
        return build(kind, value, f"{where}.")  # type: ignore[arg-type]
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is {value!r}; a list was expected")
        inner = typing.get_args(kind)
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise ConfigError(f"{where} has {len(value)} entries; {len(inner)} were expected")
        return tuple(_convert(inner[0], item, where) for item in value)
    if origin in (dict, types.GenericAlias) or kind is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is {value!r}; a table was expected")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{where} is {value!r}; {kind.__name__} was expected")
    return value
