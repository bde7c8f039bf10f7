"""`POST /v1/maps`, `GET /v1/models` and the two probes. Handlers parse and hand over; threads do the work."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Request, Response

from app.api import examples
from app.api.fields import EngineDep, Heads, Layers, Models, TrioName, Upload, Words
from app.api.maps import answer
from app.engine import MapsRequest
from app.engine.bodies import ModelsBody, trios_body
from app.failures import NotReadyError
from app.web.clients import gone
from app.web.negotiation import JSON, NPZ, ZIP, preferred
from app.web.openapi import problems

router = APIRouter()

_FILE_NAMES = {NPZ: "maps.npz", ZIP: "maps.zip"}


Accept = Annotated[str | None, Header(include_in_schema=False)]


@router.post(
    "/v1/maps",
    operation_id="create_maps",
    tags=["maps"],
    summary="Where teacher, LFI student and baseline look for words in an image",
    response_class=Response,
    responses={200: examples.MAPS, **problems(400, 406, 413, 415, 422, 500, 503)},
)
async def create_maps(
    request: Request,
    engine: EngineDep,
    image: Upload,
    words: Words,
    models: Models = [],  # noqa: B006 -- FastAPI copies it
    layers: Layers = [],  # noqa: B006
    heads: Heads = False,
    trio: TrioName = "",
    accept: Accept = None,
) -> Response:
    """One image and some words in; raw maps of every model and layer out, or a zip of overlays (`Accept`)."""
    media_type = preferred(accept)
    wanted = MapsRequest.from_fields(engine.settings.word_limits, words, models, layers, trio, heads)
    work = partial(answer, engine, wanted, image.file, media_type)
    content = await engine.admission.run(work, partial(gone, request.receive))
    headers = {"Vary": "Accept", "Cache-Control": "no-store"}
    if media_type in _FILE_NAMES:
        headers["Content-Disposition"] = f'attachment; filename="{_FILE_NAMES[media_type]}"'
    return Response(content, media_type=media_type, headers=headers)


@router.get(
    "/v1/models",
    operation_id="list_models",
    tags=["models"],
    summary="Trios with their cards, layers and vocabulary",
    response_model=ModelsBody,
    responses={200: examples.MODELS, **problems(503)},
)
async def list_models(engine: EngineDep) -> Response:
    """What can be asked: every trio, what its models are and were trained on, and the words it knows."""
    return _json(trios_body(engine.trios))


@router.get("/healthz", operation_id="get_health", tags=["probes"], summary="Is the process alive?")
async def get_health() -> dict[str, str]:
    """Answers as long as the process can answer at all."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    operation_id="get_readiness",
    tags=["probes"],
    summary="Are the models warm, and can studies be stored?",
    responses=problems(503),
)
async def get_readiness(request: Request, engine: EngineDep) -> dict[str, str]:
    """503 with `Retry-After` until every model is loaded and has answered once, and while studies cannot be stored."""
    if not engine.trios.ready:
        engine.trios.get()
        raise NotReadyError("the models are still warming up; try again in a moment")
    await request.app.state.check_storage()
    return {"status": "ready"}


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)
