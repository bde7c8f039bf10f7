"""What the report's page is made of: the app's colours and type, tables, figures that are readable light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from lfi.shipped import STATIC

_DARK = re.compile(r":root\.dark \{(.*?)\n\}", re.DOTALL)
_LONGEST = 200  # characters of one cell
_CSS = """
:root { color-scheme: light dark }
body { font: 16px/1.55 var(--lfi-sans); color: var(--lfi-ink); background: var(--lfi-paper);
  max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1 { font: 600 1.75rem/1.2 var(--lfi-serif) }
h2 { font: 600 1.25rem/1.3 var(--lfi-serif); margin-top: 2.5rem; border-bottom: 1px solid var(--lfi-line) }
h3 { font-size: 1rem; margin-bottom: .3rem }
.verdict { font-size: 1.25rem; border-left: .3rem solid var(--lfi-accent); padding: .5rem 1rem;
  background: var(--lfi-surface) }
.warn { color: var(--lfi-danger); background: var(--lfi-danger-wash); border: 1px solid var(--lfi-danger);
  border-radius: var(--lfi-radius-s); padding: .5rem 1rem }
.note { color: var(--lfi-note); background: var(--lfi-note-wash); border-radius: var(--lfi-radius-s);
  padding: .5rem 1rem }
.interim { position: sticky; top: 0; z-index: 1; font-weight: 600 }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--lfi-line) }
th:first-child, td:first-child { text-align: left }
figure { margin: 1rem 0; background: var(--lfi-surface); border-radius: var(--lfi-radius-s); padding: .5rem }
figure svg { width: 100%; height: auto } figure svg text { fill: currentColor }
.items { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem }
.items figure { margin: 0 } .items img { width: 100%; display: block; border-radius: var(--lfi-radius-s) }
figcaption, small { color: var(--lfi-ink-soft); font-size: .85rem }
code { overflow-wrap: anywhere; font-family: var(--lfi-mono) } dd { margin: 0 0 .5rem }
@media print { body { max-width: none } .interim { position: static } }
"""


def page(title: str, body: str) -> str:
    """The whole page; it loads nothing."""
    tokens = (STATIC / "css" / "tokens.css").read_text(encoding="utf-8")
    dark = "".join(match[1] for match in _DARK.finditer(tokens))
    style = f"{_DARK.sub('', tokens)}@media screen and (prefers-color-scheme: dark) {{ :root {{{dark}}} }}{_CSS}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    start = '<!doctype html>\n<html lang="en">'
    return f"{start}<head>{head}<style>{style}</style></head>\n<body><main>{body}</main></body></html>\n"


def inlined(name: str, svg: str, text: str) -> str:
    """A figure of `evaluation.study.figures` in the page: no ground of its own, lines and letters in the page's ink.

    Args:
        text: what it shows, for those who do not see it.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\bid=\"|(?<=\"#)|(?<=url\(#)", lambda match: f"{match[0]}{name}-", svg)  # ids are shared by a page
    svg = re.sub(r"fill: #ffffff(?=[;\"])", "fill: none", svg)
    svg = re.sub(r"(fill|stroke): #000000(?=[;\"])", r"\1: currentColor", svg)
    svg = re.sub(r"fill: #b00020(?=[;\"])", "fill: var(--lfi-danger)", svg)
    return f'<figure role="img" aria-label="{escape(text)}">{svg}</figure>'


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table, everything escaped."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 rater`, `1,200 raters`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(value: Any) -> str:
    """A value of a plan as one line, cut where it is long."""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


def _cell(cell: Any) -> str:
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else listed(cell)
