"""Two tools for agents, over streamable HTTP without sessions: `describe_models` and `interaction_maps`.

The limits are those of the API. Pages of other sites get nothing (`Host` and `Origin` are checked), also where a name
is rebound to this machine's address.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from functools import partial
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import Field
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.agents.numbers import NumbersBody, OverlayBody, word_body
from app.engine import Engine, File, MapsRequest, Turn
from app.engine.bodies import ModelsBody, trios_body
from app.engine.downloads import overlay_files
from app.engine.kept import KeptPictures
from app.settings import Settings
from app.web.clients import gone
from evaluation.scores import score
from lfi.errors import ConfigError, ImageError, LFIError

PATH = "/mcp"
MOST_OVERLAYS = 12
"""Pictures in one answer: each costs an agent as much as a page of text."""
_SIDE = 384
"""Longest side of a picture."""
_SHA256 = re.compile("[0-9a-fA-F]{64}")
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_READING = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
_INSTRUCTIONS = (
    "Shows where models look for a word in an image: a vision-language teacher, an LFI student that learned the "
    "teacher's interactions, and a baseline that learned only its results. Call describe_models first: a trio may know "
    "only a few words."
)

Image = Annotated[
    str,
    Field(
        description="The image file, base64 or a data URL: JPEG, PNG, WebP, GIF, AVIF or HEIC. Or the SHA-256 (64 hex "
        "digits) of a picture that somebody keeps here for a link: what stands after `image=` in the link."
    ),
]
Words = Annotated[list[str], Field(description="Words or short phrases, such as 'red circle'; articles are left out.")]
Models = Annotated[
    list[str], Field(description="Some of teacher, lfi, baseline, or an explanation that describe_models lists.")
]
TrioName = Annotated[str, Field(description="A trio of describe_models; the default one where empty.")]
Overlays = Annotated[bool, Field(description=f"Also send the maps as pictures, at most {MOST_OVERLAYS}.")]


def agent_server(engine: Engine, version: str) -> MCPServer:
    """The tools over this engine."""
    logging.getLogger("mcp").setLevel(logging.WARNING)  # below that it would log people's words
    server = MCPServer(
        "lfi", title="Learning from Interactions", instructions=_INSTRUCTIONS, version=version, log_level="WARNING"
    )

    @server.tool(annotations=_READING)
    async def describe_models() -> ModelsBody:
        """The trios of models that can be asked: what each model is and learned from, its limits, layers and words."""
        try:
            return ModelsBody.model_validate(trios_body(engine.trios))
        except LFIError as error:
            raise ToolError(str(error)) from error

    @server.tool(annotations=_READING)
    async def interaction_maps(
        image: Image,
        words: Words,
        context: Context,
        models: Models = [],  # noqa: B006 -- pydantic copies it
        trio: TrioName = "",
        overlays: Overlays = True,
    ) -> Annotated[CallToolResult, NumbersBody]:
        """Where each model looks for each word in an image: numbers for every model, and overlays as pictures."""
        try:
            request = MapsRequest.from_fields(engine.settings.word_limits, words, models, trio=trio)
            asked = context.request_context.request
            assert asked is not None  # over HTTP there always is one
            work = partial(_answer, engine, request, image, overlays)
            return await engine.admission.run(work, partial(gone, asked.receive))
        except LFIError as error:
            raise ToolError(str(error)) from error

    return server


def agent_route(server: MCPServer, settings: Settings) -> Route:
    """The route of the tools. `server.session_manager.run()` must be entered while it is served."""
    names = [*_LOCAL, *settings.mcp_hosts]
    if settings.host not in ("0.0.0.0", "::"):
        names.append(settings.host)
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[each for name in names for each in (name, f"{name}:*")],
        allowed_origins=[
            *(each for name in _LOCAL for each in (f"http://{name}", f"http://{name}:*")),
            *(f"https://{name}" for name in settings.mcp_hosts),
            *settings.cors_origins,
        ],
    )
    (route,) = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=settings.max_agent_body,
        transport_security=security,
    ).routes
    assert isinstance(route, Route)
    # Without sessions there is nothing to listen to or to end; a GET would hold a connection open for good.
    return Route(
        PATH,
        _Complete(route.endpoint),
        methods=["POST"],
        include_in_schema=False,
        max_body_size=settings.max_agent_body,
    )


class _Complete:
    """Waits for the whole request: the protocol's SDK takes a client that goes meanwhile for a fault of ours."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[Message] = []
        while not parts or parts[-1].get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message)

        async def again() -> Message:
            return parts.pop(0) if parts else await receive()

        await self.app(scope, again, send)


def _answer(engine: Engine, request: MapsRequest, image: str, overlays: bool, turn: Turn) -> CallToolResult:
    file = File(_bytes(image, engine.kept))
    picture = engine.open(file, request, turn, side=_SIDE if overlays else None)
    models = engine.trios.get(request.trio).ordered(request.models)
    count = len(request.words) * len(models) if overlays else 0
    if count > MOST_OVERLAYS:
        raise ConfigError(
            f"{count} pictures would be sent; at most {MOST_OVERLAYS} are: "
            "ask for fewer words or models, or with overlays=false"
        )
    comparison = engine.ask(picture, request, turn)
    turn.check()
    numbers = NumbersBody(
        trio=request.trio or engine.trios.default,
        width=picture.size[0],
        height=picture.size[1],
        note=picture.note,
        words=[word_body(each, comparison) for each in score(comparison)],
        overlays=[
            OverlayBody(model=model, word=word) for model in comparison.maps for word in comparison.words if overlays
        ],
    )
    content: list[ContentBlock] = [TextContent(text=numbers.model_dump_json())]
    if overlays:
        for _, data in overlay_files(comparison, picture.drawn, _SIDE):
            content.append(ImageContent(data=base64.b64encode(data).decode(), mime_type="image/webp"))
    return CallToolResult(content=content, structured_content=numbers.model_dump(mode="json"))


def _bytes(image: str, kept: KeptPictures) -> bytes:
    """The file of base64, a data URL or the SHA-256 of a kept picture; no image is so small that the two look alike.

    Raises:
        ImageError: it is none of them, or no such picture is kept.
    """
    text = image.strip()
    if _SHA256.fullmatch(text):
        stored = kept.get(text.lower())
        if stored is None:
            raise ImageError(
                f"no image with the SHA-256 {text.lower()[:12]}... is kept here (any more): "
                "send the image itself, or keep it again on the page"
            )
        return stored
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ImageError("the data URL is not base64; data:image/png;base64,... was expected")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("the image is neither base64 nor a data URL, nor the SHA-256 of a kept picture") from error
