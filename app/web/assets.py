"""Style sheets, scripts and markup of a page, read from files and put into one Gradio component.

A page is one `gr.HTML`: its markup is the value, its style sheets are the component's head, and its scripts are joined
into the function that Gradio runs when the component appears. So page and scripts are always of one version, and the
page works behind any proxy path.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

_DRAWING = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' rx='3' fill='#0f5575'/>"
    "<path d='M3 3h4v4H3zM3 9h4v4H3zM9 9h4v4H9z' fill='#7cc4e0'/><path d='M9 3h4v4H9z' fill='#fde725'/></svg>"
)
ICON = f'<link rel="icon" href="data:image/svg+xml,{quote(_DRAWING)}" />'
"""What stands on the browser's tab: a grid of patches, and the one that is looked at."""


def style(static: Path, names: Iterable[str]) -> str:
    """One `<style>` element from `static/css/NAME.css`, in this order."""
    sheets = [(static / "css" / f"{name}.css").read_text(encoding="utf-8") for name in names]
    return f"<style>{chr(10).join(sheets)}</style>"


def early_script(static: Path, name: str) -> str:
    """One `<script>` element of `static/js/NAME.js`, for the head: it runs before the first paint."""
    return f"<script>{(static / 'js' / f'{name}.js').read_text(encoding='utf-8')}</script>"


def script(static: Path, names: Iterable[str]) -> str:
    """One function body from `static/js/NAME.js`, in this order; later files see what earlier ones define."""
    scripts = [(static / "js" / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(['"use strict";', *scripts])
