"""The hostile corpus against a running service: what it answers, how long it takes, how much memory it uses."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.hostile import Upload

PROBLEM = "application/problem+json"


@dataclass
class Outcome:
    """The outcome.

    Attributes:
        statuses: how many answers had each.
        wrong: uploads with an answer that is neither 2xx nor a problem of the class 4xx, or with none: kind, number,
            what came.
        kinds: of each kind, how many were answered with maps and how many were refused.
        seconds: of each answer.
        memory: resident megabytes of the service: samples over time.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[tuple[str, int, str]] = field(default_factory=list)
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    peak: float = float("nan")


def send(client: httpx.Client, upload: Upload) -> httpx.Response:
    """One upload as a browser's form would send it."""
    files = {"image": (upload.name, upload.data, upload.media_type)}
    return client.post("/v1/maps", files=files, data={"words": upload.words})


def judged(answer: httpx.Response) -> str:
    """`maps`, `refused`, or what is wrong with the answer."""
    if answer.is_success:
        return "maps"
    if not answer.is_client_error:
        return f"status {answer.status_code}: {answer.text[:200]}"
    media_type = answer.headers.get("content-type", "none")
    return "refused" if media_type == PROBLEM else f"status {answer.status_code} as {media_type}"


def attack(url: str, uploads: Iterable[Upload], clients: int, process: int) -> Outcome:
    """Send all of them, `clients` at a time.

    Args:
        uploads: taken one by one, so that few are in memory.
        process: the service's, whose memory is read from `/proc`.
    """
    outcome = Outcome()
    lock = threading.Lock()
    numbered = enumerate(uploads)
    done = threading.Event()

    def work() -> None:
        with httpx.Client(base_url=url, timeout=120) as client:
            while True:
                with lock:
                    number, upload = next(numbered, (0, None))
                if upload is None:
                    return
                started = time.perf_counter()
                try:
                    answer = send(client, upload)
                    status, verdict = answer.status_code, judged(answer)
                except httpx.HTTPError as error:
                    status, verdict = 0, f"no answer: {type(error).__name__} {error}"
                with lock:
                    outcome.seconds.append(time.perf_counter() - started)
                    outcome.statuses[status] += 1
                    known = verdict in ("maps", "refused")
                    outcome.kinds.setdefault(upload.kind, Counter())[verdict if known else "wrong"] += 1
                    if not known:
                        outcome.wrong.append((upload.kind, number, verdict))

    def watch() -> None:
        while not done.wait(0.2):
            outcome.memory.append(memory(process, "VmRSS"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with ThreadPoolExecutor(clients) as pool:
            for worker in [pool.submit(work) for _ in range(clients)]:
                worker.result()
    finally:
        done.set()
        watcher.join()
    outcome.peak = memory(process, "VmHWM")
    return outcome


def memory(process: int, name: str) -> float:
    """Megabytes of a process as Linux counts them (`VmRSS` now, `VmHWM` at most); NaN where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith(name)), float("nan"))
