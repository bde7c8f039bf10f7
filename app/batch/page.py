"""The page for many images at once: a form, progress, and the gallery."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from app.settings import Settings
from app.web.assets import ICON, preloads
from app.web.pages import templates

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_templates = templates(Path(__file__).parent)


def batch_page(settings: Settings) -> str:
    """The page; what is in it depends on the service's limits alone."""
    return _templates.get_template("batch.html").render(
        icon=Markup(ICON),
        preloads=Markup(preloads(settings.static_dir, "", "batch")),
        images=settings.batch_images,
        megabytes=f"{settings.max_batch_bytes / 1e6:g}",
        kept=_duration(settings.batch_seconds),
    )


def _duration(seconds: float) -> str:
    """Rounded down: nothing is promised for longer than it is kept."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} second{'' if int(seconds) == 1 else 's'}"
