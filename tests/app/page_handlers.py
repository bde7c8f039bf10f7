"""The page's handlers with all the time there is, and what they are asked, for the tests of `app/ui`."""

from __future__ import annotations

import base64
import json

import numpy as np
from gradio.data_classes import DataWithFiles

from app.engine import Engine, Turn
from app.ui.handlers import Answer, Handlers
from app.ui.samples import Sample


class Unhurried:
    """Handlers whose requests have all the time there is."""

    def __init__(self, engine: Engine, samples: dict[str, Sample]):
        self.engine, self.settings, self.samples = engine, engine.settings, samples
        self._handlers = Handlers(engine, samples)
        self.describe, self.check, self.forget = self._handlers.describe, self._handlers.check, self._handlers.forget

    def compare(self, payload: object) -> Answer:
        return self._handlers.compare(payload, Turn())

    def download(self, payload: object) -> Answer:
        return self._handlers.download(payload, Turn())

    def rank(self, payload: object) -> Answer:
        return self._handlers.rank(payload, Turn())

    def measure(self, payload: object) -> Answer:
        return self._handlers.measure(payload, Turn())

    def keep(self, payload: object) -> Answer:
        return self._handlers.keep(payload, Turn())


def form(request: object, *files: bytes) -> DataWithFiles:
    return DataWithFiles(data={"request": json.dumps(request)}, files=[("x.png", data) for data in files])


def values(block: dict) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(block["values"]), "<f4")
    return flat.reshape(len(block["layers"]), len(block["names"]), *block["grid"])
