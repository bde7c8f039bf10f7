"""What the service says about itself: ids, log lines, metrics and spans; and what it keeps to itself."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi.testclient import TestClient
from problems import problem_of
from prometheus_client.parser import text_string_to_metric_families
from running import wait_until_ready
from uploads import as_bytes, scene

from app.main import create_app
from app.settings import Settings
from app.telemetry.logs import formatter

SECRET = "in-a-word-or-a-token"


@contextmanager
def logged(format: str = "json") -> Iterator[list[str]]:
    """Lines as `lfi serve` would write them."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, root = Lines(), logging.getLogger()
    handler.setFormatter(formatter(format))
    lfi = logging.getLogger("lfi")
    level = lfi.level
    lfi.setLevel("INFO")
    root.addHandler(handler)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        lfi.setLevel(level)


def value(client: TestClient, name: str, **labels: str) -> float:
    text = client.get("/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


@pytest.mark.parametrize("given", ["a", "proxy-7.4_B", "f" * 64])
def test_a_sane_request_id_is_kept(client, given):
    answer = client.get("/v1/nothing", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == (given, given)


@pytest.mark.parametrize("given", ["", "f" * 65, "two words", 'x","level":"error', "ü".encode()])
def test_any_other_request_id_is_replaced(client, given):
    ids = {client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(len(each) == 32 for each in ids)


def test_a_request_is_one_line_with_its_id_and_without_what_was_in_it(client):
    with logged() as lines:
        client.post(
            f"/v1/maps?{SECRET}={SECRET}",
            files={"image": (f"{SECRET}.png", as_bytes(scene()))},
            data={"words": SECRET},
            headers={"X-Request-ID": "mine"},
        )
        client.get(f"/s/{SECRET}")
        client.get(f"/{SECRET}")
        client.get(f"/study?PROLIFIC_PID={SECRET}")
    said = [json.loads(line) for line in lines]
    assert [(each["method"], each["route"], each["status"]) for each in said] == [
        ("POST", "/v1/maps", 422),
        ("GET", "/s/{token}", 404),
        ("GET", "none", 404),
        ("GET", "/study", 404),
    ]
    assert set(said[0]) == {"event", "method", "route", "status", "ms", "level", "logger", "timestamp", "request_id"}
    assert (said[0]["event"], said[0]["level"], said[0]["request_id"]) == ("request", "info", "mine")
    assert SECRET not in "".join(lines)


def test_a_failure_is_logged_with_its_traceback_and_the_id_that_the_client_was_told(settings):
    app = create_app(settings)

    @app.get("/fault")
    async def fault() -> None:
        hidden = SECRET  # noqa: F841 -- a local variable that must not be shown
        logging.getLogger("lfi").exception("it broke", exc_info=ValueError("broken"))
        raise RuntimeError("the reason")

    with logged() as lines:
        answer = TestClient(app, raise_server_exceptions=False).get("/fault")
    said = [json.loads(line) for line in lines]
    assert {each["request_id"] for each in said} == {problem_of(answer) and answer.headers["x-request-id"]}
    assert "ValueError: broken" in said[0]["exception"]
    assert (said[-1]["status"], said[-1]["level"]) == (500, "error")
    assert SECRET not in "".join(lines)


def test_text_lines_are_for_people(client):
    with logged("text") as lines:
        client.get("/v1/nothing", headers={"X-Request-ID": "mine"})
    assert len(lines) == 1
    assert "request" in lines[0]
    assert "request_id=mine" in lines[0]
    assert "status=404" in lines[0]


@pytest.fixture
def alone(settings: Settings) -> Iterator[TestClient]:
    """A service of its own: what earlier tests left running in the one they share would be counted, too."""
    with TestClient(create_app(settings)) as client:
        wait_until_ready(client)
        yield client


def test_requests_are_counted_by_route_and_status_and_never_by_what_visitors_type(alone):
    client = alone
    asked = {"method": "POST", "route": "/v1/maps", "status": "200"}
    seen, hits = value(client, "lfi_requests_total", **asked), value(client, "lfi_cache_hits_total")
    runs = value(client, "lfi_inference_seconds_count", model="lfi")
    picture = as_bytes(scene(88, 64))
    for word in ("star", "ring"):
        client.post("/v1/maps", files={"image": picture}, data={"words": word})
    client.get(f"/v1/{SECRET}")
    client.request(SECRET.upper(), "/healthz")

    assert value(client, "lfi_requests_total", **asked) == seen + 2
    assert value(client, "lfi_cache_hits_total") == hits + 1
    assert value(client, "lfi_inference_seconds_count", model="lfi") == runs + 2
    assert value(client, "lfi_models_ready") == 1
    assert value(client, "lfi_queue_length") == 0
    assert value(client, "lfi_requests_total", method="other") >= 1
    assert value(client, "process_resident_memory_bytes") > 1e7
    assert SECRET not in client.get("/metrics").text.lower()


def test_the_page_and_static_files_are_counted_by_their_templates(client):
    client.get("/ui/")
    client.get("/ui/config")
    client.get("/static/css/tokens.css")
    routes = {
        sample.labels["route"]
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "lfi_requests_total"
    }
    assert {"/ui/", "/static/css/*"} <= routes
    assert any(route.startswith("/ui/config") for route in routes)


def test_behind_a_proxy_routes_are_named_as_without_one(settings):
    client = TestClient(create_app(settings.model_copy(update={"root_path": "/lfi"})))
    with logged() as lines:
        client.get("/lfi/v1/nothing")
        client.get("/lfi/s/token")
        client.get("/s/token")
    assert [json.loads(line)["route"] for line in lines] == ["none", "/s/{token}", "/s/{token}"]


def test_spans_reach_a_collector_and_hold_no_path_and_no_query(settings):
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
    app = create_app(settings.model_copy(update={"otlp_endpoint": endpoint}))
    parent = "0af7651916cd43dd8448eb211c80319c"
    with TestClient(app) as client, logged() as lines:
        client.get(f"/s/{SECRET}?x={SECRET}", headers={"traceparent": f"00-{parent}-b7ad6b7169203331-01"})
        client.get("/healthz")
    server.shutdown()

    sent = b"".join(received)
    assert b"/s/{token}" in sent
    assert bytes.fromhex(parent) in sent
    assert SECRET.encode() not in sent
    assert b"/healthz" not in sent
    assert json.loads(lines[0])["trace_id"] == parent
