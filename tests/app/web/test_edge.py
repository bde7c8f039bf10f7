"""What wraps the service: the mounted page, origins, headers, proxies, and the OpenAPI document."""

from __future__ import annotations

import asyncio
import re
import selectors

import httpx
import pytest
from fastapi.testclient import TestClient
from uploads import as_bytes, scene

from app.main import create_app
from app.settings import read_settings
from app.ui.handlers import Handlers
from lfi.errors import ConfigError


def test_the_root_leads_to_the_page(client):
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "./ui/")
    page = client.get("/ui/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("encoding", ["identity", "gzip, br"])
def test_dark_or_light_is_decided_before_anything_else_in_the_page(client, encoding):
    page = client.get("/ui/", headers={"Accept-Encoding": encoding})
    first = page.text.partition("<head>")[2].lstrip()
    assert first.startswith('<link rel="icon"')
    assert first.index("lfi-theme") < first.index("--lfi-paper") < first.index("gradio_config")
    assert client.head("/ui/").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/ui/", "/ui/config", "/v1/nothing"])
def test_every_answer_forbids_sniffing_framing_and_other_hosts(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["referrer-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self'" if path.startswith("/ui") else "default-src 'none'")
    assert "http" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("path", ["/v1/models", "/ui/", "/ui/config"])
def test_no_other_origin_may_read_anything_unless_it_is_listed(settings, client, path):
    origin = {"Origin": "https://elsewhere.example", "Host": "lfi.example"}
    listed = TestClient(create_app(settings.model_copy(update={"cors_origins": (origin["Origin"],)})))

    closed, opened = client.get(path, headers=origin), listed.get(path, headers=origin)

    assert [name for name in closed.headers if name.startswith("access-control")] == []
    assert opened.headers["access-control-allow-origin"] == origin["Origin"]
    assert "access-control-allow-credentials" not in opened.headers


def test_a_refused_preflight_is_a_problem(client):
    answer = client.options(
        "/v1/maps", headers={"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["detail"] == "Disallowed CORS origin"


def test_the_page_takes_no_larger_upload_than_the_api(client):
    answer = client.post("/ui/gradio_api/component_server", files={"files": bytes(30_000_000)})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["detail"] == "the request is larger than 21 MB, which is the limit"


def test_nothing_that_is_sent_to_the_page_is_stored(client):
    for path in ("upload", "upload/", "upload?upload_id=x"):
        assert client.post(f"/ui/gradio_api/{path}", files={"files": as_bytes(scene())}).status_code == 404


UNUSED = {
    "GET": (
        "queue/status", "queue/data", "queue/data?session_hash=x", "heartbeat/x",
        "upload_progress?upload_id=x", "call/compare/x", "stream/x/1/2/playlist.m3u8", "dev/reload",
        "deep_link?session_hash=x", "vibe-code", "monitoring", "monitoring/summary", "profiling/traces", "../logout",
    ),
    "POST": (
        "cancel", "reset", "reset/", "call/compare", "call/v2/compare", "run/compare", "api/compare", "stream/x",
        "stream/x/close", "process_recording", "vibe-edit", "undo-vibe-edit", "vibe-starter-queries", "profiling/clear",
        "queue/join", "queue/join/", "../login", "../login/",
    ),
}  # fmt: skip
EVENT = {"session_hash": "x", "fn_index": 0, "data": []}


def test_what_the_page_does_not_use_is_closed(client):
    config = client.get("/ui/config").json()
    assert config["dependencies"] == []  # so it needs no queue
    assert not config["connect_heartbeat"]
    for method, paths in UNUSED.items():
        for path in paths:
            answer = client.request(method, f"/ui/gradio_api/{path}", **({"json": EVENT} if method == "POST" else {}))
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path


HUGE = b'{"component_id": "%s"}' % (b"9" * 5000)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b"[" * 100_000, HUGE])
def test_nonsense_at_the_page_s_functions_is_a_problem(client, body):
    path = "/ui/gradio_api/component_server"
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert (answer.headers["content-type"], answer.json()["instance"]) == ("application/problem+json", path)
    assert not answer.json()["detail"].startswith(("{", "["))  # a sentence


def test_wrong_fields_below_the_page_are_named_as_those_of_the_api(client):
    answer = client.get("/ui/pwa_icon/large")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["type"] == "urn:problem-type:lfi:request"
    assert [each["field"] for each in answer.json()["errors"]] == ["size"]


def component(client: TestClient) -> int:
    """The part of the page that has its functions."""
    return next(each["id"] for each in client.get("/ui/config").json()["components"] if each["type"] == "html")


@pytest.mark.parametrize(
    "change", [{"component_id": 99_999}, {"component_id": -1}, {"component_id": "x"}, {"session_hash": None}, {}]
)
@pytest.mark.parametrize("encoding", ["json", "data"])
def test_a_function_that_the_page_does_not_have_is_no_fault_of_ours(client, change, encoding):
    asked = {"session_hash": "x", "component_id": component(client), "fn_name": "nothing", "data": None} | change
    form = {"files": {"file": b"x"}} if encoding == "data" else {}
    answer = client.post("/ui/gradio_api/component_server", **{encoding: asked}, **form)
    assert 400 <= answer.status_code < 500
    if change.get("component_id") == 99_999:
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert answer.json()["detail"] == "the page has no such function"


def test_a_function_of_the_page_answers_and_its_own_failure_is_a_fault_of_ours(client, monkeypatch):
    asked = {"session_hash": "x", "component_id": component(client), "fn_name": "describe", "data": None}
    assert client.post("/ui/gradio_api/component_server", json=asked).json()["ready"]

    def fail(handlers: Handlers) -> None:
        raise KeyError("component_id")

    monkeypatch.setattr(Handlers, "describe", fail)
    assert client.post("/ui/gradio_api/component_server", json=asked).status_code == 500


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("door", ["file=", "file/", "proxy=", "file%3D", "/file="])
@pytest.mark.parametrize("name", ["https://example.com/x.png", "HTTP://127.0.0.1:1/", "/etc/hostname"])
def test_the_page_fetches_nothing_for_anybody(client, method, door, name, monkeypatch):
    monkeypatch.setattr(httpx.AsyncClient, "send", None)
    answer = client.request(method, f"/ui/gradio_api/{door}{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


class Skipping(asyncio.SelectorEventLoop):
    """An event loop that sleeps through nothing: its clock is ahead by what it would have slept. `wakes`: how often."""

    def __init__(self) -> None:
        self.ahead, self.wakes = 0.0, 0
        super().__init__(Selecting(self))

    def time(self) -> float:
        return self.ahead


class Selecting(selectors.DefaultSelector):
    def __init__(self, loop: Skipping) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list:
        if timeout:
            self.loop.wakes += 1
            self.loop.ahead += timeout
        return super().select(0)


def test_an_idle_page_wakes_the_event_loop_two_hundred_times_a_second_at_most(settings):
    page = next(route.app for route in create_app(settings).routes if getattr(route, "path", "") == "/ui")
    queue = page.get_blocks()._queue

    async def idle(seconds: float) -> None:
        queue.start()
        await asyncio.sleep(seconds)

    loop = Skipping()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(idle(10))
        assert 0 < loop.wakes <= 2002  # ten thousand times, if gradio has its way


@pytest.mark.parametrize("prefix", ["", "/lfi"], ids=["proxy strips the prefix", "proxy keeps it"])
def test_behind_a_proxy_everything_is_found_under_its_prefix(settings, prefix):
    client = TestClient(create_app(settings.model_copy(update={"root_path": "/lfi"})))
    page = client.get(f"{prefix}/ui/", headers={"Host": "lab.example"})

    assert page.status_code == 200
    assert "http://lab.example/lfi/ui" in page.text
    assert client.get(f"{prefix}/static/css/tokens.css").status_code == 200
    assert client.get(f"{prefix}/healthz").json() == {"status": "ok"}
    assert client.get(f"{prefix}/nothing").json()["instance"] == "/lfi/nothing"


@pytest.mark.parametrize("path", ["", "/", "/lfi", "/lfi/"])
def test_the_root_leads_to_the_page_with_and_without_its_slash(settings, path):
    client = TestClient(create_app(settings.model_copy(update={"root_path": "/lfi"})))
    answer = client.get(path, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/lfi/ui/")


def test_the_page_can_be_installed(client):
    page = client.get("/ui/").text
    assert page.count('rel="manifest"') == 1
    assert '<link rel="manifest" href="../manifest.json" />' in page
    answer = client.get("/manifest.json")
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert (manifest["start_url"], manifest["display"]) == ("./ui/", "standalone")
    for icon in manifest["icons"]:
        found = client.get("/" + icon["src"])
        assert (found.status_code, found.headers["content-type"]) == (200, icon["type"])


@pytest.mark.parametrize(
    "path",
    ["/static/models/", "/static/../app/main.py", "/static/css/../models/tiny/card.json", "/static/css/"],
)
def test_static_files_are_looks_and_samples_only(client, path):
    assert client.get(path).status_code == 404


def test_the_openapi_document_has_stable_names_examples_and_problems(client):
    document = client.get("/openapi.json").json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    named = {name: operation["operationId"] for name, operation in operations.items()}
    assert len(set(named.values())) == len(named)
    assert (
        named.items()
        >= {
            "POST /v1/maps": "create_maps",
            "GET /v1/models": "list_models",
            "GET /healthz": "get_health",
            "GET /readyz": "get_readiness",
        }.items()
    )
    answers = operations["POST /v1/maps"]["responses"]
    assert set(answers["200"]["content"]) == {"application/json", "application/x-npz", "application/zip"}
    for status in ("400", "406", "413", "415", "422", "500", "503"):
        content = answers[status]["content"]
        assert set(content) == {"application/problem+json"}
        assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert content["application/problem+json"]["example"]["status"] == int(status)
    assert {"401", "403", "429"} <= set(answers)
    assert operations["POST /v1/maps"]["security"] == [{}, {"key": []}, {"header": []}]
    assert "security" not in operations["GET /healthz"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_no_documentation_page_loads_scripts_from_another_host(client):
    assert [client.get(path).status_code for path in ("/docs", "/redoc")] == [404, 404]


def test_settings_come_from_the_environment_and_name_what_is_wrong(monkeypatch):
    monkeypatch.setenv("LFI_PORT", "8000")
    monkeypatch.setenv("LFI_CORS_ORIGINS", "https://a.example, https://b.example")
    settings = read_settings()
    assert (settings.port, settings.cors_origins) == (8000, ("https://a.example", "https://b.example"))

    for wrong in ("notebook.example", "https://a.example/", "https://*.example"):
        monkeypatch.setenv("LFI_CORS_ORIGINS", f"https://a.example,{wrong}")
        with pytest.raises(ConfigError, match=f"{re.escape(wrong)}'; origins such as https://notebook"):
            read_settings()
    monkeypatch.setenv("LFI_CORS_ORIGINS", "*")
    assert read_settings().cors_origins == ("*",)
    monkeypatch.setenv("LFI_PORT", "eighty")
    with pytest.raises(ConfigError) as refused:
        read_settings()
    assert str(refused.value).startswith("port (LFI_PORT) is 'eighty': input should be a valid integer")


def test_settings_by_their_former_names_still_count_and_the_new_names_win(monkeypatch):
    monkeypatch.setenv("LFI_BATCH", "3")
    monkeypatch.setenv("LFI_BATCH_WAIT", "0.5")
    former = read_settings()
    assert (former.micro_batch, former.micro_batch_wait) == (3, 0.5)
    monkeypatch.setenv("LFI_MICRO_BATCH", "5")
    assert read_settings().micro_batch == 5


def test_equal_pictures_are_encoded_once(client, engine):
    before = len(engine._encoded)
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {})):
        for word in ("star", "ring"):
            data = as_bytes(scene(80, 72), format, **options)
            assert client.post("/v1/maps", files={"image": data}, data={"words": word}).status_code == 200
    assert len(engine._encoded) == min(before + 1, engine.settings.cached_images)


def test_browsers_find_an_icon(client):
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
