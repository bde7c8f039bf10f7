"""Raters who take part through the use cases, without a browser."""

from __future__ import annotations

import uuid
from typing import Any

from app.study.answers import SubmittedAnswer
from app.study.raters import enter_by_token, invite
from app.study.service import Studies
from app.study.session import RaterSession


class Taker:
    """One rater in one browser; `state` is what the page was last told."""

    def __init__(self, studies: Studies, study: str, token: str | None = None, preview: bool = False):
        if token is None:
            made = invite(studies, study, 1, "test", preview=preview)[0]
            token, self.code = made.token, made.code
        self.token = token
        self.session = RaterSession(studies, enter_by_token(studies, token))
        self.state: dict[str, Any] = self.session.resume()

    def start(self) -> Taker:
        self.session.consent("en")
        self.state = self.session.begin()
        return self

    def given(self, value: str | None = None, **changes: Any) -> SubmittedAnswer:
        trial = self.state["trial"]
        fields = {
            "trial": trial["id"],
            "key": uuid.uuid4().hex,
            "revision": trial["revision"],
            "value": value or ("left" if trial["kind"] == "pair" else "2"),
            "response_ms": 1500,
        }
        return SubmittedAnswer(**fields | changes)

    def answer(self, value: str | None = None, **changes: Any) -> dict[str, Any]:
        self.state = self.session.answer(self.given(value, **changes))
        return self.state

    def finish(self, most: int = 1000) -> Taker:
        while self.state["trial"] and most:
            self.answer()
            most -= 1
        return self
