"""The rater's page: one markup that its scripts fill from `POST /study/api/...`, in one of two shells.

`app.study.shell` puts the markup into a Gradio page, the default. `study_page` is a plain document for services that
want a strict content policy (`LFI_STUDY_PAGE=plain`). Markup, style sheets, scripts and routes are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache, lru_cache
from html import escape
from pathlib import Path
from string import Template

from app.settings import Settings
from app.study.texts import LANGUAGES, PAGE, PAIR, SCALES
from app.web.assets import ICON, preloads

STYLES = ("tokens", "study", "study-trial")
MODULE = "study"
TITLE = "LFI Study"
_THEME = '<button type="button" class="lfi-link" data-theme hidden>Dark</button>'


def study_page(settings: Settings) -> str:
    """The plain shell; what is in it depends on nobody."""
    return _page(settings.static_dir)


def stranger_page(settings: Settings, depth: int = 0) -> str:
    """What somebody without a valid invitation sees; `depth` folders below the root of the service."""
    root = "../" * depth
    home = root or "./"
    said = ""
    for language, page in PAGE.items():
        title, text = escape(page["stranger_title"]), escape(page["stranger"])
        link = f'<a class="lfi-button" href="{home}">{escape(page["home"])}</a>'
        said += f'<section lang="{language}"><h1>{title}</h1><p>{text}</p><p>{link}</p></section>'
    brand = (
        f'<header class="lfi-study-head"><p class="lfi-wordmark"><a href="{home}">LFI Study</a></p>{_THEME}</header>'
    )
    body = f'<div class="lfi lfi-study">{brand}<main class="lfi-plain">{said}</main></div>'
    theme = f'<script src="{root}static/js/theme.js"></script>'  # before the first paint
    return _document(ICON + sheets(root, STYLES) + theme, body, PAGE["en"]["stranger_title"])


@cache
def markup(main: str = "main") -> str:
    """What both shells hold; `main` is the element of its main part, as a document may have one `main` only."""
    words = {"page": PAGE, "scales": SCALES, "pair": PAIR, "languages": LANGUAGES}
    data = json.dumps(words, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026")
    shell = Template(Path(__file__).with_name("study.html").read_text(encoding="utf-8"))
    return shell.substitute(words=data, main=main, **PAGE["en"])


@lru_cache(4)
def _page(static: Path) -> str:
    theme = '<script src="static/js/theme.js"></script>'
    module = preloads(static, "", MODULE) + f'<script type="module" src="static/js/{MODULE}.js"></script>'
    return _document(ICON + sheets("", STYLES) + theme + module, markup(), TITLE)


def sheets(root: str, names: Iterable[str]) -> str:
    """Links to style sheets; `root` is where the service is, seen from the page."""
    return "".join(f'<link rel="stylesheet" href="{root}static/css/{name}.css" />' for name in names)


def _document(head: str, body: str, title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f'<meta name="robots" content="noindex" />\n<title>{escape(title)}</title>\n{head}\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )
