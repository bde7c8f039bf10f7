"""A service with a study, in its own process, that can be stopped, killed and started again on the same port."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from unittest import mock

from app.cli import cli

OWNER = "an owner's secret token"

PLAN = """
name = "pilot"
languages = ["en", "de"]
trio = "{trio}"
side = 320
[rating]
overlap = 1
trials = 4
[pair]
overlap = 1
trials = 2
[completion]
code = "C0DE-42"
[analysis]
min_response_ms = 150
max_failed_catch = 0
[texts.en]
title = "Maps and words"
consent = "We **store** your answers."
instructions = "Look at the picture."
thanks = "That helped."
[texts.de]
title = "Karten und Wörter"
consent = "Wir **speichern** Ihre Antworten."
instructions = "Sehen Sie das Bild an."
thanks = "Das hat geholfen."
[[practice]]
image = "{samples}/solids.jpg"
word = "red ball"
shown = {{ de = "rote Kugel" }}
box = [0.1, 0.16, 0.38, 0.44]
expected = [4, 5]
feedback = {{ en = "The ball is highlighted.", de = "Die Kugel ist hervorgehoben." }}
[[catch]]
image = "{samples}/solids.jpg"
word = "blue cube"
box = [0.0, 0.8, 0.2, 1.0]
expected = [1, 2]
"""
_ITEMS = (
    ("paper", "star"),
    ("table", "star"),
    ("evening", "moon"),
    ("scene-photo", "moon"),
    ("scene-sketch", "circle"),
)


class StudyService:
    """The service of one folder. `address` stays the same over restarts."""

    def __init__(self, folder: Path, models: Path, samples: Path, shell: str = "gradio"):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "LFI_STUDY_FOLDER": str(folder / "study"),
            "LFI_ADMIN_TOKEN": OWNER,
            "LFI_MODELS_DIR": str(models.parent),
            "LFI_TRIO": models.name,
            "LFI_STUDY_PAGE": shell,
        }
        self.page = f"{self.address}/study" + "/" * (shell == "gradio")
        plan = PLAN.format(trio=models.name, samples=samples)
        for image, word in _ITEMS:
            plan += f'[[items]]\nimage = "{samples}/{image}.jpg"\nword = "{word}"\n'
        (folder / "pilot.toml").write_text(plan, encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def lfi(self, *arguments: object) -> str:
        """What `lfi study ...` prints; run in this process, where everything is imported already."""
        printed = io.StringIO()
        with mock.patch.dict(os.environ, self.environment), contextlib.redirect_stdout(printed):
            cli(args=["study", *map(str, arguments)], standalone_mode=False)
        return printed.getvalue().strip()

    def start(self, seconds: float = 240) -> None:
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.2)
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/healthz", timeout=30):
                return
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None
