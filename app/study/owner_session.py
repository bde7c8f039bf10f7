"""Who is signed in at `/admin`: the holder of LFI_ADMIN_TOKEN, or one of the people that LFI_OWNERS names."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import UploadFile

from app.failures import NothingHereError, NotYoursError, StudyError
from app.keys import Key, digest
from app.study.owner_page import Viewer
from app.study.routes import StudiesDep
from app.web.forms import check_origin, read_form
from app.web.sessions import Sessions

COOKIE = "lfi_owner"
HOURS = 12
"""How long somebody stays signed in."""


class Owner:
    """Who a request comes from, and the values that prove it."""

    def __init__(self, request: Request, studies: StudiesDep):
        self.request = request
        self.studies = studies
        self._sessions: Sessions = request.app.state.owner_sessions
        self._cookie = request.cookies.get(COOKIE, "")
        self._now = studies.clock().timestamp()
        self._accounts = request.app.state.settings.accounts
        if not self._accounts:
            raise NothingHereError("this page is not available here")

    @property
    def account(self) -> Key | None:
        """Whose cookie it is; nobody's where it is not ours or has run out."""
        name = self._sessions.holder(self._cookie, self._now)
        return next((each for each in self._accounts if each.name == name), None)

    @property
    def signed_in(self) -> bool:
        """Whether it is somebody's."""
        return self.account is not None

    @property
    def name(self) -> str:
        """For audit trails."""
        return self.account.name if self.account else ""

    @property
    def runs(self) -> bool:
        """Whether this is somebody who runs studies, and does not only look at them."""
        return self.account is not None and "owner" in self.account.scopes

    @property
    def viewer(self) -> Viewer:
        """What pages must know."""
        return Viewer(self.csrf, self.name, self.runs)

    @property
    def csrf(self) -> str:
        """What our own forms carry."""
        return self._sessions.proof(self._cookie)

    def of_token(self, token: str) -> Key | None:
        """Whose token this is."""
        given = digest(token)
        found = [account for account in self._accounts if _same(given, account.digest)]
        return found[0] if found else None

    def new_cookie(self, account: Key) -> str:
        """A session that begins now."""
        return self._sessions.new(account.name, self._now)

    def leave(self) -> None:
        """End the session."""
        self._sessions.end(self._cookie, self._now)

    def check(self) -> None:
        """Refuse everybody else.

        Raises:
            NotYoursError: nobody is signed in.
        """
        if not self.signed_in:
            raise NotYoursError("sign in at /admin first")

    def check_runs(self) -> None:
        """Refuse whoever may only look.

        Raises:
            NotYoursError: nobody is signed in, or an analyst.
        """
        self.check()
        if not self.runs:
            raise NotYoursError(f"{self.name} is an analyst, who sees and exports studies and changes nothing")

    async def form(self, looks: bool = False) -> dict[str, str]:
        """The fields of one of our own forms.

        Args:
            looks: an analyst may send it, too.

        Raises:
            NotYoursError: nobody is signed in who may do that, or the form is not ours.
        """
        self.check() if looks else self.check_runs()
        fields = await read_form(self.request)
        self._check_csrf(fields.get("csrf", ""))
        return fields

    async def file(self) -> bytes:
        """The file that one of our own forms brings along, in its field `file`.

        Raises:
            NotYoursError: nobody is signed in who may do that, or the form is not ours.
            StudyError: there is no file in it.
        """
        self.check_runs()
        check_origin(self.request)
        async with self.request.form(max_files=1, max_fields=1) as form:
            self._check_csrf(str(form.get("csrf", "")))
            file = form.get("file")
            if not isinstance(file, UploadFile) or not file.size:
                raise StudyError("no file was chosen")
            return await file.read()

    def _check_csrf(self, given: str) -> None:
        if not _same(given, self.csrf):
            raise NotYoursError("the form is not ours, or older than your session; load the page again")


OwnerDep = Annotated[Owner, Depends()]


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())
