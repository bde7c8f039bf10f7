"""Who may ask, and how often: keys, signing in, and limits."""

from __future__ import annotations

import re
import time

import pytest
from fastapi.testclient import TestClient
from problems import problem_of
from starlette.requests import Request
from uploads import as_bytes, scene

from app.access.keyring import Keyring, keys_are_asked_for
from app.access.rates import Rates, client_name
from app.access.study_rates import StudyRates
from app.cli import main
from app.keys import new_key, parse_keys
from app.limits import parse_rates
from app.main import create_app
from app.settings import is_loopback, read_settings
from lfi.errors import ConfigError

NAMES = "urn:problem-type:lfi:"
MAPS, MAPS_KEY = new_key("lab", ["maps"])
METRICS, METRICS_KEY = new_key("prometheus", ["metrics"])
HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def guarded(settings):
    """A service with two keys, for other machines."""
    keys = f"{MAPS_KEY.line()}, {METRICS_KEY.line()}"
    return create_app(settings.model_copy(update={"host": "0.0.0.0", "api_keys": keys, "rate_limit": ""}))


@pytest.fixture
def stranger(guarded) -> TestClient:
    return TestClient(guarded, base_url="https://lab.example")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("host", "keys", "auth", "asked_for"),
    [
        ("127.0.0.1", (), "auto", False),
        ("::1", (), "auto", False),
        ("localhost", (), "auto", False),
        ("127.0.0.1", (MAPS_KEY,), "auto", True),
        ("0.0.0.0", (MAPS_KEY,), "auto", True),
        ("0.0.0.0", (MAPS_KEY,), "off", False),
        ("0.0.0.0", (), "off", False),
    ],
)
def test_keys_are_asked_for_where_there_are_any(host, keys, auth, asked_for):
    assert keys_are_asked_for(auth, keys, host) is asked_for


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_without_a_key_other_machines_are_not_let_in(settings, host):
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="requires a key: `lfi keys new`"):
        create_app(settings.model_copy(update={"host": host}))


def test_serving_other_machines_without_a_key_ends_with_one_line(monkeypatch, capsys):
    monkeypatch.delenv("LFI_API_KEYS", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--host", "0.0.0.0", "--port", "0"])
    assert ended.value.code == 2
    assert re.fullmatch(r"lfi: listening on 0\.0\.0\.0 admits other machines, .*\n", capsys.readouterr().err)


def test_a_new_key_is_shown_once_and_its_line_opens_the_service(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["keys", "new", "--name", "ann", "--scope", "maps", "--scope", "metrics"])
    said = capsys.readouterr().out
    secret, line = re.search(r"^  (lfi_\S{43})$", said, re.M)[1], re.search(r"LFI_API_KEYS=(\S+)", said)[1]
    assert secret not in line
    assert Keyring(parse_keys(line)).find(secret).scopes == {"maps", "metrics"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["owner", "cli"], "'cli' is a name that audit trails use; choose another"),
        (["owner", "ada", "--role", "boss"], "account 'ada' has the role 'boss'; there are: owner, analyst"),
        (
            ["new", "--name", "a b"],
            "the name is 'a b'; 1 to 40 letters, digits, dashes and underscores were expected",
        ),
        (["new", "--scope", "root"], "key 'lab' has the scope 'root'; there are: maps, metrics"),
    ],
)
def test_a_key_that_the_service_would_refuse_is_not_made(arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["keys", *arguments])
    assert tuple(capsys.readouterr()) == ("", f"lfi: {said}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lfi_a-key-itself", "entry 1 is not NAME:SCOPES:SHA256; `lfi keys new` writes one"),
        (f"lab:maps:{'2' * 64}, a:maps", "entry 2 is not NAME:SCOPES:SHA256; `lfi keys new` writes one"),
        (f"a:maps+root:{'0' * 64}", "key 'a' has the scope 'root'; there are: maps, metrics"),
        (f"a:maps:{'0' * 64} a:maps:{'1' * 64}", "two keys are named 'a'"),
    ],
)
def test_keys_that_cannot_be_are_refused_without_being_repeated(monkeypatch, text, said):
    monkeypatch.setenv("LFI_API_KEYS", text)
    with pytest.raises(ConfigError) as refused:
        read_settings()
    assert str(refused.value) == f"api keys (LFI_API_KEYS): {said}"


@pytest.mark.parametrize("path", ["/v1/models", "/ui/config", "/ui/gradio_api/info", "/metrics", "/v1/nothing", "/new"])
@pytest.mark.parametrize("headers", [{}, bearer("lfi_wrong"), {"X-API-Key": "wrong"}, {"Cookie": "lfi_key=lab.9.x"}])
def test_without_a_key_everything_is_closed_but_what_is_listed(stranger, path, headers):
    answer = stranger.get(path, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="lfi"')
    assert problem_of(answer) == {
        "type": NAMES + "no-key",
        "title": "An API key is needed",
        "status": 401,
        "detail": "send an API key: `Authorization: Bearer lfi_...`; in a browser, sign in at /signin",
        "instance": path,
    }


def test_what_needs_no_key_stays_open(stranger):
    paths = ("/healthz", "/openapi.json", "/static/css/tokens.css", "/favicon.ico", "/study", "/signin")
    assert {path: stranger.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)
    assert stranger.get("/s/nobody").status_code == 404
    assert stranger.get("/admin").status_code == 404


@pytest.mark.parametrize("headers", [bearer(MAPS), {"X-API-Key": MAPS}])
def test_a_key_opens_what_its_scope_says(stranger, headers):
    assert stranger.get("/v1/models", headers=headers).status_code == 503  # its models were not loaded, but it is in
    refused = stranger.get("/metrics", headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (403, NAMES + "scope")
    assert refused.json()["detail"] == "the key 'lab' opens maps; this needs metrics"
    assert stranger.get("/metrics", headers=bearer(METRICS)).status_code == 200
    assert stranger.get("/v1/models", headers=bearer(METRICS)).status_code == 403


def test_a_browser_is_led_to_sign_in_and_back(stranger):
    asked = stranger.get("/ui/?a=1&b=2", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (asked.status_code, asked.headers["location"]) == (303, "/signin?next=%2Fui%2F%3Fa%3D1%26b%3D2")
    form = stranger.get(asked.headers["location"])
    assert 'name="next" value="/ui/?a=1&amp;b=2"' in form.text

    fields = {"key": MAPS, "next": "/ui/?a=1&b=2"}
    entered = stranger.post("/signin", data=fields, headers=HERE, follow_redirects=False)

    assert (entered.status_code, entered.headers["location"]) == (303, "./ui/?a=1&b=2")
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))
    assert MAPS not in cookie
    assert stranger.get("/ui/").status_code == 200
    assert stranger.get("/metrics").status_code == 403
    stranger.post("/signout", headers=HERE)
    assert stranger.get("/ui/config").status_code == 401


@pytest.mark.parametrize(
    ("key", "said"),
    [("wrong", "There is no such key."), (METRICS, "This key opens metrics, not the page.")],
    ids=["unknown", "of another scope"],
)
def test_a_key_that_does_not_open_the_page_signs_nobody_in(stranger, key, said):
    answer = stranger.post("/signin", data={"key": key}, headers=HERE)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert said in answer.text


def test_signing_in_leads_to_no_other_host(stranger):
    for to in ("https://elsewhere.example", "//elsewhere.example", "\\\\elsewhere.example", "/\nx"):
        answer = stranger.post("/signin", data={"key": MAPS, "next": to}, headers=HERE, follow_redirects=False)
        assert answer.headers["location"].startswith("./")


def test_another_sites_page_cannot_use_a_visitors_cookie(stranger):
    stranger.post("/signin", data={"key": MAPS}, headers=HERE)
    form = {"files": {"image": as_bytes(scene())}, "data": {"words": "star"}}
    other = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    assert stranger.post("/v1/maps", **form, headers=other).status_code == 403
    assert stranger.post("/v1/maps", **form, headers=HERE).status_code == 503
    assert stranger.post("/v1/maps", **form, headers={**other, **bearer(MAPS)}).status_code == 503


@pytest.mark.parametrize("header", [{"Authorization": "Basic eA=="}, {"Authorization": ""}, {"X-API-Key": ""}])
def test_a_header_that_brings_no_key_does_not_switch_the_origin_check_off(stranger, header):
    stranger.post("/signin", data={"key": MAPS}, headers=HERE)
    form = {"files": {"image": as_bytes(scene())}, "data": {"words": "star"}}
    assert stranger.post("/v1/maps", **form, headers={"Sec-Fetch-Site": "cross-site", **header}).status_code == 403
    assert stranger.post("/v1/maps", **form, headers={**HERE, **header}).status_code == 503


def test_signing_out_ends_the_cookie_wherever_a_copy_of_it_is(guarded, stranger):
    stranger.post("/signin", data={"key": MAPS}, headers=HERE)
    cookie = stranger.cookies["lfi_key"]
    copy = TestClient(guarded, base_url="https://lab.example", cookies={"lfi_key": cookie})
    assert copy.get("/v1/models").status_code == 503
    stranger.post("/signout", headers=HERE)
    assert copy.get("/v1/models").status_code == 401
    stranger.post("/signin", data={"key": MAPS}, headers=HERE)
    assert stranger.get("/v1/models").status_code == 503  # and no other


def test_a_session_ends_and_cannot_be_made_up(monkeypatch):
    keyring, other = Keyring([MAPS_KEY]), Keyring([MAPS_KEY])
    cookie = keyring.new_session(MAPS_KEY)
    assert keyring.of_session(cookie) == MAPS_KEY
    assert other.of_session(cookie) is None
    assert [keyring.of_session(each) for each in ("", ".", "lab", f"x{cookie}", cookie[:-1], "ü.ü.ü")] == [None] * 6
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 + 1)
    assert keyring.of_session(cookie) is None


def test_without_keys_there_is_nothing_to_sign_in_to(client):
    assert client.get("/signin").status_code == 404


def test_a_listed_origin_can_read_why_it_was_refused_and_send_a_key(guarded, settings):
    origin = "https://notebook.example"
    keys = {"api_keys": MAPS_KEY.line(), "cors_origins": (origin,)}
    client = TestClient(create_app(settings.model_copy(update=keys)))
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    allowed = client.options("/v1/maps", headers={**preflight, "Access-Control-Request-Headers": "authorization"})
    refused = client.get("/v1/models", headers={"Origin": origin})
    assert allowed.status_code == 200
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin)


def test_too_many_requests_of_one_client_are_asked_to_wait(settings, ask):
    client = TestClient(create_app(settings.model_copy(update={"rate_limit": "3/minute"})))
    answers = [client.post("/v1/maps") for _ in range(3)] + [client.get("/v1/models")]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=3;w=60'}
    wait = answers[-1].headers["retry-after"]
    assert 1 <= int(wait) <= 60
    assert problem_of(answers[-1]) == {
        "type": NAMES + "too-many-requests",
        "title": "Too many requests",
        "status": 429,
        "detail": f"more than 3 per 1 minute from here; try again in {wait} s",
        "instance": "/v1/models",
    }
    assert client.get("/healthz").status_code == 200
    assert client.get("/ui/").status_code == 200
    assert client.post("/ui/gradio_api/component_server", json={}).status_code == 429


def test_each_key_has_a_limit_of_its_own(settings):
    other, other_key = new_key("other", ["maps"])
    keys = {"api_keys": f"{MAPS_KEY.line()} {other_key.line()}", "rate_limit": "1/hour"}
    client = TestClient(create_app(settings.model_copy(update=keys)))
    asked = [client.get("/v1/models", headers=bearer(key)).status_code for key in (MAPS, other, MAPS, other)]
    assert asked == [503, 503, 429, 429]


def test_a_guesser_of_keys_has_to_wait(settings):
    keys = {"api_keys": MAPS_KEY.line(), "rate_limit": "2/minute"}
    client = TestClient(create_app(settings.model_copy(update=keys)))
    assert [client.post("/signin", data={}, headers=HERE).status_code for _ in range(3)] == [403, 403, 429]


def test_the_window_moves_and_the_shortest_limit_counts(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rates = Rates(parse_rates("2/second; 3/minute"))
    assert [rates.count("a").allowed for _ in range(3)] == [True, True, False]
    assert rates.count("b").allowed
    now += 1.1
    assert [rates.count("a").allowed for _ in range(2)] == [True, False]
    refused = rates.count("a")
    assert (str(refused.item), refused.remaining, refused.wait) == ("3 per 1 minute", 0, 59)


def test_who_has_not_asked_for_a_while_is_forgotten_and_so_is_anybody_beyond_the_most(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rates = Rates(parse_rates("2/second; 3/minute"), most=50)
    for number in range(40):
        rates.count(f"{number}")
    rates.count("0")
    assert [len(each) for each in rates._windows] == [40, 40]
    now += 2
    rates.count("0")
    assert [len(each) for each in rates._windows] == [1, 40]
    for number in range(100, 200):
        rates.count(f"{number}")
    assert [len(each) for each in rates._windows] == [50, 50]
    now += 61
    assert rates.count("0").remaining == 1  # of two a second
    assert [len(each) for each in rates._windows] == [1, 1]


def test_browsers_of_an_address_that_is_refused_are_not_counted():
    rates = StudyRates("3/minute", "2/minute", "lfi_rater")

    def ask(cookie: str) -> bool:
        scope = {"type": "http", "client": ("192.0.2.7", 1), "headers": [(b"cookie", f"lfi_rater={cookie}".encode())]}
        return rates.refusal(Request(scope), "/study") is None

    assert [ask(cookie) for cookie in "aaabcd"] == [True, True, False, False, False, False]
    assert [len(each) for each in rates.by_browser._windows] == [1]


def test_one_client_is_an_address_or_a_network_of_ipv6():
    assert client_name("192.0.2.7") == "client 192.0.2.7"
    assert client_name("2001:db8::1") == client_name("2001:db8::ffff") == "client 2001:db8::/64"


def test_limits_hold_where_other_machines_ask_unless_told_otherwise(monkeypatch):
    assert read_settings().rates == ()
    assert [str(item) for item in read_settings(host="0.0.0.0").rates] == ["240 per 1 minute"]
    assert read_settings(host="0.0.0.0", rate_limit="").rates == ()
    monkeypatch.setenv("LFI_RATE_LIMIT", "0/second")
    with pytest.raises(ConfigError, match=r"is '0/second'; limits such as"):
        read_settings()
    monkeypatch.setenv("LFI_RATE_LIMIT", "often")
    with pytest.raises(ConfigError, match=r"rate limit \(LFI_RATE_LIMIT\) is 'often'"):
        read_settings()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 422),  # no browser's page
        ({"Sec-Fetch-Site": "same-origin"}, 422),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://evil.lab.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "https://lab.example"}, 422),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://notebook.example"}, 422),
    ],
)
@pytest.mark.parametrize("path", ["/v1/maps", "/v1/batches"])
def test_pages_of_other_sites_cannot_use_a_service_without_keys(settings, path, headers, status):
    mine = settings.model_copy(update={"cors_origins": ("https://notebook.example",)})
    client = TestClient(create_app(mine), base_url="https://lab.example")
    answer = client.post(path, data={"words": ""}, files={"image": b"", "other": b""}, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/models", headers=headers).status_code == 503  # let in; the models are not loaded
