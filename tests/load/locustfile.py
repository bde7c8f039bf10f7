"""People who use the service, for locust: some look around on the page, most ask for maps with a program.

    locust --locustfile tests/load/locustfile.py --host http://127.0.0.1:7860 --users 20 --spawn-rate 2

Without its own page: `--headless --run-time 5m`. With a key: LFI_KEY=lfi_... before it. A 429 or 503 with `Retry-After`
is the service's manners and no failure; the user waits as told.
"""

from __future__ import annotations

import io
import os
import random
import time

from locust import HttpUser, between, task
from PIL import Image

WORDS = ("circle", "star", "ring", "red", "blue", "red circle", "green heart")


class Asker(HttpUser):
    """Asks for maps: of a new picture now and then, mostly new words on one that it sent before."""

    weight = 4
    wait_time = between(0.5, 2)

    def on_start(self) -> None:
        key = os.environ.get("LFI_KEY")
        if key:
            self.client.headers["Authorization"] = f"Bearer {key}"
        self.picture = _picture()

    @task(6)
    def new_word(self) -> None:
        self._ask("POST /v1/maps, known picture")

    @task(2)
    def new_picture(self) -> None:
        self.picture = _picture()
        self._ask("POST /v1/maps, new picture")

    @task(1)
    def models(self) -> None:
        self.client.get("/v1/models")

    def _ask(self, name: str) -> None:
        form = {"files": {"image": ("photo.jpg", self.picture, "image/jpeg")}, "data": {"words": random.choice(WORDS)}}
        with self.client.post("/v1/maps", **form, name=name, catch_response=True) as answer:
            if answer.status_code in (429, 503) and "Retry-After" in answer.headers:
                answer.success()
                time.sleep(float(answer.headers["Retry-After"]))


class Visitor(HttpUser):
    """Opens the page and reads what it is made of."""

    weight = 1
    wait_time = between(2, 6)

    def on_start(self) -> None:
        key = os.environ.get("LFI_KEY")
        if key:
            self.client.headers["Authorization"] = f"Bearer {key}"

    @task
    def page(self) -> None:
        for path in ("/ui/", "/ui/config", "/openapi.json"):
            self.client.get(path)


def _picture(side: int = 320) -> bytes:
    coarse = Image.frombytes("RGB", (6, 6), random.randbytes(108))
    buffer = io.BytesIO()
    coarse.resize((side, side), Image.Resampling.NEAREST).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
