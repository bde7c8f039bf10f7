"""Clients that go while they send, or while they wait: no fault of the service, and their places are free again."""

from __future__ import annotations

import base64
import logging
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from running import running
from uploads import as_bytes, scene

from app.engine import Engine, Turn
from app.main import create_app

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PICTURE = as_bytes(scene())
MULTIPART = "multipart/form-data; boundary=x"
DOORS = {
    "/study/api/session": JSON,
    "/admin/login": FORM,
    "/v1/maps": MULTIPART,
    "/v1/batches": MULTIPART,
    "/mcp": JSON,
    "/ui/gradio_api/component_server": JSON,
}


@pytest.fixture(scope="module")
def app(settings) -> FastAPI:
    return create_app(settings.model_copy(update={"admin_token": type(settings.admin_token)("an owner's token, long")}))


def begin_and_go(url: str, path: str, kind: str) -> None:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as connection:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nOrigin: {url}\r\nAccept: {JSON}, text/event-stream\r\n"
            f"Content-Type: {kind}\r\nContent-Length: 5000\r\n\r\n"
        )
        connection.sendall(head.encode() + b'{"a": ')
        time.sleep(0.3)


def test_a_body_that_is_broken_off_writes_no_traceback(app, caplog):
    caplog.set_level(logging.INFO)
    with running(app, path="/healthz") as url:
        for path, kind in DOORS.items():
            begin_and_go(url, path, kind)
        deadline = time.monotonic() + 60
        while (said := [each for each in caplog.records if each.name == "lfi.requests"]) and len(said) < len(DOORS):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    ended = {each.route: each.status for each in said if each.method == "POST"}
    assert all(400 <= status < 500 for status in ended.values()), ended
    assert ended["/study/api/session"] == ended["/admin/login"] == 499
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info] == []


def ask_api(url: str) -> None:
    httpx.post(f"{url}/v1/maps", files={"image": PICTURE}, data={"words": "star"}, timeout=1)


def ask_page(url: str) -> None:
    named = next(each["id"] for each in httpx.get(f"{url}/ui/config").json()["components"] if each["type"] == "html")
    fields = {"session_hash": "x", "component_id": named, "fn_name": "compare", "request": '{"words": ["star"]}'}
    httpx.post(f"{url}/ui/gradio_api/component_server", files={"file": PICTURE}, data=fields, timeout=1)


def ask_agents(url: str) -> None:
    arguments = {"image": base64.b64encode(PICTURE).decode(), "words": ["star"]}
    call = {"name": "interaction_maps", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    httpx.post(f"{url}/mcp", json=body, headers={"Accept": f"{JSON}, text/event-stream"}, timeout=1)


@pytest.mark.parametrize("ask", [ask_api, ask_page, ask_agents])
def test_a_client_that_does_not_wait_frees_its_place(ask, settings, caplog):
    app = create_app(settings)
    engine: Engine = app.state.engine
    with running(app) as url:
        with engine.pixels.held(settings.pixels_in_work, Turn()):
            with pytest.raises(httpx.ReadTimeout):
                ask(url)
            deadline = time.monotonic() + settings.request_seconds / 2
            while engine.admission.inside:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info] == []
