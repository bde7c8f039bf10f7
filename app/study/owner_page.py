"""The owner's pages, rendered on the server: they work without scripts, one of which keeps the figures fresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from app.study.export import PERSONAL, USUAL
from app.study.overview import StudyLine
from app.study.progress import HISTOGRAM_SECONDS, CellProgress, Progress
from app.web.assets import ICON
from app.web.pages import templates

_ACTS = {
    "draft": (),
    "open": (("paused", "Pause"), ("closed", "Close")),
    "paused": (("open", "Resume"), ("closed", "Close")),
    "closed": (("open", "Reopen"),),
}
_templates = templates(Path(__file__).parent / "admin")
_BAR = 84  # height of the longest one


@dataclass(frozen=True)
class Viewer:
    """Who looks at a page: what forms carry, a name, and whether it is somebody who runs studies."""

    csrf: str = ""
    name: str = ""
    runs: bool = False


def login_page(root: str, error: str = "") -> str:
    """Asks for the token."""
    return _render("login.html", root, Viewer(), error=error)


def list_page(root: str, viewer: Viewer, studies: Sequence[StudyLine]) -> str:
    """All studies."""
    return _render("list.html", root, viewer, studies=studies)


def owner_page(root: str, viewer: Viewer, found: Progress, error: str = "", said: str = "") -> str:
    """One study: its figures, and what can be done with it."""
    more = {"acts": _ACTS[found.status], "files": USUAL, "personal": PERSONAL, **_figures(found)}
    return _render("study.html", root, viewer, error=error, said=said, **more)


def live_part(root: str, viewer: Viewer, found: Progress) -> str:
    """The figures alone."""
    return _templates.get_template("live.html").render(root=root, viewer=viewer, csrf=viewer.csrf, **_figures(found))


def _render(name: str, root: str, viewer: Viewer, error: str = "", said: str = "", **values: Any) -> str:
    common = {"root": root, "viewer": viewer, "csrf": viewer.csrf, "error": error, "said": said, "icon": Markup(ICON)}
    return _templates.get_template(name).render({**common, **values})


def _figures(found: Progress) -> dict[str, Any]:
    conditions = list(dict.fromkeys(cell.condition for cell in found.cells))
    rows: dict[str, dict[str, CellProgress]] = {}
    for cell in found.cells:
        rows.setdefault(f"{cell.item} {cell.word}", {})[cell.condition] = cell
    most = max(*found.histogram, 1)
    bars = [
        {"x": number * 30 + 2, "height": round(_BAR * count / most), "count": count, "edge": f"{edge:g}"}
        for number, (edge, count) in enumerate(zip(HISTOGRAM_SECONDS, found.histogram, strict=True))
    ]
    rated = {cell.condition for cell in found.cells if cell.kind == "rating"}
    return {
        "found": found,
        "conditions": conditions,
        # a pair's two maps stand in its item's ratings, if there are any
        "thumbnails": {name: [name] if name in rated else [] if rated else name.split(" / ") for name in conditions},
        "grid": [(item, [row.get(condition) for condition in conditions]) for item, row in sorted(rows.items())],
        "bars": bars,
        "bars_label": ", ".join(f"from {bar['edge']}: {bar['count']}" for bar in bars),
    }
