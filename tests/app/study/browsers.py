"""What a rater's and an owner's browser sends, over HTTP."""

from __future__ import annotations

import re
import uuid
from typing import Any

import httpx
from fastapi.testclient import TestClient

ORIGIN = "http://testserver"


class RaterBrowser:
    """A browser that entered with a token; `state` is what its page was last told."""

    def __init__(self, app: Any, token: str):
        self.client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
        self.entered = self.client.get(f"/s/{token}", follow_redirects=False)
        self.csrf = ""
        self.state: dict[str, Any] = {}

    def post(self, name: str, fields: object = None, **headers: str) -> httpx.Response:
        sent = {"Origin": ORIGIN, "X-CSRF-Token": self.csrf} | headers
        return self.client.post(f"/study/api/{name}", json=fields or {}, headers=sent)

    def start(self) -> RaterBrowser:
        self.state = self.post("session").json()
        self.csrf = self.state["csrf"]
        self.post("consent", {"language": "en"})
        self.state = self.post("begin").json()
        return self

    def given(self, value: str = "3", **changes: object) -> dict[str, object]:
        trial = self.state["trial"]
        fields = {"trial": trial["id"], "key": uuid.uuid4().hex, "revision": trial["revision"], "value": value}
        return {**fields, "response_ms": 900, "comment": "", **changes}

    def finish(self) -> RaterBrowser:
        while self.state["trial"]:
            self.state = self.post(
                "answer", self.given("left" if self.state["trial"]["kind"] == "pair" else "3")
            ).json()
        return self


class OwnerBrowser:
    """A browser on the owner's pages."""

    def __init__(self, app: Any, token: str):
        self.client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
        self.entered = self.client.post("/admin/login", data={"token": token}, headers={"Origin": ORIGIN})

    def act(self, path: str, origin: str = ORIGIN, csrf: str | None = None, **fields: str) -> httpx.Response:
        study = path.split("/")[0]
        page = self.client.get(f"/admin/{study}").text
        found = re.search(r'name="csrf" value="(\w+)"', page)
        token = csrf if csrf is not None else (found[1] if found else "")
        return self.client.post(f"/admin/{path}", data={"csrf": token, **fields}, headers={"Origin": origin})
