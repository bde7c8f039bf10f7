"""The records of a run: in memory, as JSON lines, for TensorBoard, and as a plot at the end.

A line is written when it is made. After a crash the file may know more than the last checkpoint: resuming cuts it back.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lfi.training.curves import plot_records
from lfi.training.tracking import Tracker
from lfi.writing import whole

Record = dict[str, float]


class Logbook:
    """Records of a run in `folder` (nothing is written without one).

    Args:
        start: steps that are done; records after it belong to what is done again, and go.
        tracker: gets every record as well.
    """

    def __init__(self, folder: Path | None, start: int = 0, tensorboard: bool = True, tracker: Tracker | None = None):
        self.folder, self._tracker = folder, tracker
        self.records: list[Record] = []
        self._file: Any = None
        self._board: Any = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        self.records = [record for record in read_records(path) if record["step"] <= start] if start else []
        with whole(path) as part:
            part.write_text("".join(_line(record) for record in self.records))
        self._file = path.open("a")
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            for old in [] if start else (folder / "tensorboard").glob("events.out.tfevents.*"):
                old.unlink()
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1 if start else None)

    def add(self, record: Record) -> None:
        """Keep a record; `step` stands in it."""
        self.records.append(record)
        if self._file:
            self._file.write(_line(record))
            self._file.flush()
        if self._tracker:
            self._tracker.add(record)
        if self._board:
            for name, value in record.items():
                if name != "step":
                    self._board.add_scalar(name.replace("/", " per "), value, int(record["step"]))

    def sync(self) -> None:
        """To the disk, before a checkpoint that counts on these records."""
        if self._file:
            os.fsync(self._file.fileno())
        if self._board:
            self._board.flush()

    def close(self, title: str = "") -> None:
        """Plot the curves into `loss.png` and close the files."""
        if self._board:
            self._board.close()
        if self._tracker:
            self._tracker.close()
        if self._file:
            self._file.close()
        if self.folder:
            plot_records(self.records, self.folder / "loss.png", title)


def read_records(path: Path) -> list[Record]:
    """The records of a `metrics.jsonl`, up to the first line that a crash cut short; none where there is no file."""
    records: list[Record] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"
