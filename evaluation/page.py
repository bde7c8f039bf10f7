"""`lfi report`: recorded results, curves of runs and example maps as one self-contained HTML file.

Every figure stands with the command that made it, its seeds, its sample size and the hardware.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib as mpl
from markdown_it import MarkdownIt
from matplotlib.figure import Figure as Drawing
from PIL import Image

from evaluation.drawing import STYLE, by_unit, draw_intervals
from evaluation.report import markdown
from evaluation.results import read
from lfi.errors import DataError
from lfi.rendering import figure
from lfi.training.curves import draw_records
from lfi.trio import Trio

_FIELDS = {"command", "commit", "date", "hardware", "seeds", "n", "figures", "goals"}
_CSS = """
:root { color-scheme: light dark; --line: #8884; --quiet: #767676 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { line-height: 1.2 } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line) }
nav ul { columns: 18rem; padding-left: 1.2rem } nav li { break-inside: avoid } nav small { color: var(--quiet) }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .9rem; margin: 1rem 0 }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top }
td { font-variant-numeric: tabular-nums; white-space: nowrap }
th:first-child, td:first-child { white-space: normal; min-width: 13rem; position: sticky; left: 0; background: Canvas }
figure { margin: 1rem 0; background: #fff; color: #222; border-radius: .3rem; padding: .5rem }
figure svg, figure img { width: 100%; height: auto; display: block }
figcaption, .made { font-size: .85rem } code { overflow-wrap: anywhere }
details > summary { cursor: pointer; margin: .5rem 0 }
@media print { body { max-width: none } details { display: block } }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, heading and content, and what the table of contents says of its goals."""

    name: str
    title: str
    html: str
    verdict: str = ""


def report_page(
    sources: Sequence[Path], trio: Trio | None = None, examples: Sequence[tuple[Image.Image, str]] = ()
) -> str:
    """The page.

    Args:
        sources: records (JSON) of `lfi evaluate` and `lfi benchmark`, and folders of `lfi train`.
        trio, examples: whose maps are shown on which images for which words.

    Raises:
        DataError: a source that is neither; says which.
    """
    sections = [_of_run(source) if source.is_dir() else _of_record(source) for source in sources]
    if trio is not None and examples:
        sections.append(Section("maps", "Maps", _maps(trio, examples)))
    contents = "".join(
        f'<li><a href="#{each.name}">{escape(each.title)}</a> <small>{escape(each.verdict)}</small></li>'
        for each in sections
    )
    body = "".join(f'<section id="{each.name}"><h2>{escape(each.title)}</h2>{each.html}</section>' for each in sections)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>LFI: report</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_CSS}</style></head>\n<body><main>'
        f"<h1>Learning from Interactions: report</h1><nav><ul>{contents}</ul></nav>{body}</main></body></html>\n"
    )


def _of_record(path: Path) -> Section:
    record = read(path)
    if not isinstance(record, dict) or not set(record) >= _FIELDS:
        raise DataError(f"{path} is not a record of `lfi evaluate` or `lfi benchmark`")
    table = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown({**record, "title": ""}))
    plots = "".join(
        _drawn(draw_intervals(unit, figures), f"Figures in {unit} with their 95 % intervals")
        for unit, figures in by_unit(record["figures"]).items()
    )
    figures = f"<details open><summary>Figures</summary>{table}</details>"
    made = f'<p class="made">Commit {escape(record["commit"])}.</p>'
    title = record.get("title") or record["command"].split(" --")[0]
    met = [goal["holds"] for goal in record["goals"].values()]
    verdict = f"{sum(met)} of {len(met)} goals met" if met else ""
    return Section(_name(path), title, plots + figures + made, verdict)


def _of_run(folder: Path) -> Section:
    """Curves of `metrics.jsonl`, and what the run was made with."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
    except OSError as error:
        raise DataError(f"{folder} has no metrics.jsonl, so it is not a run of `lfi train`") from error
    except ValueError as error:
        raise DataError(f"{folder / 'metrics.jsonl'} is damaged: {error}") from error
    if not records:
        raise DataError(f"{folder / 'metrics.jsonl'} is empty: the run has not logged anything yet")
    steps = int(records[-1]["step"])
    html = _drawn(draw_records(records), f"Losses and evaluations of {folder.name} over {steps:,} steps")
    for name in ("config.json", "environment.json"):
        if (folder / name).is_file():
            text = escape((folder / name).read_text(encoding="utf-8"))
            html += f"<details><summary>{name}</summary><pre>{text}</pre></details>"
    return Section(_name(folder), f"Run {folder.name}", html)


def _maps(trio: Trio, examples: Sequence[tuple[Image.Image, str]]) -> str:
    """Teacher, LFI student and baseline side by side, one colour scale an image."""
    parts = []
    for image, word in examples:
        picture = base64.b64encode(figure(trio.compare(image, [word]), image, format="png")).decode()
        text = f"Where teacher, LFI student and baseline look for “{word}”"
        parts.append(
            f'<figure><img alt="{escape(text)}" src="data:image/png;base64,{picture}">'
            f"<figcaption>{escape(text)}; {escape(trio.name)} trio</figcaption></figure>"
        )
    return "".join(parts)


def _drawn(drawing: Drawing, text: str) -> str:
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1)
    return f"<figure>{svg}</figure>"


def _name(path: Path) -> str:
    """An anchor."""
    return "".join(letter if letter.isalnum() else "-" for letter in str(path)).strip("-")
