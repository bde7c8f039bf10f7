"""Recorded runs as Markdown, and the tables of README and documents kept equal to them.

A table stands between `<!-- results: NAME -->` and `<!-- end -->` and is made from `results/NAME.json`; with
`<!-- goals: NAME -->` it shows only the goals: target, measured value, and whether it was met. Between
`<!-- summary -->` and `<!-- end -->` stand the goals of `evaluation.summary`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.results import read
from evaluation.summary import summary
from lfi.errors import DataError

_BLOCK = re.compile(r"(<!-- (?P<kind>results|goals): (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
_SUMMARY = re.compile(r"(<!-- summary -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(record: dict[str, Any], goals_only: bool = False) -> str:
    """Figures with intervals, goals, and a line of provenance; or without the figures.

    Figures called `PART: METHOD` that share methods between parts stand in a table with a column for each part.
    """
    figures = {} if goals_only else record["figures"]
    columns = _columns(figures)
    lines = [f"**{record['title']}**", ""] if record.get("title") else []
    if columns:
        methods = dict.fromkeys(name for part in columns.values() for name in part)
        heads = [_with_unit(name, part.values()) for name, part in columns.items()]
        lines += [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(columns)]
        for method in methods:
            row = [part[method] for part in columns.values() if method in part]
            cells = [_cell(part[method]) if method in part else "" for part in columns.values()]
            label = method if heads != list(columns) else _with_unit(method, row)
            lines.append(f"| {label} | {' | '.join(cells)} |")
        lines.append("")
    listed = {name: figure for name, figure in figures.items() if name.split(": ")[0] not in columns}
    lines += ["| figure | value | 95 % interval | unit |", "|---|---:|---:|---|"] if listed else []
    for name, figure in listed.items():
        interval = "" if figure["low"] is None else f"{_round(figure['low'])} to {_round(figure['high'])}"
        lines.append(f"| {name} | {_round(figure['value'])} | {interval} | {figure['unit']} |")
    if record["goals"]:
        lines += [""] * bool(lines and lines[-1]) + ["| goal | target | measured | |", "|---|---:|---:|---|"]
        for name, goal in record["goals"].items():
            verdict = "met" if goal["holds"] else "**missed**"
            lines.append(f"| {name} | {_round(goal['goal'])} | {_round(goal['value'])} | {verdict} |")
    counts = ", ".join(f"{count:,} {what}" for what, count in record["n"].items())
    seeds = ", ".join(map(str, record["seeds"]))
    lines += ["", f"`{record['command']}`, seeds {seeds}; {counts}; {record['hardware']}; {record['date']}."]
    return "\n".join(lines)


def _columns(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Figures by part and method, where several parts have the same methods."""
    parts: dict[str, dict[str, Any]] = {}
    for name, figure in figures.items():
        prefix, colon, method = name.partition(": ")
        if colon:
            parts.setdefault(prefix, {})[method] = figure
    count: dict[str, int] = {}
    for part in parts.values():
        for method in part:
            count[method] = count.get(method, 0) + 1
    return {name: part for name, part in parts.items() if sum(count[method] > 1 for method in part) > 2}


def _with_unit(name: str, figures: Iterable[dict[str, Any]]) -> str:
    """The name, and the unit where these figures share one."""
    units = {figure["unit"] for figure in figures}
    unit = units.pop() if len(units) == 1 else ""
    return f"{name}, {unit}" if unit not in name else name


def _cell(figure: dict[str, Any]) -> str:
    """`21.0 (19.7 to 22.3)`."""
    interval = "" if figure["low"] is None else f" ({_round(figure['low'])} to {_round(figure['high'])})"
    return _round(figure["value"]) + interval


def rewrite(page: Path, folder: Path) -> list[str]:
    """Put every recorded table into a page; returns the names of the tables.

    Raises:
        DataError: a table's record is missing.
    """
    text, names = page.read_text(encoding="utf-8"), []

    def table(match: re.Match[str]) -> str:
        path = folder / f"{match['name']}.json"
        if not path.is_file():
            raise DataError(f"{page} shows results of {match['name']}, but there is no {path}")
        names.append(match["name"])
        return f"{match[1]}{markdown(read(path), match['kind'] == 'goals')}\n{match['end']}"

    fresh = _BLOCK.sub(table, text)
    if _SUMMARY.search(fresh):
        found = summary(folder, _round)
        fresh = _SUMMARY.sub(lambda match: f"{match[1]}{found}\n{match[2]}", fresh)
        names.append("summary")
    if fresh != text:
        page.write_text(fresh, encoding="utf-8")
    return names


def _round(value: float | None) -> str:
    if value is None:
        return "none"
    if 0 < abs(value) < 0.005:
        return np.format_float_positional(float(f"{value:.1g}"))
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
