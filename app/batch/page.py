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
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.0f} hours"
