"""Every way in to the engine, used as people use it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

from fastapi.testclient import TestClient
from gradio.data_classes import DataWithFiles
from PIL import Image

from app.cli import main
from app.engine import Engine, File
from app.study.creation import create_study
from app.study.sample import write_sample
from app.ui.handlers import Handlers
from app.ui.inspector import admitted
from app.ui.studyitems import study_items

OWNER = {"token": "an owner's secret token"}
_AGENT = {"Accept": "application/json, text/event-stream", "Host": "127.0.0.1"}
_ORIGIN = {"Origin": "http://testserver"}


class Door:
    """One way in, used as people use it. `patient` doors are not refused: they try again."""

    patient = False

    def __init__(self, service: TestClient, folder: Path):
        self.service, self.folder = service, folder
        self.engine: Engine = service.app.state.engine

    def ask(self, word: str, picture: bytes) -> str:
        """Ask for maps. What it says where it gives none; nothing where all is well."""
        raise NotImplementedError


class Api(Door):
    def ask(self, word: str, picture: bytes) -> str:
        answer = self.service.post("/v1/maps", files={"image": picture}, data={"words": word})
        return "" if answer.status_code == 200 else answer.json()["detail"]


class Page(Door):
    def __init__(self, service: TestClient, folder: Path):
        super().__init__(service, folder)
        self.handlers = Handlers(self.engine, {})

    def ask(self, word: str, picture: bytes) -> str:
        sent = DataWithFiles(data={"request": f'{{"words": ["{word}"]}}'}, files=[("x.png", picture)])
        answer = self.service.portal.call(admitted, self.engine, partial(self.handlers.compare, sent))
        return "" if "view" in answer else answer["error"]["message"]


class Agents(Door):
    def ask(self, word: str, picture: bytes) -> str:
        asked = {"image": base64.b64encode(picture).decode(), "words": [word], "overlays": False}
        call = {"name": "interaction_maps", "arguments": asked}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answer = self.service.post("/mcp", json=body, headers=_AGENT).json()["result"]
        return answer["content"][0]["text"] if answer["isError"] else ""


class Batches(Door):
    patient = True

    def send(self, word: str, picture: bytes) -> str:
        """The link to a batch of the picture, twice; what is wrong where there is none."""
        files = [("images", (name, picture)) for name in ("a.png", "b.png")]
        answer = self.service.post("/v1/batches", files=files, data={"words": word})
        return answer.json()["links"]["status"] if answer.status_code == 202 else answer.json()["detail"]

    def ask(self, word: str, picture: bytes) -> str:
        link = self.send(word, picture)
        if not link.startswith("/"):
            return link
        until(lambda: self.service.get(f"{link}/batch.zip").status_code == 200)
        status = self.service.get(link).json()
        self.service.delete(link)
        return status["problem"] or "".join(each["problem"] for each in status["unread"])


class Studies(Door):
    def __init__(self, service: TestClient, folder: Path):
        super().__init__(service, folder)
        plan = write_sample(folder, "sample", items=2, overlap=1, trials=2)
        plan.write_text(f'trio = "tiny"\n{plan.read_text()}')
        create_study(service.app.state.studies, plan, self.engine)
        self.service.post("/admin/login", data=OWNER, headers=_ORIGIN)

    def ask(self, word: str, picture: bytes) -> str:
        items = study_items([word], Image.open(io.BytesIO(picture)), File(picture).sha256)
        csrf = self.service.get("/admin/drafts.json").json()["csrf"]
        sent = {"data": {"csrf": csrf}, "files": {"file": ("items.zip", items)}, "headers": _ORIGIN}
        answer = self.service.post("/admin/sample/items", **sent)
        return "" if answer.status_code == 200 else answer.json()["detail"]


class BatchCommand(Door):
    def ask(self, word: str, picture: bytes) -> str:
        pictures = self.folder / "pictures"
        pictures.mkdir(exist_ok=True)
        for name in ("a.png", "b.png"):
            (pictures / name).write_bytes(picture)
        return self.run("batch", pictures, "--word", word, "--out", self.folder / word)

    def run(self, *arguments: object) -> str:
        trio = self.engine.settings.models_dir / self.engine.settings.trio
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                main([*map(str, arguments), "--trio", str(trio)])
        except SystemExit as stop:
            return said.getvalue() if stop.code else ""
        return ""


class MapsCommand(BatchCommand):
    def ask(self, word: str, picture: bytes) -> str:
        (self.folder / "a.png").write_bytes(picture)
        return self.run("maps", self.folder / "a.png", "--word", word, "--out", self.folder / "out")


SERVED: tuple[type[Door], ...] = (Api, Page, Agents, Batches, Studies)
"""Commands have no admission and no deadline: the process is theirs alone, and Ctrl+C ends it."""
ALL = (*SERVED, BatchCommand, MapsCommand)


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
