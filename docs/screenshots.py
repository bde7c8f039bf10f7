"""Takes the pictures of every page that docs and README show: `python docs/screenshots.py`.

It starts a service of its own in a temporary folder, with the trio that ships and the study of `docs/study.toml`, and
visits it with Debian's Chromium, so nothing but the pictures stays behind.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TOKEN = "a token for pictures"
LARGEST, LARGEST_MOVING = 120_000, 600_000
PHONE = 360


class Visit:
    """One browser that looks at one service."""

    def __init__(self, browser: Browser, address: str):
        self.browser, self.address = browser, address

    def page(self, path: str, width: int = 1280, height: int = 1000) -> Page:
        page = self.browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(120_000)
        page.goto(self.address + path)
        return page

    def inspector(self, query: str = "", **size: int) -> Page:
        page = self.page(f"/ui/?image=sample:coffee{query}", **size)
        page.wait_for_selector(".lfi[data-stage=maps]:not([data-busy])")
        page.wait_for_function("() => [...document.images].every(each => each.complete)")
        return page


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as (address, lfi), sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        visit = Visit(browser, address)
        show_inspector(visit)
        show_batch(visit)
        show_study(visit, lfi, Path(folder))
        save(visit.page("/a-typing-error", height=420), "error")
        browser.close()


def show_inspector(visit: Visit) -> None:
    page = visit.inspector()
    save_moving(page, DOCS / "page.webp")
    save(page.locator("#lfi-film"), "film")
    page.locator(".lfi-panel[data-model=lfi] .lfi-stack").hover(position={"x": 205, "y": 75})
    save(page.locator(".lfi-maps"), "patch")
    mark_region(page)
    save(page.locator(".lfi-closer"), "closer")
    save(page.locator("#lfi-share"), "share")
    save(visit.inspector("&__theme=dark"), "inspector-dark")
    save(visit.inspector("&columns=lfi,baseline:rollout", width=PHONE, height=1500), "inspector-phone")
    empty = visit.page("/ui/")
    empty.wait_for_selector(".lfi[data-stage=empty]")
    save(empty, "inspector-empty")


def mark_region(page: Page) -> None:
    pad = page.locator(".lfi-marking")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.57 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.43 * box["height"], steps=3)
    page.mouse.up()
    page.wait_for_selector(".lfi-inside")
    page.mouse.move(2, 2)


def show_batch(visit: Visit) -> None:
    page = visit.page("/batch")
    page.set_input_files("#batch-images", sorted((ROOT / "static/samples").glob("*.jpg")))
    page.fill("#batch-words", "cup, cat, person")
    page.click("#batch-start")
    page.wait_for_selector("#batch-gallery:not([hidden])")
    page.wait_for_timeout(2000)  # the gallery is a page of its own
    save(page, "batch")


def show_study(visit: Visit, lfi: Callable[..., str], folder: Path) -> None:
    lfi("study", "create", str(DOCS / "study.toml"))
    lfi("study", "open", "pilot")
    link = lfi("study", "preview", "pilot", "--address", visit.address).strip()
    page = visit.page(link.removeprefix(visit.address))
    page.check("#study-agree")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=instructions]")
    page.click("#study-continue")
    page.wait_for_selector("#study[data-stage=practice] #study-answers button:enabled")
    page.wait_for_function("() => [...document.images].every(each => each.complete)")
    save(page, "study-trial")
    plan = folder / "simulated-pilot.toml"
    text = (DOCS / "study.toml").read_text(encoding="utf-8").replace('"../static', f'"{ROOT}/static')
    plan.write_text(text.replace('name = "pilot"', f'name = "{plan.stem}"'), encoding="utf-8")
    lfi("study", "create", str(plan))
    lfi("study", "open", plan.stem)
    lfi("study", "simulate", "--url", visit.address, "--study", plan.stem, "--raters", "20", "--think", "0")
    owner = visit.page("/admin")
    save(owner, "study-sign-in")
    owner.fill("#token", TOKEN)
    owner.click("text=Sign in")
    owner.click(f"text={plan.stem}")
    owner.wait_for_selector("text=Response times")
    save(owner, "study-owner")


def save_moving(page: Page, path: Path) -> None:
    """The page on its way through the layers, forth and back, as an animated WebP of at most `LARGEST_MOVING` bytes."""
    depth = page.locator("#lfi-depth")
    last = int(depth.get_attribute("max") or 0)
    shown = int(depth.input_value())
    frames = []
    for position in range(last + 1):
        depth.fill(str(position))
        page.wait_for_timeout(400)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        frames.append(picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS))
    depth.fill(str(shown))
    order = [*range(last + 1), *range(last - 1, 0, -1)]
    for quality in range(80, 20, -10):
        buffer = io.BytesIO()
        first, *others = [frames[index] for index in order]
        first.save(buffer, "WEBP", save_all=True, append_images=others, duration=700, loop=0, quality=quality, method=6)
        if buffer.tell() <= LARGEST_MOVING:
            break
    path.write_bytes(buffer.getvalue())
    print(f"{path.relative_to(ROOT)}: {len(order)} frames, {buffer.tell() / 1000:.0f} kB")


def save(shown: Page | Locator, where: Path | str) -> None:
    """A screenshot as WebP of at most `LARGEST` bytes."""
    path = DOCS / "images" / f"{where}.webp" if isinstance(where, str) else where
    picture = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    for quality in range(84, 20, -8):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= LARGEST:
            break
    path.write_bytes(buffer.getvalue())
    print(f"{path.relative_to(ROOT)}: {picture.width} x {picture.height} pixels, {buffer.tell() / 1000:.0f} kB")


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, Callable[..., str]]]:
    """A service whose models are warm: its address, and a function that runs `lfi` beside it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "LFI_STUDY_FOLDER": str(folder / "study"),
        "LFI_KEPT_FOLDER": str(folder / "kept"),
        "LFI_ADMIN_TOKEN": TOKEN,
    }

    def lfi(*words: str) -> str:
        command = [sys.executable, "-m", "lfi", *words]
        return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    process = subprocess.Popen([sys.executable, "-m", "lfi", "serve", "--port", str(port)], env=environment, cwd=ROOT)
    try:
        wait(f"{address}/readyz", process)
        yield address, lfi
    finally:
        process.terminate()
        process.wait(60)


def wait(address: str, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(address, timeout=30):
            return
        time.sleep(0.5)
    raise SystemExit(f"{address} did not answer")


if __name__ == "__main__":
    main()
