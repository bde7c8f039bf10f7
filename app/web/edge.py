"""What wraps the whole application: the path a proxy publishes it under, headers on every answer, the page's head."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.holding import hold_back

_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "SAMEORIGIN",
}
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Gradio's page runs inline scripts and compiles some; what matters is that nothing goes to another host.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "frame-ancestors 'self'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


# Gradio's, at the host's root: behind a proxy somebody else's, or nobody's.
_FOREIGN_MANIFEST = b'<link rel="manifest" href="/manifest.json" />'


class PublishedPath:
    """Sets `root_path`, and makes `path` begin with it, whether or not the proxy strips the prefix.

    ASGI requires this; otherwise everything mounted (the page, the static files) is not found behind a proxy
    that strips the prefix.
    """

    def __init__(self, app: ASGIApp, root: str):
        self.app = app
        self.root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.root and scope["type"] in ("http", "websocket"):
            path = scope["path"]
            if path == self.root:  # without its slash it is the root all the same
                path += "/"
            inside = path.startswith(self.root + "/")
            scope = {**scope, "root_path": self.root, "path": path if inside else self.root + path}
        await self.app(scope, receive, send)


class SecurityHeaders:
    """Headers that forbid sniffing, framing by others, and any request of a page to another host."""

    def __init__(self, app: ASGIApp, page: str):
        self.app = app
        self.page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        below = scope["path"].removeprefix(scope.get("root_path", ""))
        policy = _PAGE_POLICY if below == self.page or below.startswith(self.page + "/") else _API_POLICY

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**_COMMON, "Content-Security-Policy": policy}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)


class PageHead:
    """Puts markup at the start of the page's head. Gradio adds what it is given by script, after the first paint.

    Args:
        markup: elements that may stand in a head.
    """

    def __init__(self, app: ASGIApp, page: str, markup: str):
        self.app = app
        self.page = page
        self.markup = markup.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "GET" or below != self.page + "/":
            await self.app(scope, receive, send)
            return

        async def with_markup(start: Message, html: bytes) -> None:
            html = html.replace(_FOREIGN_MANIFEST, b"").replace(b"<head>", b"<head>" + self.markup, 1)
            MutableHeaders(scope=start)["Content-Length"] = str(len(html))
            await send(start)
            await send({"type": "http.response.body", "body": html})

        await hold_back(self.app, scope, receive, send, _is_plain_html, with_markup)


def _is_plain_html(message: Message) -> bool:
    headers = MutableHeaders(scope=message)
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
