"""`/admin`: the part of the service for those who run studies. Without LFI_ADMIN_TOKEN or LFI_OWNERS it is not there.

Signing in gives a signed cookie that ends after twelve hours, on signing out, or when the service restarts; every act
is a form that carries a value derived from the cookie and comes from our own origin.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from app.api.fields import EngineDep
from app.failures import NothingHereError, StudyError, kind_of
from app.study.export import FILES, PERSONAL, export_study
from app.study.items import add_items, editable_drafts
from app.study.overview import list_studies
from app.study.owner import delete_person, exclude, set_status
from app.study.owner_page import list_page, live_part, login_page, owner_page
from app.study.owner_session import COOKIE, HOURS, Owner, OwnerDep
from app.study.progress import progress_of
from app.study.raters import invitation_address, invite
from app.study.report import POLICY, owners_report
from app.study.thumbnails import thumbnail
from app.web.forms import read_form
from app.web.negotiation import prefers_page
from app.web.pages import PRIVATE, page, root_of
from lfi.errors import LFIError

router = APIRouter(prefix="/admin", include_in_schema=False)


@router.get("")
async def studies_page(owner: OwnerDep) -> Response:
    """All studies, or the way in."""
    if not owner.signed_in:
        return page(login_page(""))
    try:
        found = await owner.studies.readers.run(list_studies, owner.studies)
    except NothingHereError:
        found = []
    return page(list_page("", owner.viewer, found))


@router.post("/login")
async def login(owner: OwnerDep) -> Response:
    """In with the token."""
    fields = await read_form(owner.request)
    account = owner.of_token(fields.get("token", ""))
    if account is None:
        await anyio.sleep(1)  # slows down guessing
        return page(login_page("../", "That is not the token."), 403)
    answer = RedirectResponse("../admin", 303, PRIVATE)
    path = root_of(owner.request) + "/admin"
    secure = owner.request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, owner.new_cookie(account), HOURS * 3600, path=path, secure=secure, httponly=True, samesite="strict"
    )
    return answer


@router.post("/logout")
async def logout(owner: OwnerDep) -> Response:
    """Out again."""
    await owner.form(looks=True)
    owner.leave()
    answer = RedirectResponse("../admin", 303, PRIVATE)
    answer.delete_cookie(COOKIE, path=root_of(owner.request) + "/admin")
    return answer


@router.get("/drafts.json")  # no study has a dot in its name
async def drafts(owner: OwnerDep) -> Response:
    """For the inspector's page: which drafts it can add to, and what its form carries; nothing for everybody else."""
    try:
        names = await owner.studies.readers.run(editable_drafts, owner.studies) if owner.runs else []
    except NothingHereError:
        names = []
    return JSONResponse({"drafts": names, "csrf": owner.csrf if names else ""}, headers=PRIVATE)


@router.get("/{name}")
async def study_page(owner: OwnerDep, name: str) -> Response:
    """One study."""
    if not owner.signed_in:
        return page(login_page("../"), 403)
    progress = await owner.studies.readers.run(progress_of, owner.studies, name)
    return page(owner_page("../", owner.viewer, progress))


@router.get("/{name}/live")
async def live(owner: OwnerDep, name: str) -> Response:
    """Its figures alone, for the page to renew them."""
    owner.check()
    now = await owner.studies.readers.run(progress_of, owner.studies, name)
    return page(live_part(f"{root_of(owner.request)}/", owner.viewer, now))


@router.get("/{name}/drawing")
def drawing(owner: OwnerDep, name: str) -> Response:
    """How far the maps of a draft are that somebody waits for; null while nothing is drawn."""
    owner.check()
    now = owner.studies.drawings.now(name)
    return JSONResponse(now and asdict(now), headers=PRIVATE)


@router.get("/{name}/maps/{item}/{condition}")
async def map_of_cell(owner: OwnerDep, name: str, item: str, condition: str) -> Response:
    """What raters see in a cell, small."""
    owner.check()
    data = await owner.studies.readers.run(thumbnail, owner.studies, name, item, condition)
    return Response(data, media_type="image/webp", headers={**PRIVATE, "Cache-Control": "private, max-age=3600"})


@router.post("/{name}/status")
async def status(owner: OwnerDep, name: str) -> Response:
    """Open, pause, close."""
    fields = await owner.form()
    return await _act(owner, name, set_status, name, fields.get("status", ""), owner.name, fields.get("plan", ""))


@router.post("/{name}/items")
async def items(owner: OwnerDep, engine: EngineDep, name: str, accept: Annotated[str, Header()] = "") -> Response:
    """Add the items of a zip to a draft: its page again for a form, the counts for the inspector's page."""
    data = await owner.file()
    add = partial(add_items, owner.studies, name, data, engine, owner.name)
    try:
        found = await engine.admission.run(add)
    except LFIError as error:
        if not prefers_page(accept):
            raise
        return await owner.studies.readers.run(_refused, owner, name, error)
    if not prefers_page(accept):
        return JSONResponse(asdict(found), headers=PRIVATE)
    known = f" {found.known} were there already." if found.known else ""
    progress = await owner.studies.readers.run(progress_of, owner.studies, name)
    return page(owner_page("../../", owner.viewer, progress, said=f"Items added: {found.added}.{known}"))


@router.post("/{name}/exclude")
async def exclude_rater(owner: OwnerDep, name: str) -> Response:
    """Let a rater not count."""
    fields = await owner.form()
    return await _act(owner, name, exclude, name, fields.get("code", "").strip(), fields.get("reason", ""), owner.name)


@router.post("/{name}/delete")
async def delete_rater(owner: OwnerDep, name: str) -> Response:
    """Delete one person's data."""
    fields = await owner.form()
    if fields.get("sure") != "yes":
        raise StudyError("tick the box that confirms the deletion")
    return await _act(owner, name, delete_person, name, fields.get("code", "").strip(), owner.name)


@router.post("/{name}/invite")
async def invite_raters(owner: OwnerDep, name: str) -> Response:
    """Invitations as CSV."""
    fields = await owner.form()
    count = fields.get("count", "")
    try:
        base = invitation_address(owner.studies.settings, str(owner.request.base_url))
        made = await owner.studies.writers.run(invite, owner.studies, name, _whole(count), owner.name)
    except LFIError as error:
        return await owner.studies.readers.run(_refused, owner, name, error)
    text = io.StringIO()
    csv.writer(text).writerows([("code", "link"), *((each.code, f"{base}/s/{each.token}") for each in made)])
    headers = {"Content-Disposition": f'attachment; filename="{name}-invitations.csv"', **PRIVATE}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


@router.post("/{name}/preview")
async def preview(owner: OwnerDep, name: str) -> Response:
    """The study as a rater sees it, in this browser."""
    await owner.form()
    made = await owner.studies.writers.run(invite, owner.studies, name, 1, owner.name, True)
    return RedirectResponse(f"../../s/{made[0].token}", 303, PRIVATE)


@router.get("/{name}/export/{file}")
async def export(owner: OwnerDep, name: str, file: str) -> Response:
    """One of the files of `lfi study export`."""
    owner.check()
    if file not in FILES:
        raise NothingHereError(f"there is no {file!r}; there are: {', '.join(FILES)}")
    if file == PERSONAL:  # an analyst gets no ids that raters have elsewhere
        owner.check_runs()
    data = await owner.studies.readers.run(_exported, owner, name, file)
    headers = {"Content-Disposition": f'attachment; filename="{name}-{file}"', **PRIVATE}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/{name}/report")
async def report(owner: OwnerDep, name: str) -> Response:
    """The report of a closed study, or at a planned look."""
    owner.check()
    try:
        html = await owners_report(owner.studies, name, owner.name)
    except LFIError as error:
        return await owner.studies.readers.run(_refused, owner, name, error)
    return HTMLResponse(html, headers={"Content-Security-Policy": POLICY, **PRIVATE})


def _exported(owner: Owner, name: str, file: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        export_study(owner.studies, name, Path(folder), owner.name, [file])
        return (Path(folder) / file).read_bytes()


async def _act(owner: Owner, name: str, act: Callable[..., Any], *arguments: Any) -> Response:
    """Do it and show the study again, or show why it was not done."""
    try:
        await owner.studies.writers.run(act, owner.studies, *arguments)
    except LFIError as error:
        return await owner.studies.readers.run(_refused, owner, name, error)
    return RedirectResponse(f"../{name}", 303, PRIVATE)


def _refused(owner: Owner, name: str, error: LFIError) -> Response:
    if kind_of(error).status == 503:  # not the owner's mistake, and the same request may succeed later
        raise error
    found = progress_of(owner.studies, name)
    return page(owner_page("../../", owner.viewer, found, error=str(error)), 422)


def _whole(text: str) -> int:
    """A number that somebody typed; 0 where it is none, or so long that it can only be nonsense."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0
