"""A batch on a service, from afar."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lfi.client.client import Client

OVER = ("done", "stopped", "failed")


@dataclass(frozen=True)
class BatchStatus:
    """How a batch stands.

    Attributes:
        state: `waiting`, `running`, `done`, `stopped` or `failed`.
        total, done: images.
        unread: why each image that could not be read could not be, by name.
        seconds_left: at the pace so far; None while nobody knows.
        problem: why it failed.
    """

    state: str
    total: int
    done: int
    unread: dict[str, str]
    seconds_left: float | None
    problem: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> BatchStatus:
        """Of `GET /v1/batches/ID`."""
        unread = {each["image"]: each["problem"] for each in body["unread"]}
        return cls(body["state"], body["total"], body["done"], unread, body["seconds_left"], body["problem"])


class RemoteBatch:
    """Asks a service about one of its batches. Made by `Client.batch`, or from an id kept from before.

    Every method raises `ProblemError` with status 404 once the batch was deleted or its time was over.
    """

    def __init__(self, client: Client, id: str):
        self.client, self.id = client, id

    def status(self) -> BatchStatus:
        """How it stands now."""
        return BatchStatus.of(self._get("").json())

    def wait(self, pause: float = 1.0, progress: Callable[[BatchStatus], None] | None = None) -> BatchStatus:
        """Wait until it is over.

        Args:
            pause: seconds between two questions.
            progress: is told how it stands, every time.
        """
        while True:
            status = self.status()
            if progress is not None:
                progress(status)
            if status.state in OVER:
                return status
            time.sleep(pause)

    def scores(self) -> list[dict[str, Any]]:
        """One row an image and word, of what is done: `image`, and the columns of `scores.csv`."""
        rows = self._get("/scores.json").json()["rows"]
        return [{"image": row["image"], **row["scores"]} for row in rows]

    def gallery(self) -> str:
        """The page of what is done, HTML that needs nothing else."""
        return self._get("/gallery").text

    def save(self, folder: str | Path) -> Path:
        """Write `index.html`, `scores.csv` and `maps/*.npz` of a batch that is over into a folder, and return it."""
        with zipfile.ZipFile(io.BytesIO(self._get("/batch.zip").content)) as archive:
            archive.extractall(folder)
        return Path(folder)

    def stop(self) -> BatchStatus:
        """Let it end after the image in work and keep what is done."""
        return BatchStatus.of(self.client.send("POST", f"v1/batches/{self.id}/stop").json())

    def delete(self) -> None:
        """End it and delete everything of it."""
        self.client.send("DELETE", f"v1/batches/{self.id}")

    def _get(self, what: str) -> Any:
        return self.client.send("GET", f"v1/batches/{self.id}{what}")
