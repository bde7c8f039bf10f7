"""A problem as a page, for browsers. It loads nothing else, so it looks right wherever the error happened."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from app.settings import STATIC
from app.web.pages import templates

_ADVICE = {
    401: "Sign in, then open the page again.",
    403: "Sign in, or open the link that you were given.",
    404: "Check the address for a typo, or go to the start page.",
    405: "Open the page itself and use its buttons.",
    429: "Wait a moment, then reload this page.",
    500: "Reload this page. If it fails again, report the request below to the operator of this service.",
    503: "Wait a moment, then reload this page.",
}
_USUAL_ADVICE = "Go back, change what you sent, and try again."


def error_page(problem: dict[str, Any], home: str) -> str:
    """The page of a problem, see `app.web.problems.Problem`.

    Args:
        home: where the start page is.
    """
    detail = problem["detail"]
    said = detail[:1].upper() + detail[1:] + ("" if detail.endswith((".", "!", "?", "…")) else ".")
    return _template().render(
        **{**problem, "detail": said},
        advice=_ADVICE.get(problem["status"], _USUAL_ADVICE),
        home=home,
        style=Markup(_style()),
        script=Markup(_script()),
    )


@cache
def page_policy() -> str:
    """A content policy that lets the page use its own style and script and nothing else."""
    return (
        f"default-src 'none'; style-src {_source(_style())}; script-src {_source(_script())}; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _style() -> str:
    return "\n".join((STATIC / "css" / f"{name}.css").read_text(encoding="utf-8") for name in ("tokens", "study"))


@cache
def _script() -> str:
    return (STATIC / "js" / "theme.js").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    return templates(Path(__file__).parent).get_template("error_page.html")
