"""The real service in its own process, and a real Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from inspector_page import InspectorPage
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from app.settings import STATIC

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
Open = Callable[..., InspectorPage]
expect.set_options(timeout=30_000)  # two tests share two cores, and some wait for a whole batch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")  # not longer: while it runs, so does its event loop, and no test can start another
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        reason = "no chromium on the PATH; Debian's package `chromium` has one"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def models(request: pytest.FixtureRequest) -> Path:
    """Folder of the default trio, or of the tests' tiny one where the default has not been trained."""
    default = STATIC / "models" / "scenes"
    return default if (default / "card.json").is_file() else request.getfixturevalue("trio_folder")


@pytest.fixture(scope="session")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the running service, its models warm."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("service") / "log"
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
    command += ["--models-dir", str(models.parent), "--trio", models.name]
    with log.open("w") as output:
        environment = os.environ | {"LFI_KEPT_FOLDER": str(log.parent / "kept")}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the service did not become ready:\n{log.read_text()}")


@pytest.fixture(scope="module")
def profile(chromium: Browser) -> Iterator[BrowserContext]:
    """One browser profile for all tests of a file, so that scripts are fetched and compiled once."""
    context = chromium.new_context(accept_downloads=True)
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def open_page(profile: BrowserContext, service: str) -> Iterator[Open]:
    """`open_page(width=..., height=..., dark=...)`: the inspector in a new tab.

    Whatever a test does, its pages may ask no other host and log no error.
    """
    opened: list[InspectorPage] = []

    def open_page(width: int = 1440, height: int = 900, dark: bool = False) -> InspectorPage:
        tab = profile.new_page()
        tab.set_viewport_size({"width": width, "height": height})
        page = InspectorPage(tab, service)
        opened.append(page)
        page.load(dark)
        return page

    yield open_page
    for page in opened:
        page.page.close()
    ours = (service, "data:", "blob:")
    assert [url for page in opened for url in page.requests if not url.startswith(ours)] == []
    assert [error for page in opened for error in page.errors] == []
