"""When a client asks again: as long as the service says, and never where that could do something twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from PIL import Image
from waiting import waiting

from lfi.client import Client, ProblemError, Retries, UnreachableError, calls
from lfi.client.errors import ServiceError
from lfi.client.retries import retry_after

LOST = 0


@contextmanager
def server(*answers: tuple[int, dict[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """A real server that gives these answers in turn; and what it was asked, with the keys it was shown."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # unread, it would break the connection when the server closes it
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers = answers[len(asked)]
            asked.append(f"{self.path} {self.headers.get('Authorization', '')}".strip())
            body = b'{"default": "x", "trios": []}' if status == 200 else b"<h1>A proxy's page</h1>"
            if status == LOST:  # nobody knows whether it arrived
                self.connection.close()
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_HEAD = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", asked
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture(params=[Client, waiting], ids=["Client", "AsyncClient"])
def opened(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Client]]:
    return request.param


def noting(pauses: list[float], *arguments: float) -> Retries:
    """Retries that note their pauses instead of waiting."""

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    return Retries(*arguments, sleep=pauses.append, async_sleep=note)


def test_a_service_that_is_full_is_asked_again_when_it_said(opened):
    pauses: list[float] = []
    answers = [(503, {"Retry-After": "7"}), (429, {"Retry-After": "2"}), (200, {})]
    with (
        server(*answers) as (url, asked),
        opened(url, key="lfi_secret", retries=noting(pauses)) as client,
    ):
        assert client.models().default == "x"
    assert asked == ["/v1/models Bearer lfi_secret"] * 3
    assert pauses == [7, 2]


def test_pauses_double_at_most_where_nobody_says(opened):
    pauses: list[float] = []
    refused = pytest.raises(ProblemError, match=r"502 Bad Gateway: <h1>A proxy's page</h1>")
    retries = noting(pauses, 5, 1.0)
    with server(*[(502, {})] * 5) as (url, _), opened(url, retries=retries) as client, refused:
        client.models()
    assert len(pauses) == 4
    assert all(0 <= pause <= 2**number for number, pause in enumerate(pauses))


def test_a_pause_that_nobody_named_is_never_longer_than_the_longest(opened):
    pauses: list[float] = []
    refused = pytest.raises(ProblemError, match="502")
    retries = noting(pauses, 3, 1e6, 0.5)
    with server(*[(502, {})] * 3) as (url, _), opened(url, retries=retries) as client, refused:
        client.models()
    assert pauses == [0.5, 0.5]


def test_a_service_that_asks_for_too_long_is_not_waited_for(opened):
    refused = pytest.raises(ProblemError, match="503")
    with server((503, {"Retry-After": "3600"})) as (url, asked), opened(url) as client, refused:
        client.models()
    assert len(asked) == 1


def test_a_refusal_is_final(opened):
    with server((404, {})) as (url, asked), opened(url) as client, pytest.raises(ProblemError, match="404"):
        client.models()
    assert len(asked) == 1


def test_a_batch_is_not_sent_twice_where_nobody_knows_whether_it_arrived(opened):
    with server((504, {})) as (url, asked), opened(url) as client, pytest.raises(ProblemError, match="504"):
        client.batch([b"image"], ["star"])
    assert len(asked) == 1


@pytest.mark.parametrize("first", [LOST, 502, 504])
@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("HEAD", 2), ("DELETE", 2), ("post", 1), ("PUT", 1)])
def test_only_what_does_no_more_when_it_comes_twice_is_sent_twice(opened, first, method, times):
    answers = [(first, {}), (200, {})]
    with server(*answers) as (url, asked), opened(url, retries=noting([])) as client:
        if times == 2:
            assert client.send(method, "v1/things/1").status_code == 200
        else:
            with pytest.raises((ProblemError, UnreachableError)):
                client.send(method, "v1/things/1")
    assert len(asked) == times


@pytest.mark.parametrize("refused", [429, 503])
def test_whatever_the_service_did_not_take_is_sent_again(opened, refused):
    with server((refused, {}), (200, {})) as (url, asked), opened(url, retries=noting([])) as client:
        assert client.send("POST", "v1/things").status_code == 200
    assert len(asked) == 2


@pytest.mark.parametrize("first", [LOST, 504])
def test_what_is_gone_when_it_is_deleted_again_was_deleted(opened, first):
    with server((first, {}), (404, {})) as (url, asked), opened(url, retries=noting([])) as client:
        assert client.send("DELETE", "v1/batches/1").status_code == 404
    assert len(asked) == 2


@pytest.mark.parametrize("answers", [[(404, {})], [(503, {}), (404, {})]])
def test_what_was_never_there_is_not_deleted(opened, answers):
    refused = pytest.raises(ProblemError, match="404")
    with server(*answers) as (url, asked), opened(url, retries=noting([])) as client, refused:
        client.send("DELETE", "v1/batches/1")
    assert len(asked) == len(answers)


def test_retry_after_is_a_number_or_a_date():
    def said(value: str) -> float | None:
        return retry_after(httpx.Response(503, headers={"Retry-After": value}))

    assert (said("12"), said("soon"), said("-1"), said("")) == (12, None, None, None)
    in_a_minute = said(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert in_a_minute == pytest.approx(60, abs=2)
    assert said("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_a_number_that_is_not_ascii_is_no_time():
    assert retry_after(httpx.Response(503, headers=[(b"Retry-After", "²".encode())])) is None


def test_a_key_is_shown_without_the_line_break_of_its_file_and_a_broken_one_is_not_repeated(opened):
    with server((200, {})) as (address, asked), opened(address, key="lfi_0123\n") as client:
        client.models()
    assert asked == ["/v1/models Bearer lfi_0123"]
    with pytest.raises(ServiceError, match="letters that no key has") as refused, opened(address, key="lfi_é\nx"):
        pass
    assert "lfi_" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["nonsense", "", "http://", "ftp://lfi.example", "lfi.example:80", "http://lfi:port", "http://a..b"]
)
def test_what_is_no_address_is_said_at_once(opened, address):
    said = pytest.raises(UnreachableError, match="is no address of a service; http://HOST:PORT was expected")
    with said, opened(address):
        pass


def test_what_cannot_be_sent_is_not_sent_again():
    def send() -> httpx.Response:
        raise httpx.LocalProtocolError("illegal header value", request=httpx.Request("GET", "http://lfi.example"))

    pauses: list[float] = []
    with pytest.raises(UnreachableError):
        noting(pauses).run(send)
    assert pauses == []


@pytest.mark.parametrize("body", [{}, {"type": None, "title": None, "detail": None}])
def test_a_problem_that_says_nothing_is_said_to(body):
    problem = ProblemError.of(httpx.Response(422, json=body, headers={"Content-Type": "application/problem+json"}))
    assert (problem.type, str(problem)) == ("about:blank", "422 no title: no reason was given")


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<h1>Sign in</h1>"),
        (200, "application/json", b"[]"),
        (200, "application/json", b"{}"),
        (422, "application/problem+json", b"[]"),
        (422, "application/problem+json", b"{"),
    ],
)
@pytest.mark.parametrize("ask", ["models", "overlays", "maps"])
def test_an_answer_that_is_not_lfi_s_is_said_to_be_none(status, kind, body, ask):
    answer = httpx.Response(status, headers={"Content-Type": kind}, content=body)
    arguments = () if ask == "models" else (b"picture", ["cup"])
    transport = httpx.MockTransport(lambda request: answer)
    said = pytest.raises(ServiceError, match=r"is not LFI's|no maps that this version can read|^422 ")
    with Client("http://lfi.example", transport=transport) as client, said:
        getattr(client, ask)(*arguments)


def test_one_word_one_model_and_one_picture_are_lists_of_one():
    assert calls.maps(b"picture", "cup", "lfi", (), "", False).options["data"] | {"trio": None} == {
        "words": ["cup"], "models": ["lfi"], "trio": None, "layers": [], "heads": "False",
    }  # fmt: skip
    for image in (b"picture", Image.new("RGB", (8, 8))):
        with calls.batch(image, ["cup"], (), "") as call:
            assert [name for name, _ in call.files] == ["images"]


def test_no_attempt_at_all_is_a_mistake():
    with pytest.raises(ValueError, match="at least 1"):
        Retries(attempts=0)
