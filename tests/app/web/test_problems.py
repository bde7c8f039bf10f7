"""Every error is a problem (RFC 9457) with one clear line, and the service answers on."""

from __future__ import annotations

import json
import time

import pytest
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient
from problems import problem_of
from uploads import as_bytes, nine_hundred_megapixels, scene, truncated_jpeg, two_frames

from app.main import create_app
from app.settings import read_settings
from app.web.problems import answer_validation_error
from lfi.errors import LFIError
from lfi.students.explanations import EXPLANATIONS

READABLE = "send a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC image"
NAMES = "urn:problem-type:lfi:"

BAD_REQUESTS: dict[str, tuple[dict, int, str, str, str]] = {
    "truncated JPEG": (
        {"image": truncated_jpeg(), "name": "photo.jpg"},
        422,
        "image",
        "The image cannot be used",
        "the image is damaged or incomplete; save it again and retry",
    ),
    "text renamed .png": (
        {"image": b"Dear diary, today nothing happened.\n" * 50, "name": "photo.png"},
        415,
        "not-an-image",
        "Not an image",
        f"the file is not an image we can read; {READABLE}",
    ),
    "900-megapixel PNG": (
        {"image": nine_hundred_megapixels()},
        413,
        "image-too-large",
        "The image is too large",
        "the image has 900 megapixels; at most 50 megapixels are accepted",
    ),
    "20.5 MB file": (
        {"image": b"\xff\xd8" + bytes(20_500_000)},
        413,
        "image-too-large",
        "The image is too large",
        "the image file is larger than 20 MB, which is the limit",
    ),
    "40 MB file": (
        {"image": b"\xff\xd8" + bytes(40_000_000)},
        413,
        "request-too-large",
        "The request is too large",
        "the request is larger than 21 MB, which is the limit",
    ),
    "empty file": (
        {"image": b""},
        415,
        "not-an-image",
        "Not an image",
        f"the file is empty; {READABLE}",
    ),
    "two-frame GIF": (
        {"image": two_frames("GIF"), "name": "dance.gif"},
        422,
        "image",
        "The image cannot be used",
        "the GIF image has several frames; send one of them as a still image",
    ),
    "empty word": (
        {"words": ""},
        422,
        "words",
        "The words cannot be used",
        "word 1 is empty; type a word or a short phrase, such as 'red circle'",
    ),
    "300-word caption": (
        {"words": " ".join(["star"] * 300)},
        422,
        "words",
        "The words cannot be used",
        "the phrase 'star star star star star star star star…' has 1,499 characters; "
        "at most 12 words and 200 characters are read as one phrase",
    ),
    "17 words": (
        {"words": [f"word{number}" for number in range(17)]},
        422,
        "words",
        "The words cannot be used",
        "17 words were given; at most 16 can be compared at once",
    ),
    "unknown model": (
        {"models": "teacher,student"},
        422,
        "unknown-model",
        "Unknown model",
        "there is no model 'student'; there are: teacher, lfi, baseline, teacher:dense-similarity, "
        "lfi:self-attention, lfi:rollout, lfi:grad-cam, "
        + ", ".join(f"baseline:{explanation}" for explanation in EXPLANATIONS),
    ),
    "unknown trio": (
        {"trio": "../scenes"},
        422,
        "unknown-model",
        "Unknown model",
        "there is no trio '../scenes'; there are: tiny",
    ),
    "layer that is not a number": (
        {"layers": "last"},
        422,
        "config",
        "A value is out of range",
        "layers are 'last'; whole numbers from 0 were expected",
    ),
    "picture formats as answer": (
        {"accept": "image/png"},
        406,
        "not-acceptable",
        "No acceptable answer",
        "Accept is 'image/png'; the answer can be application/json, application/x-npz, application/zip",
    ),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_is_one_clear_problem_and_the_service_answers_on(ask, name):
    request, status, kind, title, detail = BAD_REQUESTS[name]

    answer = ask(**request)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert problem_of(answer) == {
        "type": NAMES + kind,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/v1/maps",
    }
    assert ask().status_code == 200


def test_an_unknown_word_comes_with_the_nearest_known_ones(ask, engine):
    answer = ask(words="a red cirkle")
    nearest = answer.json()["unknown"]["cirkle"]

    assert problem_of(answer) == {
        "type": NAMES + "unknown-word",
        "title": "Unknown word",
        "status": 422,
        "detail": f"this model does not know 'cirkle' (nearest: {', '.join(nearest)})",
        "instance": "/v1/maps",
        "unknown": {"cirkle": nearest},
        "trios": [],
        "suggestions": [{"word": word, "instead_of": "cirkle", "presence": None} for word in nearest],
    }
    assert nearest[0] == "circle"


def test_a_layer_that_no_model_has_is_refused_with_those_there_are(ask):
    answer = ask(layers="99")
    assert (answer.status_code, answer.json()["type"]) == (422, NAMES + "config")
    assert "99" in answer.json()["detail"]


def test_what_a_check_says_stands_without_the_name_of_its_error():
    request = Request({"type": "http", "path": "/figure.zip", "headers": [], "lfi.request_id": "1"})
    wrong = {"loc": ("query", "width"), "msg": "Value error, one of 8.5, 17.5 was expected"}
    answer = answer_validation_error(request, RequestValidationError([wrong]))
    assert json.loads(answer.body)["detail"] == "width: one of 8.5, 17.5 was expected"


def test_a_missing_file_and_missing_words_are_both_named(client):
    answer = client.post("/v1/maps", data={"image": "photo.png"})
    assert (answer.status_code, problem_of(answer)) == (
        422,
        {
            "type": NAMES + "request",
            "title": "The request is malformed",
            "status": 422,
            "detail": "image: a file was expected; words: Field required",
            "instance": "/v1/maps",
            "errors": [
                {"field": "image", "detail": "a file was expected"},
                {"field": "words", "detail": "Field required"},
            ],
        },
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "title", "detail"),
    [
        ("GET", "/v1/nothing", 404, "Not Found", "there is nothing at /v1/nothing"),
        ("GET", "/static/css/nothing.css", 404, "Not Found", "there is nothing at /static/css/nothing.css"),
        (
            "GET",
            "/static/models/tiny/card.json",
            404,
            "Not Found",
            "there is nothing at /static/models/tiny/card.json",
        ),
        ("DELETE", "/v1/maps", 405, "Method Not Allowed", "DELETE is not allowed at /v1/maps"),
    ],
)
def test_what_is_not_there_is_a_problem_too(client, method, path, status, title, detail):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert problem_of(answer) == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
    }


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/ui/nothing", "/static/css/nothing.css"])
def test_a_browser_gets_a_page_and_a_client_the_problem(client, path):
    shown = client.get(path, headers={"Accept": BROWSER})
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for said in (f"There is nothing at {path}.", "Check the address", 'href="/"', shown.headers["x-request-id"]):
        assert said in shown.text
    assert "Accept" in shown.headers["vary"]

    for accept in ("*/*", "application/json", "application/json, text/html", "text/html;q=0.5, application/json"):
        answer = client.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert problem_of(answer)["detail"] == f"there is nothing at {path}"


def test_the_page_of_an_error_keeps_its_headers_and_takes_a_path_for_text(client):
    refused = client.get("/v1/maps", headers={"Accept": BROWSER})
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert "<script>alert" not in client.get("/<script>alert(1)</script>", headers={"Accept": BROWSER}).text


def test_the_page_of_an_error_leads_home_under_the_published_path(settings):
    published = TestClient(create_app(settings.model_copy(update={"root_path": "/lfi"})))
    assert 'href="/lfi/"' in published.get("/lfi/ui/nothing", headers={"Accept": BROWSER}).text


@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x\r\nnonsense", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"]
)
def test_a_broken_form_is_a_bad_request(client, body):
    answer = client.post("/v1/maps", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_sent_in_chunks_is_stopped_at_the_limit(client):
    sent = 0

    def chunks():
        nonlocal sent
        head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        yield head
        for _ in range(64):
            sent += 1
            yield bytes(1024**2)

    answer = client.post("/v1/maps", content=chunks(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["type"]) == (413, NAMES + "request-too-large")


def test_a_fault_of_ours_is_a_problem_that_tells_nothing_of_the_inside(settings):
    app = create_app(settings)

    @app.get("/fault")
    async def fault() -> None:
        raise RuntimeError("the secret inside")

    answer = TestClient(app, raise_server_exceptions=False).get("/fault")

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert problem_of(answer) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "the service failed on this request; the log says why",
        "instance": "/fault",
    }


def test_every_error_that_a_user_can_mend_has_a_problem_of_its_own(settings):
    kinds = [each for each in LFIError.__subclasses__() if each.__module__ == "lfi.errors"]
    app = create_app(settings)
    for kind in kinds:

        def fail(kind=kind) -> None:
            raise kind("what was wrong") if kind.__name__ != "UnknownWordError" else kind({})

        app.add_api_route(f"/{kind.__name__}", fail)
    client = TestClient(app)
    types = {kind: client.get(f"/{kind.__name__}").json()["type"] for kind in kinds}
    assert len(set(types.values())) == len(kinds) > 5
    assert NAMES + "error" not in types.values()


def test_until_the_models_are_warm_requests_are_asked_to_wait(settings, ask):
    cold = TestClient(create_app(settings))  # not entered: its lifespan does not run
    expected = {
        "type": NAMES + "not-ready",
        "title": "The models are still loading",
        "status": 503,
        "detail": "the models are still loading; try again in a moment",
    }
    form = {"files": {"image": as_bytes(scene())}, "data": {"words": "star"}}
    for path, answer in {
        "/readyz": cold.get("/readyz"),
        "/v1/models": cold.get("/v1/models"),
        "/v1/maps": cold.post("/v1/maps", **form),
    }.items():
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert problem_of(answer) == {**expected, "instance": path}
    assert (cold.get("/healthz").status_code, cold.get("/healthz").json()) == (200, {"status": "ok"})


def test_an_unreadable_trio_is_named_and_the_others_answer(trio_folder, tmp_path):
    good, broken = tmp_path / "tiny", tmp_path / "broken"
    good.symlink_to(trio_folder)
    copy_tree(trio_folder, broken)
    weights = broken / "teacher" / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    stopped = []

    app = create_app(read_settings(models_dir=tmp_path, trio="tiny"), on_failure=lambda: stopped.append(1))
    with TestClient(app) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        form = {"files": {"image": as_bytes(scene())}, "data": {"words": "star", "trio": "broken"}}
        answer = client.post("/v1/maps", **form)
        form["data"]["trio"] = "tiny"
        assert client.post("/v1/maps", **form).status_code == 200
        assert [trio["name"] for trio in client.get("/v1/models").json()["trios"]] == ["tiny"]

    assert (answer.status_code, answer.json()["type"]) == (422, NAMES + "checkpoint")
    assert answer.json()["detail"].startswith("trio 'broken' could not be loaded: ")
    assert str(tmp_path) not in answer.text
    assert stopped == []


def test_an_unreadable_default_trio_keeps_the_service_unready_and_says_why(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "card.json").write_text("{")
    stopped = []

    app = create_app(read_settings(models_dir=tmp_path, trio="tiny"), on_failure=lambda: stopped.append(1))
    with TestClient(app) as client:
        wait_for(lambda: "could not be loaded" in client.get("/readyz").text)
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200

    assert stopped == [1]


def copy_tree(source, target) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
