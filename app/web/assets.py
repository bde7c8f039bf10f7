"""Style sheets, scripts and markup of a page, read from files and put into one Gradio component.

A page is one `gr.HTML`: its markup is the value, its style sheets are the component's head, and what Gradio runs when
the component appears imports the page's module. Modules are files of `static/js`, which browsers ask for anew at every
visit, so they are of the page's version; their addresses are relative, so the page works behind any proxy path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from os import PathLike, stat_result
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_IMPORTED = re.compile(r'^import [^"]*"\./([\w-]+)\.js";$', re.MULTILINE)

_DRAWING = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' rx='3' fill='#0f5575'/>"
    "<path d='M3 3h4v4H3zM3 9h4v4H3zM9 9h4v4H9z' fill='#7cc4e0'/><path d='M9 3h4v4H9z' fill='#fde725'/></svg>"
)
ICON = f'<link rel="icon" href="data:image/svg+xml,{quote(_DRAWING)}" />'
"""The icon of the browser's tab: a grid of patches, one of them attended to."""
MANIFEST = '<link rel="manifest" href="../manifest.json" />'
"""For the page, which is one level below the service's root."""


class FreshFiles(StaticFiles):
    """Files that browsers may keep but ask about before every use: a page never runs the scripts of another version.

    Scripts are always JavaScript to the browser, whatever the system's table of types makes of their names.
    """

    def file_response(
        self, full_path: PathLike[str] | str, stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        if str(full_path).endswith(".js") and "Content-Type" in response.headers:
            response.headers["Content-Type"] = "text/javascript; charset=utf-8"
        return response


def style(static: Path, names: Iterable[str]) -> str:
    """One `<style>` element from `static/css/NAME.css`, in this order."""
    sheets = [(static / "css" / f"{name}.css").read_text(encoding="utf-8") for name in names]
    return f"<style>{chr(10).join(sheets)}</style>"


def early_script(static: Path, name: str) -> str:
    """One `<script>` element of `static/js/NAME.js`, for the head: it runs before the first paint."""
    return f"<script>{(static / 'js' / f'{name}.js').read_text(encoding='utf-8')}</script>"


def modules(static: Path, name: str) -> list[str]:
    """The names of a module of `static/js` and of all that it imports, directly or not."""
    found = [name]
    for each in found:  # grows while it is read
        source = (static / "js" / f"{each}.js").read_text(encoding="utf-8")
        found += [other for other in _IMPORTED.findall(source) if other not in found]
    return found


def preloads(static: Path, root: str, name: str) -> str:
    """Links that make a browser fetch a module and its imports at once, not one level after the other.

    Args:
        root: where the service is, seen from the page.
    """
    return "".join(f'<link rel="modulepreload" href="{root}static/js/{each}.js" />' for each in modules(static, name))


def start_script(root: str, name: str) -> str:
    """What Gradio runs: it hands the page's module what may be asked of the service.

    Args:
        root: as for `preloads`.
    """
    return f"""const failed = (error) => {{
  console.error(error);
  const banner = element.querySelector("#lfi-banner");
  banner.textContent = "The page's scripts did not load. Reload the page.";
  banner.hidden = false;
}};
import(new URL("{root}static/js/{name}.js", location.href).href).then((page) => page.start(server)).catch(failed);"""
