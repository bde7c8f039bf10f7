"""`/v1/batches`: many images at once. Send them, follow their progress, fetch gallery, scores and maps, delete them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Literal

import anyio
import orjson
from fastapi import APIRouter, Depends, File, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.api.fields import Models, TrioName, Words
from app.batch.figure import FigureRequest, batch_figure
from app.batch.folder import scores_csv
from app.batch.gallery import page_policy
from app.batch.page import POLICY, batch_page
from app.batch.status import BatchBody, ScoresBody, batch_body, in_order, scores_body
from app.batch.store import DELETED, Batch, Batches
from app.batch.uploads import Upload
from app.engine import MapsRequest
from app.failures import NothingHereError
from app.web.negotiation import JSON, ZIP
from app.web.openapi import problems


class SendingRoute(APIRoute):
    """Holds a place and room on disk before the first byte of a body is stored."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def held(request: Request) -> Response:
            batches: Batches = request.app.state.batches
            most, said = batches.settings.max_batch_body, request.headers.get("content-length", "")
            size = min(int(said), most) if said.isdigit() else most
            with batches.receiving(request.scope["lfi.sender"], size):
                return await handle(request)

        return held


class ResultFile(FileResponse):
    """A file of a batch that is over, unless somebody deletes the batch first."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except RuntimeError as error:  # Starlette's word for a file that is not there
            if await anyio.Path(self.path).exists():
                raise
            raise NothingHereError(DELETED) from error


router = APIRouter(tags=["batches"])
_sending = APIRouter(route_class=SendingRoute)

_PRIVATE = {"Cache-Control": "no-store"}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FIGURES = {"pdf": "application/pdf", "svg": "image/svg+xml", "png": "image/png", "zip": ZIP}


async def get_batches(request: Request) -> Batches:
    """This application's batches."""
    return request.app.state.batches


BatchesDep = Annotated[Batches, Depends(get_batches)]


async def get_batch(request: Request, batches: BatchesDep, id: str) -> Batch:
    """The batch that the path names, where it was sent with the same key."""
    return batches.get(id, request.scope["lfi.key"])


BatchDep = Annotated[Batch, Depends(get_batch)]
FigureSuffix = Literal["pdf", "svg", "png", "zip"]
FigureQuery = Annotated[FigureRequest, Query()]
Files = Annotated[list[UploadFile], File(description="Images, or one zip of them (folders in it are fine).")]


@router.get("/batch", include_in_schema=False)
async def show_page(batches: BatchesDep) -> Response:
    """The page on top of what follows."""
    return HTMLResponse(batch_page(batches.settings), headers={"Content-Security-Policy": POLICY})


@_sending.post(
    "/v1/batches",
    operation_id="create_batch",
    summary="Ask the same words of many images",
    status_code=202,
    response_model=BatchBody,
    responses=problems(400, 413, 422, 429, 500, 503),
)
async def create_batch(
    request: Request,
    batches: BatchesDep,
    images: Files,
    words: Words,
    models: Models = [],  # noqa: B006 -- FastAPI copies it
    trio: TrioName = "",
) -> Response:
    """Takes images and answers immediately with an id. The upload is deleted when the batch is finished."""
    asked = MapsRequest.from_fields(batches.settings.word_limits, words, models, trio=trio)
    uploads = [Upload(image.filename or "", image.file) for image in images]
    whose = request.scope["lfi.key"], request.scope["lfi.sender"]
    batch = await anyio.to_thread.run_sync(batches.store, asked, uploads, *whose)
    batches.admit(batch)
    return _status(batches, batch, 202)


router.include_router(_sending)


@router.get(
    "/v1/batches/{id}",
    operation_id="get_batch",
    summary="Progress of a batch",
    response_model=BatchBody,
    responses=problems(404),
)
async def show_batch(batches: BatchesDep, batch: BatchDep) -> Response:
    """Progress, time left, and what could not be read."""
    return _status(batches, batch)


@router.post(
    "/v1/batches/{id}/stop",
    operation_id="stop_batch",
    summary="Stop it and keep what is done",
    response_model=BatchBody,
    responses=problems(404),
)
async def stop_batch(batches: BatchesDep, batch: BatchDep) -> Response:
    """The current image is finished first; gallery, scores and maps then cover what is done."""
    await batches.stop(batch)
    return _status(batches, batch)


@router.delete(
    "/v1/batches/{id}",
    operation_id="delete_batch",
    summary="Cancel it and delete everything of it",
    status_code=204,
    responses=problems(404),
)
async def delete_batch(batches: BatchesDep, batch: BatchDep) -> Response:
    """Images, scores and maps are gone afterwards."""
    await batches.delete(batch)
    return Response(status_code=204)


@router.get(
    "/v1/batches/{id}/scores.json",
    operation_id="get_batch_scores",
    summary="Scores as JSON",
    response_model=ScoresBody,
    responses=problems(404),
)
async def show_scores(batch: BatchDep) -> Response:
    """Of what is done."""
    return Response(orjson.dumps(scores_body(batch)), media_type=JSON, headers=_PRIVATE)


@router.get(
    "/v1/batches/{id}/scores.csv",
    operation_id="get_batch_table",
    summary="Scores as a table",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}, **problems(404)},
)
async def show_table(batch: BatchDep) -> Response:
    """Of what is done, images that could not be read with them."""
    table = scores_csv(in_order(batch), batch.folder.asked.models)
    return Response(table, media_type="text/csv", headers=_PRIVATE | _attached("scores.csv"))


@router.get(
    "/v1/batches/{id}/gallery",
    operation_id="get_batch_gallery",
    summary="All maps on one page",
    response_class=HTMLResponse,
    responses=problems(404),
)
async def show_gallery(batches: BatchesDep, batch: BatchDep) -> Response:
    """Of what is done. The page needs nothing else and can be saved."""
    headers = _PRIVATE | {"Content-Security-Policy": page_policy(), "X-Frame-Options": "SAMEORIGIN"}
    if batch.ended is not None and batch.packed:
        return ResultFile(batch.folder.path / "index.html", media_type="text/html", headers=headers)
    return HTMLResponse(await batches.gallery(batch), headers=headers)


@router.get(
    "/v1/batches/{id}/figure.{suffix}",
    operation_id="get_batch_figure",
    summary="Rows of the gallery as one figure for a paper",
    response_class=Response,
    responses={200: {"content": dict.fromkeys(_FIGURES.values(), _BINARY)}, **problems(404, 422)},
)
async def show_figure(batches: BatchesDep, batch: BatchDep, suffix: FigureSuffix, asked: FigureQuery) -> Response:
    """Of what is done: a row for an image and a word, columns for the image and the models, one colour scale.

    The zip has the figure in the `format` asked for, its caption in LaTeX, and `provenance.json`.
    """
    wanted = asked if suffix == "zip" else asked.model_copy(update={"format": suffix})
    names = [record.name for record in in_order(batch)]
    figure = await batches.draw(batch, partial(batch_figure, batch.folder, names, wanted))
    data = figure.zipped() if suffix == "zip" else figure.drawn
    return Response(data, media_type=_FIGURES[suffix], headers=_PRIVATE | _attached(f"figure.{suffix}"))


@router.get(
    "/v1/batches/{id}/batch.zip",
    operation_id="get_batch_archive",
    summary="Gallery, scores and raw maps in one file",
    response_class=Response,
    responses={200: {"content": {ZIP: _BINARY}}, **problems(404)},
)
async def show_archive(batch: BatchDep) -> Response:
    """Once the batch is finished: what `lfi batch` writes."""
    if batch.ended is None or not batch.packed:
        done, total = batch.done, len(batch.images.names)
        raise NothingHereError(f"the zip is made when the batch is finished; {done} of {total} images are done")
    return ResultFile(batch.place / "batch.zip", media_type=ZIP, headers=_PRIVATE | _attached("batch.zip"))


def _status(batches: Batches, batch: Batch, status: int = 200) -> Response:
    settings = batches.settings
    body = batch_body(batch, batches.ahead(batch), settings.root_path, settings.batch_seconds)
    headers = dict(_PRIVATE)
    if status == 202:
        headers["Location"] = body["links"]["status"]
    return Response(orjson.dumps(body), status_code=status, media_type=JSON, headers=headers)


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
