"""The rater's page: one shell that its scripts fill from `POST /study/api/...`.

It is served by the application itself and not by Gradio: its content policy allows no inline script, a keypress is one
plain request that can be retried with its key after a restart, and nothing public answers but the routes of
`app.study.routes`. The looks are those of the other pages (`static/css/tokens.css`).
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template

from app.settings import Settings
from app.study.texts import LANGUAGES, PAGE, PAIR, SCALES
from app.web.assets import ICON

STYLES = ("tokens", "study")
_THEME = '<button type="button" class="lfi-link" data-theme hidden>Dark</button>'
SCRIPTS = ("elements", "study-answers", "study-pictures", "study-trial", "study")


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
    return _document(_head(settings.static_dir, root, scripts=()), body, PAGE["en"]["stranger_title"])


@lru_cache(4)
def _page(static: Path, root: str) -> str:
    words = {"page": PAGE, "scales": SCALES, "pair": PAIR, "languages": LANGUAGES}
    data = json.dumps(words, ensure_ascii=False).replace("<", "\\u003c")
    shell = Template(Path(__file__).with_name("study.html").read_text(encoding="utf-8"))
    return _document(_head(static, root, SCRIPTS), shell.substitute(words=data, **PAGE["en"]), "LFI Study")


def _head(static: Path, root: str, scripts: tuple[str, ...]) -> str:
    sheets = [f'<link rel="stylesheet" href="{_file(static, root, "css", f"{name}.css")}" />' for name in STYLES]
    theme = f'<script src="{_file(static, root, "js", "theme.js")}"></script>'  # before the first paint
    rest = [f'<script defer src="{_file(static, root, "js", f"{name}.js")}"></script>' for name in scripts]
    return "\n".join([ICON, *sheets, theme, *rest])


def _file(static: Path, root: str, kind: str, name: str) -> str:
    """The address of a static file, with its version, so that page and scripts always belong together."""
    version = hashlib.sha256((static / kind / name).read_bytes()).hexdigest()[:12]
    return f"{root}static/{kind}/{name}?v={version}"


def _document(head: str, body: str, title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f'<meta name="robots" content="noindex" />\n<title>{escape(title)}</title>\n{head}\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )
