"""The service: API, page and static files in one application. `create_app` is what `lfi serve` runs."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

import anyio
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr

from app.access import signin
from app.access.gate import Gate
from app.access.keyring import Keyring, keys_are_asked_for
from app.access.openapi import describe_gate
from app.access.rates import Rates
from app.access.study_rates import StudyRates
from app.agents.server import PATH as AGENTS
from app.agents.server import agent_route, agent_server
from app.api import kept_routes, routes
from app.batch import routes as batch_routes
from app.batch.store import Batches
from app.engine import Engine
from app.engine.kept import KeptPictures
from app.settings import Settings, read_settings
from app.study import owner_routes
from app.study import routes as study_routes
from app.study.owner_session import HOURS
from app.study.service import Studies
from app.study.shell import PATH as STUDY_PAGE
from app.study.shell import StudyMount, StudyShell, build_study
from app.telemetry import metrics as metrics_routes
from app.telemetry.metrics import Metrics
from app.telemetry.requests import RequestLog
from app.telemetry.traces import telemetry_config, tracer_provider
from app.ui import build_inspector, page_head
from app.web.assets import FreshFiles
from app.web.edge import PageHead, PublishedPath, SecurityHeaders
from app.web.openapi import describe_problems
from app.web.page_queue import PageQueue
from app.web.problems import PlainErrorsAsProblems, install_problems
from app.web.sessions import Sessions

log = logging.getLogger("lfi")

PAGE = "/ui"
_QUEUE = 64
"""Events of the page that may wait at a time; any more are told that the service is busy."""
_QUEUE_SECONDS = 0.01
"""How long such an event lies at most before it is seen."""

_PATIENCE = 5.0
"""Seconds that a request waits for the studies' database."""
_SWEEP_SECONDS = 600

_READABLE = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy")
"""Headers that scripts of listed origins may read."""

# Samples and looks, and nothing else: weights and cards are served by nobody.
_STATIC_FOLDERS = ("css", "js", "samples")


class Service(FastAPI):
    """FastAPI with a layer outside of its body limit, which answers for itself in plain text."""

    def build_middleware_stack(self) -> ASGIApp:
        root = self.state.settings.root_path
        stack: ASGIApp = PlainErrorsAsProblems(super().build_middleware_stack(), page=PAGE)
        stack = PageHead(stack, PAGE, page_head(self.state.settings))
        stack = SecurityHeaders(stack, page=PAGE)
        return PublishedPath(RequestLog(stack, self.state.metrics, root), root)


def create_app(settings: Settings | None = None, on_failure: Callable[[], None] | None = None) -> FastAPI:
    """The application. Its models are loaded in a thread once it runs; `/readyz` says when they are warm.

    Args:
        on_failure: called where the default trio cannot be loaded; without it the service stays unready.

    Raises:
        ConfigError: a setting in the environment is out of range, or other machines could ask without a key.
    """
    settings = settings or read_settings()
    asked_for = keys_are_asked_for(settings.auth, settings.keys, settings.host)
    metrics = Metrics()
    engine = Engine(settings, metrics)
    provider = tracer_provider(settings.otlp_endpoint) if settings.otlp_endpoint else None
    app = Service(
        title="Learning from Interactions",
        summary="Where a vision-language teacher, the LFI student and a result-oriented baseline look.",
        version=version("learning-from-interactions"),
        lifespan=_lifespan,
        max_body_size=settings.max_body,
        docs_url=None,  # both load their scripts from another host
        redoc_url=None,
        telemetry=telemetry_config(provider),
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.tracer_provider = provider
    app.state.keyring = Keyring(settings.keys) if asked_for else None
    app.state.engine = engine
    app.state.batches = Batches(engine)
    app.state.agents = agent_server(engine, app.version)
    app.state.studies = Studies(settings, patience=_PATIENCE)
    app.state.owner_sessions = Sessions(HOURS)
    app.state.check_storage = partial(_check_storage, app)
    app.state.on_failure = on_failure
    app.add_middleware(PageQueue, page=PAGE)  # behind the gate
    app.add_middleware(
        Gate,
        keyring=app.state.keyring,
        rates=Rates(settings.rates),
        metrics=metrics,
        published=settings.root_path,
        page=PAGE,
        agents=AGENTS,
        study_rates=StudyRates(settings.study_rate, settings.study_browser_rate, study_routes.COOKIE),
        origins=settings.cors_origins,
    )
    # Present even when it allows nobody: without it the mounted page would answer every origin. Outside of the gate, so
    # that a listed origin can read why it was refused.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("Authorization", "X-API-Key", "X-Request-ID"),
        expose_headers=_READABLE if settings.cors_origins else (),
    )
    install_problems(app)
    describe_problems(app)
    describe_gate(app)
    app.include_router(routes.router)
    app.include_router(metrics_routes.router)
    app.include_router(signin.router)
    app.include_router(batch_routes.router, max_body_size=settings.max_batch_body)
    app.include_router(kept_routes.router)
    app.include_router(study_routes.router)
    app.include_router(owner_routes.router)
    app.add_api_route("/", _to_page, include_in_schema=False)
    app.add_api_route("/favicon.ico", _icon, include_in_schema=False)
    app.add_api_route("/icon.png", _large_icon, include_in_schema=False)
    app.add_api_route("/manifest.json", _manifest, include_in_schema=False)
    for name in _STATIC_FOLDERS:
        folder = FreshFiles(directory=settings.static_dir / name, check_dir=False)
        app.mount(f"/static/{name}", folder, name=f"static-{name}")
    # The page's framework would store whatever anybody uploads there; our page sends pictures along with its questions.
    for end in ("upload", "upload/"):
        app.add_api_route(f"{PAGE}/gradio_api/{end}", _not_stored, methods=["POST"], include_in_schema=False)
    app.router.routes.append(agent_route(app.state.agents, settings))
    _mount(app, build_inspector(engine), PAGE, settings)
    if settings.study_page == "gradio":
        mount = _mount(app, build_study(settings), STUDY_PAGE, settings)
        app.router.routes[-1] = StudyMount(mount.path, StudyShell(mount.app, settings))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with app.state.agents.session_manager.run(), anyio.create_task_group() as tasks:
        tasks.start_soon(_warm, app)
        tasks.start_soon(app.state.batches.work)
        tasks.start_soon(_sweep, app.state.engine.kept)
        yield
        app.state.studies.close()
        if app.state.tracer_provider is not None:
            await anyio.to_thread.run_sync(app.state.tracer_provider.shutdown)
        tasks.cancel_scope.cancel()
    app.state.batches.close()


async def _check_storage(app: FastAPI) -> None:
    studies: Studies = app.state.studies
    await studies.readers.run(studies.check)


async def _warm(app: FastAPI) -> None:
    try:
        await app.state.engine.warm()
    except Exception:  # as in `_sweep`
        log.exception("the models cannot be loaded")
    if app.state.on_failure is not None and not app.state.engine.trios.ready:
        app.state.on_failure()


async def _sweep(kept: KeptPictures) -> None:
    """Kept images are deleted when they expire, whether or not somebody asks for them."""
    while True:
        try:
            await anyio.to_thread.run_sync(kept.sweep)
        except Exception:  # it would end the tasks beside it, too
            log.exception("kept pictures cannot be swept")
        await anyio.sleep(_SWEEP_SECONDS)


async def _to_page(request: Request) -> RedirectResponse:
    """Under the path that we are published under, with or without its slash; relative where nobody said which."""
    return RedirectResponse((request.app.state.settings.root_path or ".") + PAGE + "/")


async def _icon(request: Request) -> FileResponse:
    """Browsers ask for it at the root, wherever the page is."""
    return FileResponse(request.app.state.settings.static_dir / "favicon.svg", media_type="image/svg+xml")


async def _large_icon(request: Request) -> FileResponse:
    return FileResponse(request.app.state.settings.static_dir / "icon.png", media_type="image/png")


async def _manifest() -> JSONResponse:
    """What a browser needs to install the page; its addresses are relative to this one."""
    icons = [
        {"src": "favicon.ico", "sizes": "any", "type": "image/svg+xml"},
        {"src": "icon.png", "sizes": "512x512", "type": "image/png"},
    ]
    said = {"name": "LFI Inspector", "short_name": "LFI", "start_url": f".{PAGE}/", "scope": "./"}
    looks = {"display": "standalone", "background_color": "#f8f7f3", "theme_color": "#0f5575"}
    return JSONResponse({**said, **looks, "icons": icons}, media_type="application/manifest+json")


async def _not_stored() -> None:
    raise HTTPException(404)


def _mount(app: FastAPI, blocks: gr.Blocks, path: str, settings: Settings) -> Mount:
    """Mount a page of Gradio; the route that leads to it."""
    blocks.queue(max_size=_QUEUE, api_open=False)
    # By itself it wakes the event loop a thousand times a second to see whether the page has asked for something.
    blocks._queue.sleep_when_free = _QUEUE_SECONDS
    gr.mount_gradio_app(
        app,
        blocks,
        path=path,
        root_path=settings.root_path + path if settings.root_path else None,
        server_name=settings.host,
        server_port=settings.port,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        allowed_paths=[],
        max_file_size=settings.max_bytes,
        run_history=False,
        footer_links=[],
    )
    mount = app.router.routes[-1]
    assert isinstance(mount, Mount)
    return mount
