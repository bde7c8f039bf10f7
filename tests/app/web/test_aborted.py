"""Clients that go while they are still sending: no fault of the service, so nothing that looks like one in its log."""

from __future__ import annotations

import logging
import socket
import time
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from running import running

from app.main import create_app

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
DOORS = {
    "/study/api/session": JSON,
    "/admin/login": FORM,
    "/v1/maps": MULTIPART,
    "/v1/batches": MULTIPART,
    "/mcp": JSON,
    "/ui/gradio_api/queue/join": JSON,
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
