"""How pages that are entirely our own are sent: under a strict content policy, and never cached."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def page(html: str, status: int = 200) -> HTMLResponse:
    """One page."""
    return HTMLResponse(html, status, {"Content-Security-Policy": PAGE_POLICY, **PRIVATE})


def root_of(request: Request) -> str:
    """The path that a proxy publishes the service under, empty at the root of a host: cookies begin with it."""
    return request.scope.get("root_path", "")


def templates(folder: Path) -> Environment:
    """The templates in a folder: values are escaped, and one that is missing is an error."""
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
