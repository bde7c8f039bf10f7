"""The application behind a real server, in a thread: for clients that open a socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.commands.serve import address, bind


@contextmanager
def running(app: FastAPI, seconds: float = 60, path: str = "/readyz") -> Iterator[str]:
    """The address of the application, once this path answers 200: by default, once its models are warm."""
    listener = bind("127.0.0.1", 0)
    listener.listen()  # whoever comes before the server does waits
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    url = address(listener)
    try:
        deadline = time.monotonic() + seconds
        while httpx.get(f"{url}{path}", timeout=seconds).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url
    finally:
        server.should_exit = True
        thread.join()


def wait_until_ready(client: TestClient, seconds: float = 60) -> None:
    """Until its models are warm."""
    deadline = time.monotonic() + seconds
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, client.get("/readyz").text
        time.sleep(0.05)
