"""Dark or light is one choice with one control, on every page, and made before anything is painted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from serving import served

from app.keys import new_key

SECRET, KEY = new_key("ann", ["maps"])
PAGES = {
    "/ui/": "ui",
    "/batch": "batch",
    "/study": "study",
    "/admin": "admin",
    "/signin": "signin",
    "/nothing": "error",
}
DARK, LIGHT = "rgb(20, 22, 26)", "rgb(248, 247, 243)"
EARLY = """document.addEventListener("DOMContentLoaded", () => {
    window.early = getComputedStyle(document.body).backgroundColor;
});"""


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service that has every page there is."""
    folder = tmp_path_factory.mktemp("themed")
    more = {"LFI_STUDY_FOLDER": str(folder), "LFI_ADMIN_TOKEN": "an owner's secret token"}
    with served(models, folder, LFI_API_KEYS=KEY.line(), **more) as url:
        yield url


def visitor(chromium: Browser, service: str, scheme: str) -> BrowserContext:
    """Somebody who is signed in and whose system prefers this scheme."""
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 360, "height": 740})
    context.set_default_timeout(60_000)
    context.add_init_script(EARLY)
    tab = context.new_page()
    tab.goto(f"{service}/signin")
    tab.get_by_label("API key").fill(SECRET)
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url(f"{service}/ui/")
    tab.close()
    return context


def looks(tab: Page, address: str) -> tuple[str, str, str]:
    """Backgrounds when the page was parsed and once its control is there, and what the control offers."""
    tab.goto(address)
    button = tab.locator("[data-theme]")
    button.wait_for()
    return tab.evaluate("early"), tab.evaluate("getComputedStyle(document.body).backgroundColor"), button.inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_follows_the_system_until_somebody_chooses(chromium, service, scheme):
    context = visitor(chromium, service, scheme)
    tab = context.new_page()
    of_system, other = ((LIGHT, LIGHT, "Dark"), (DARK, DARK, "Light"))[:: 1 if scheme == "light" else -1]
    assert {name: looks(tab, service + path) for path, name in PAGES.items()} == dict.fromkeys(
        PAGES.values(), of_system
    )
    for path in PAGES:
        tab.goto(service + path)
        tab.get_by_role("button", name=of_system[2]).click()
        expect(tab.get_by_role("button", name=other[2], exact=True)).to_be_visible()
        assert Axe().run(tab).violations_count == 0, path
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert {name: looks(tab, service + each) for each, name in PAGES.items()} == dict.fromkeys(
            PAGES.values(), other
        )
        tab.evaluate("localStorage.clear()")
    context.close()


def test_the_address_of_a_page_can_ask_for_either(chromium, service):
    context = visitor(chromium, service, "light")
    tab = context.new_page()
    for path in PAGES:
        assert looks(tab, f"{service}{path}?__theme=dark") == (DARK, DARK, "Light")
        assert looks(tab, service + path) == (LIGHT, LIGHT, "Dark")
    looks(tab, f"{service}/ui/?__theme=dark")
    tab.get_by_role("button", name="Light").click()
    expect(tab).to_have_url(f"{service}/ui/")
    context.close()


def test_an_open_page_follows_the_system_and_other_tabs(chromium, service):
    context = visitor(chromium, service, "light")
    tab, other = context.new_page(), context.new_page()
    for each, path in ((tab, "/ui/"), (other, "/admin")):
        looks(each, service + path)
        each.emulate_media(color_scheme="dark")
        expect(each.get_by_role("button", name="Light")).to_be_visible()
    other.get_by_role("button", name="Light").click()
    expect(tab.get_by_role("button", name="Dark")).to_be_visible()
    expect(tab.locator("body")).to_have_css("background-color", LIGHT)
    context.close()


def test_without_scripts_there_is_no_control_that_does_nothing(chromium, service):
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    for path in ("/admin", "/signin", "/nothing"):
        tab.goto(service + path)
        expect(tab.locator("[data-theme]")).to_be_hidden()
    context.close()
