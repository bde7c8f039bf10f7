"""A service that asks for a key, seen from a browser: the way in, the page behind it, the way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from inspector_page import InspectorPage
from playwright.sync_api import Browser
from serving import served

from app.keys import new_key

SECRET, KEY = new_key("ann", ["maps"])


@pytest.fixture(scope="module")
def guarded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service that asks for a key."""
    folder = tmp_path_factory.mktemp("guarded")
    asks = {"LFI_API_KEYS": KEY.line(), "LFI_STUDY_FOLDER": str(folder), "LFI_RATE_LIMIT": "60/minute"}
    with served(models, folder, **asks) as url:
        yield url


def test_a_visitor_signs_in_asks_for_maps_and_signs_out(chromium: Browser, guarded: str):
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    tab = context.new_page()
    page = InspectorPage(tab, guarded)

    tab.goto(f"{guarded}/ui/?__theme=dark")
    assert tab.url.startswith(f"{guarded}/signin?next=")
    assert Axe().run(tab).violations_count == 0
    assert tab.evaluate("document.activeElement.id") == "key"
    tab.keyboard.type("lfi_not-this-one")
    tab.keyboard.press("Enter")
    tab.get_by_role("alert").wait_for()
    assert tab.get_by_role("alert").inner_text() == "There is no such key."
    page.errors.clear()  # the browser says that the form was answered with 403

    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    tab.set_viewport_size({"width": 1280, "height": 720})
    tab.get_by_label("API key").fill(SECRET)
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url(f"{guarded}/ui/?__theme=dark")
    tab.get_by_role("button", name="see an example").click()
    page.wait_for_maps()
    assert [cookie["httpOnly"] for cookie in context.cookies()] == [True]

    tab.goto(f"{guarded}/signin")
    assert tab.get_by_role("heading").inner_text() == "You are signed in"
    tab.get_by_role("button", name="Sign out").click()
    tab.get_by_label("API key").wait_for()
    tab.goto(f"{guarded}/ui/")
    assert tab.url.startswith(f"{guarded}/signin")

    assert [url for url in page.requests if not url.startswith((guarded, "data:", "blob:"))] == []
    assert page.errors == []
    context.close()


def test_pages_that_open_nothing_say_so_and_lead_home(chromium: Browser, guarded: str):
    context = chromium.new_context()
    tab = context.new_page()
    for path, said in {
        "/study": "This page needs an invitation",  # nobody has created a study
        "/admin": "There is nothing here",
        "/signin": "This service asks for a key",
    }.items():
        tab.goto(guarded + path)
        tab.get_by_role("heading", name=said).wait_for()
        assert Axe().run(tab).violations_count == 0
        tab.click(".lfi-wordmark a")
        tab.wait_for_url(f"{guarded}/signin?next=*")
    context.close()


def test_clients_behind_a_proxy_on_this_machine_are_told_apart(guarded: str):
    def attempt(forwarded: str) -> int:
        return httpx.post(f"{guarded}/signin", headers={"X-Forwarded-For": forwarded}).status_code

    assert [attempt("192.0.2.1") for _ in range(61)] == [403] * 60 + [429]
    assert attempt("192.0.2.2") == 403
    assert attempt("192.0.2.9, 192.0.2.1") == 429  # what the client itself claims, on the left, counts for nothing
