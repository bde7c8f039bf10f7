"""The rater's page: one shell that its scripts fill from `POST /study/api/...`.

It is served by the application itself and not by Gradio: its content policy allows no inline script, a keypress is one
plain request that can be retried with its key after a restart, and nothing public answers but the routes of
`app.study.routes`. The looks are those of the other pages (`static/css/tokens.css`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template

from app.settings import Settings
from app.study.texts import LANGUAGES, PAGE, PAIR, SCALES
from app.web.assets import ICON, preloads

STYLES = ("tokens", "study")
_THEME = '<button type="button" class="lfi-link" data-theme hidden>Dark</button>'
MODULE = "study"


def study_page(settings: Settings) -> str:
    """The shell; what is in it depends on nobody."""
    return _page(settings.static_dir, "")


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
    return _document(_head(settings.static_dir, root), body, PAGE["en"]["stranger_title"])


@lru_cache(4)
def _page(static: Path, root: str) -> str:
    words = {"page": PAGE, "scales": SCALES, "pair": PAIR, "languages": LANGUAGES}
    data = json.dumps(words, ensure_ascii=False).replace("<", "\\u003c")
    shell = Template(Path(__file__).with_name("study.html").read_text(encoding="utf-8"))
    return _document(_head(static, root, MODULE), shell.substitute(words=data, **PAGE["en"]), "LFI Study")


def _head(static: Path, root: str, module: str = "") -> str:
    sheets = [f'<link rel="stylesheet" href="{root}static/css/{name}.css" />' for name in STYLES]
    theme = f'<script src="{root}static/js/theme.js"></script>'  # before the first paint
    rest = []
    if module:
        rest = [preloads(static, root, module), f'<script type="module" src="{root}static/js/{module}.js"></script>']
    return "\n".join([ICON, *sheets, theme, *rest])


def _document(head: str, body: str, title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f'<meta name="robots" content="noindex" />\n<title>{escape(title)}</title>\n{head}\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )
