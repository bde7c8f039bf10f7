"""`/signin`: in a browser, a key becomes a cookie that scripts cannot read and that expires after twelve hours."""

from __future__ import annotations

from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.access.gate import COOKIE
from app.access.keyring import HOURS, Keyring
from app.access.page import signin_page
from app.failures import NothingHereError
from app.keys import Key
from app.web.forms import read_form
from app.web.pages import PRIVATE, page, root_of

router = APIRouter(include_in_schema=False)


async def get_keyring(request: Request) -> Keyring:
    """This application's keys."""
    if request.app.state.keyring is None:
        raise NothingHereError("there is nothing here: this service needs no key")
    return request.app.state.keyring


KeyringDep = Annotated[Keyring, Depends(get_keyring)]


@router.get("/signin")
def ask(request: Request, keyring: KeyringDep, next: str = "/ui/") -> Response:
    """The form; the way out for who is in."""
    return _page(request, _here(next), keyring.of_session(request.cookies.get(COOKIE, "")))


@router.post("/signin")
async def sign_in(request: Request, keyring: KeyringDep) -> Response:
    """In with a key that opens the page."""
    fields = await read_form(request)
    to = _here(fields.get("next", ""))
    key = keyring.find(fields.get("key", "").strip())
    if key is None or "maps" not in key.scopes:
        await anyio.sleep(0.5)  # slows down guessing
        wrong = "This key opens metrics, not the page." if key else "There is no such key."
        return _page(request, to, None, wrong, 403)
    answer = RedirectResponse(f".{to}", 303, PRIVATE)
    answer.set_cookie(
        COOKIE,
        keyring.new_session(key),
        max_age=HOURS * 3600,
        path=root_of(request) + "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",  # people who follow a link from elsewhere stay signed in
    )
    return answer


@router.post("/signout")
async def sign_out(request: Request, keyring: KeyringDep) -> Response:
    """Out again."""
    await read_form(request)
    answer = RedirectResponse("./signin", 303, PRIVATE)
    answer.delete_cookie(COOKIE, path=root_of(request) + "/")
    return answer


def _here(to: str) -> str:
    """A path of ours; it is used as a relative address, so it cannot lead to another host."""
    return to if to.startswith("/") and to.isprintable() else "/ui/"


def _page(request: Request, to: str, key: Key | None, error: str = "", status: int = 200) -> Response:
    return page(signin_page(to, key.name if key else "", error), status)
