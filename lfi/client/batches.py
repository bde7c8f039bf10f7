"""A batch on a remote service."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfi.client import calls
from lfi.client.answers import BatchStatus

if TYPE_CHECKING:
    from lfi.client.client import Client


class RemoteBatch:
    """Asks a service about one of its batches. Made by `Client.batch`, or from the id of an earlier batch.

    Every method raises `ProblemError` with status 404 once the batch has been deleted or has expired.
    """

    def __init__(self, client: Client, id: str):
        self.client, self.id = client, id

    def status(self) -> BatchStatus:
        """Its current state."""
        return self.client.ask(calls.batch_status(self.id))

    def wait(self, pause: float = 1.0, progress: Callable[[BatchStatus], None] | None = None) -> BatchStatus:
        """Wait until it is over and its results are there.

        Args:
            pause: seconds between two polls.
            progress: called with the state after every poll.
        """
        while True:
            status = self.status()
            if progress is not None:
                progress(status)
            if status.finished:
                return status
            time.sleep(pause)

    def scores(self) -> list[dict[str, Any]]:
        """One row per image and word, of what is done: `image`, and the columns of `scores.csv`."""
        return self.client.ask(calls.batch_scores(self.id))

    def gallery(self) -> str:
        """The gallery of what is done, as self-contained HTML."""
        return self.client.ask(calls.batch_gallery(self.id))

    def save(self, folder: str | Path) -> Path:
        """Write `index.html`, `scores.csv` and `maps/*.npz` of a finished batch into a folder, and return it."""
        return self.client.ask(calls.batch_saved(self.id, folder))

    def stop(self) -> BatchStatus:
        """Stop it after the current image and keep what is done."""
        return self.client.ask(calls.batch_stopped(self.id))

    def delete(self) -> None:
        """Cancel it and delete everything that belongs to it."""
        self.client.ask(calls.batch_deleted(self.id))
