"""The rater's page as a Gradio page at `/study/`, the default shell (see `app.study.page`).

Gradio carries the markup, and nothing else: the page has no handler, no event and no queue that an answer could be in.
Its scripts ask the routes of `app.study.routes` as they do in the plain shell. Of Gradio's own routes, those that
deliver the page and its files are reachable by GET; whatever else there is answers as if it were not.
"""

from __future__ import annotations

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings
from app.study.page import MODULE, STYLES, TITLE, markup, sheets
from app.web.assets import ICON, early_script, load_script, preloads, style
from app.web.edge import PageHead
from app.web.pages import PRIVATE

PATH = "/study"
EARLY_STYLES = ("tokens", "inspector/page")
_FILES = ("/assets/", "/static/", "/svelte/", "/theme.css")
# As of the inspector's page, without what this one does not need; and no other page may frame it.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


def build_study(settings: Settings) -> gr.Blocks:
    """The page, to be mounted at `PATH`; what is in it depends on nobody."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(
            markup(main="div"),  # Gradio's own frame is the page's `main`
            head=style(settings.static_dir, STYLES[1:]),  # after Gradio's own, so it holds where both say something
            js_on_load=load_script("../", MODULE, "#study-banner"),
            apply_default_css=False,
        )
    return page


class StudyMount(Mount):
    """The mounted Gradio page; what its browser does not need is not there, so our own routes answer for themselves."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = get_route_path(scope).removeprefix(self.path)
        return super().matches(scope) if path == "/" or path.startswith(_FILES) else (Match.NONE, {})


class StudyShell:
    """The page's own head and headers around the mounted Gradio page, which can only be read."""

    def __init__(self, app: ASGIApp, settings: Settings):
        static = settings.static_dir
        head = ICON + early_script(static, "theme") + preloads(static, "../", MODULE)
        self.app = PageHead(app, "", head + sheets("../", EARLY_STYLES))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(404)
        page = get_route_path(scope) == "/"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and page:
                MutableHeaders(scope=message).update({"Content-Security-Policy": POLICY, **PRIVATE})
            await send(message)

        await self.app(scope, receive, with_headers)
