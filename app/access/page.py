"""The page that asks a browser for an API key; it works without scripts."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from app.web.assets import ICON
from app.web.pages import templates

_templates = templates(Path(__file__).parent)


def signin_page(next: str, name: str = "", error: str = "") -> str:
    """The form, or for the holder of the key of this name the way on and the way out.

    Args:
        next: the path that was asked for.
    """
    return _templates.get_template("signin.html").render(icon=Markup(ICON), next=next, name=name, error=error)
