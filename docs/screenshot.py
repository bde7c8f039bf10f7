"""Takes the README's picture of the page from a running app: `python docs/screenshot.py http://127.0.0.1:7860`."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1060})
        page.goto(f"{address}/ui/")
        page.wait_for_selector(".lfi[data-stage=empty]", timeout=60_000)
        page.locator("[data-sample]").first.click()
        page.wait_for_selector(".lfi-panel canvas")
        page.wait_for_timeout(2000)
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.convert("RGB").save(Path(__file__).parent / "page.webp", quality=82)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:] or ["http://127.0.0.1:7860"])
