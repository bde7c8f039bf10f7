"""`GET /v1/images/HASH`: an image that somebody keeps to share it. Keeping and deleting happen on the page."""

from __future__ import annotations

import anyio
from fastapi import APIRouter, Request, Response

from app.api import examples
from app.failures import NothingHereError
from app.web.openapi import problems

router = APIRouter()


@router.get(
    "/v1/images/{hash}",
    operation_id="get_image",
    tags=["images"],
    summary="A picture that somebody keeps to share it",
    response_class=Response,
    responses={200: examples.WEBP, **problems(404)},
)
async def get_image(request: Request, hash: str) -> Response:
    """The picture as WebP while it is kept: upright and without metadata."""
    data = await anyio.to_thread.run_sync(request.app.state.engine.kept.get, hash)
    if data is None:
        raise NothingHereError("no image with this hash is kept here")
    return Response(data, media_type="image/webp", headers={"Cache-Control": "private, no-store"})
