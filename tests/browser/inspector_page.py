"""What a visitor does on the inspector page, and what they see, in the tests' words."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Route

MODELS = ("teacher", "lfi", "baseline")
HANDLERS = re.compile("/component_server")

_PANELS = """() => Object.fromEntries([...document.querySelectorAll('.lfi-panel')].map(panel => {
    const picture = panel.querySelector('img');
    const canvas = panel.querySelector('canvas');
    const facts = [...panel.querySelectorAll('dt')].map(dt => [dt.textContent, dt.nextSibling.textContent]);
    return [panel.dataset.model, {
        picture: picture.complete ? picture.naturalWidth : 0,
        size: [canvas.width, canvas.height],
        shown: !canvas.hidden && canvas.clientWidth > 0,
        label: canvas.getAttribute('aria-label'),
        map: canvas.toDataURL(),
        facts: Object.fromEntries(facts),
    }];
}))"""


@dataclass(frozen=True)
class Panel:
    """One model's panel as it stands on the screen.

    Attributes:
        picture: natural width of the decoded picture, 0 while there is none.
        map: the map alone, RGBA, as a PNG data URI.
        facts: what is written under the map.
    """

    picture: int
    size: tuple[int, int]
    shown: bool
    label: str
    map: str
    facts: dict[str, str]


def picture_in(uri: str) -> Image.Image:
    """The picture that a data URI holds."""
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


class Held:
    """Questions to one of the service's handlers, which wait until they are let go."""

    def __init__(self, page: Page, name: str):
        self.page = page
        self.waiting: list[Route] = []
        self._holding = True
        self._asks = re.compile(rb'fn_name"(:\s*"|\s+)' + name.encode() + rb"\b")
        page.route(HANDLERS, self._take)

    def wait(self, count: int = 1) -> None:
        """Until as many have been asked."""
        for _ in range(400):
            if len(self.waiting) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.waiting)} of {count} questions were asked")

    def end(self) -> None:
        """Let them go, and whatever is asked later."""
        self._holding = False
        while self.waiting:
            self.waiting.pop(0).continue_()

    def _take(self, route: Route) -> None:
        if self._holding and self._asks.search(route.request.post_data_buffer or b""):
            self.waiting.append(route)
        else:
            route.fallback()


class InspectorPage:
    """The page in one browser tab. `requests` and `errors` hold everything it asked and complained about."""

    def __init__(self, page: Page, address: str):
        self.page = page
        self.address = address
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._asked)
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def load(self, dark: bool = False) -> None:
        self.page.goto(f"{self.address}/ui/" + ("?__theme=dark" if dark else ""))
        self.page.wait_for_selector(".lfi[data-stage=empty]", timeout=60_000)

    def upload(self, file: Path) -> None:
        self.page.set_input_files("#lfi-file", file)

    def load_picture(self, file: Path) -> None:
        """The page with a picture of one's own on it, and no word yet."""
        self.load()
        self.upload(file)
        self.page.wait_for_selector(".lfi[data-stage=picture]:not([data-busy])")

    def type_word(self, text: str) -> None:
        self.page.fill("#lfi-word", text)
        self.page.press("#lfi-word", "Enter")

    def choose_sample(self, name: str = "paper") -> None:
        self.page.locator(f"[data-sample={name}]").click()
        self.wait_for_maps()

    def wait_for_maps(self, word: str | None = None) -> None:
        """Until maps are on screen (of this word, if one is given) and nothing is under way."""
        self.page.wait_for_selector(".lfi[data-stage=maps]:not([data-busy])")
        if word is not None:
            self.page.get_by_role("heading", name=f"Where they look for “{word}”").wait_for()

    def panels(self) -> dict[str, Panel]:
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.lfi-panel img')].every(img => img.naturalWidth > 0)"
        )
        found = self.page.evaluate(_PANELS)
        return {model: Panel(**{**panel, "size": tuple(panel["size"])}) for model, panel in found.items()}

    def maps(self) -> dict[str, str]:
        return {model: panel.map for model, panel in self.panels().items()}

    def chips(self) -> list[str]:
        return self.page.locator(".lfi-chip-word").all_text_contents()

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def questions(self) -> int:
        """Requests to the service's handlers so far."""
        return sum("/component_server" in url for url in self.requests)

    def hold(self, name: str) -> Held:
        """Questions of this name wait from now on."""
        return Held(self.page, name)

    def boxes(self, selector: str) -> list[dict[str, float] | None]:
        return [one.bounding_box() for one in self.page.locator(selector).all()]

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def _logged(self, message: ConsoleMessage) -> None:
        # Browsers ask for an icon by themselves, on any page.
        if message.type == "error" and "favicon" not in message.location.get("url", ""):
            self.errors.append(message.text)
