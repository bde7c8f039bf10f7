"""The inspector page: a picture, words, and where three models look for them, side by side.

Gradio carries the page (`gr.HTML` with server functions); its markup is `inspector.html`, its looks and
behaviour are in `static/css` and `static/js`. All state lives in the page and goes along with every question.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import gradio as gr

from app.engine import Engine, Turn
from app.failures import BusyError, GoneError, LateError
from app.settings import Settings
from app.ui.handlers import Handlers
from app.ui.samples import load_samples
from app.web.assets import ICON, MANIFEST, early_script, preloads, start_script, style
from app.web.clients import gone
from app.web.page_queue import begin

_PARTS = ("frame", "controls", "picture", "words", "maps", "reel", "closer", "film", "zoom", "guide", "share", "about")
EARLY_STYLES = ("tokens", "inspector/page")
STYLES = tuple(f"inspector/{part}" for part in _PARTS)
MODULE = "inspector"


def build_inspector(engine: Engine) -> gr.Blocks:
    """The page, to be mounted in the service.

    Raises:
        DataError: the list of sample pictures names a file that is not there.
    """
    static = engine.settings.static_dir
    handlers = Handlers(engine, load_samples(static / "samples"))

    async def describe(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await at_once(handlers.describe, request)

    async def check(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await at_once(partial(handlers.check, payload), request)

    async def compare(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await admitted(engine, partial(handlers.compare, payload), request)

    async def download(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await admitted(engine, partial(handlers.download, payload), request)

    async def measure(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await admitted(engine, partial(handlers.measure, payload), request)

    async def rank(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await admitted(engine, partial(handlers.rank, payload), request)

    async def keep(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await admitted(engine, partial(handlers.keep, payload), request)

    async def forget(payload: Any, request: gr.Request) -> dict[str, Any]:
        return await at_once(partial(handlers.forget, payload), request)

    with gr.Blocks(title="LFI Inspector", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(
            Path(__file__).with_suffix(".html").read_text(encoding="utf-8"),
            head=style(static, STYLES),
            js_on_load=start_script("../", MODULE),
            apply_default_css=False,
            server_functions=[describe, check, compare, download, measure, rank, keep, forget],
        )
    return page


def page_head(settings: Settings) -> str:
    """What stands in the page's head before anything is painted: its icon, dark or light, scripts and ground."""
    static = settings.static_dir
    scripts = early_script(static, "theme") + preloads(static, "../", MODULE)
    return ICON + MANIFEST + scripts + style(static, EARLY_STYLES)


async def at_once(step: Callable[[], dict[str, Any]], request: gr.Request) -> dict[str, Any]:
    """The step's answer, from a thread."""
    begin(request.scope)
    return await anyio.to_thread.run_sync(step)


async def admitted(
    engine: Engine, step: Callable[[Turn], dict[str, Any]], request: gr.Request | None = None
) -> dict[str, Any]:
    """The step's answer, from a thread; a refusal where too many requests wait or this one has waited too long.

    Args:
        request: of a browser, which may go.
    """
    if request is not None:
        begin(request.scope)
    try:
        return await engine.admission.run(step, None if request is None else partial(gone, request.receive))
    except (BusyError, GoneError, LateError) as error:
        return {"error": {"where": "page", "message": str(error), "retry": True}}
