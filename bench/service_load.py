"""`lfi benchmark serve`: the real service in its own process, asked over loopback HTTP.

Its time is given in units of the bare forward passes of its three models, measured in between in this process, so a
machine that slows down slows both. Requests are what the API is asked for: a 256 px JPEG and one phrase in, the raw
maps of all three models in every layer out as JSON. Bodies are made beforehand: what a client does is not measured.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from lfi.data.scenes import Scenes
from lfi.errors import DataError
from lfi.trio import Trio

SIDE = 256
_BOUNDARY = "lfi-benchmark"
_HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "Accept": "application/json"}
_SCENES = 128
CACHED = _SCENES // 2
"""Images that the service may remember: fewer than there are, or it would know their pixels when they come again."""
_WARM = 5


class RequestBodies:
    """Bodies of requests, each phrase and each image a new one unless told otherwise.

    Args:
        vocabulary: words that the models know.
    """

    def __init__(self, vocabulary: tuple[str, ...], seed: int = 0):
        self.vocabulary = vocabulary
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._scenes = [_jpeg(scene.image) for scene in Scenes(_SCENES, seed, SIDE)]

    def image(self) -> bytes:
        """A JPEG that a service does not know: the scene that was longest away, with a comment of its own."""
        number = next(self._numbers)
        scene, comment = self._scenes[number % _SCENES], f"{number}".encode()
        return scene[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + scene[2:]

    def phrase(self) -> str:
        """Two to five words in an order that hardly comes twice."""
        return " ".join(self._random.choices(self.vocabulary, k=self._random.randint(2, 5)))

    def body(self, image: bytes, phrase: str) -> bytes:
        """A whole multipart form."""
        lines = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="words"\r\n\r\n{phrase}\r\n'.encode(),
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="scene.jpg"\r\n'.encode(),
            b"Content-Type: image/jpeg\r\n\r\n" + image + b"\r\n",
            f"--{_BOUNDARY}--\r\n".encode(),
        ]
        return b"".join(lines)


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, body: bytes) -> tuple[int, float]:
        """Status of the answer, and seconds from the first byte sent to the last one read."""
        start = time.perf_counter()
        self._connection.request("POST", "/v1/maps", body, _HEADERS)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - start


class ForwardPasses:
    """The forward passes of the three models alone: tensors in, tensors out, for one image and one phrase."""

    def __init__(self, trio: Trio):
        self.trio = trio
        image = Image.new("RGB", (SIDE, SIDE), "white")
        self._pixels = [model.preprocess([image]) for model in (trio.teacher, trio.lfi, trio.baseline)]

    def seconds(self, phrase: str) -> float:
        """Of one pass of each."""
        teacher = self.trio.teacher
        ids = teacher.tokenizer([phrase], teacher.context_length)
        start = time.perf_counter()
        with torch.inference_mode():
            teacher.model(self._pixels[0], ids)
            self.trio.lfi(self._pixels[1])
            self.trio.baseline(self._pixels[2])
        return time.perf_counter() - start


def latencies(bare: ForwardPasses, client: Client, requests: RequestBodies, rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each round's bare passes, first request and new word on the image of that request."""
    taken: dict[str, list[float]] = {"bare": [], "first": [], "word": []}
    for number in tqdm(range(rounds + _WARM), desc="latency", unit="round", dynamic_ncols=True):
        image = requests.image()
        for name in ("bare", "first", "word") if number % 2 else ("first", "word", "bare"):
            phrase = requests.phrase()
            seconds = bare.seconds(phrase) if name == "bare" else _answered(client, requests.body(image, phrase))
            if number >= _WARM:
                taken[name].append(seconds)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def throughput(port: int, requests: RequestBodies, clients: int, rounds: int, seconds: float) -> np.ndarray:
    """First requests answered per second by one client and by several, turn by turn, `[round, 2]`."""
    found = []
    for number in tqdm(range(rounds), desc="throughput", unit="round", dynamic_ncols=True):
        order = (1, clients) if number % 2 else (clients, 1)
        rates = {count: _rate(port, requests, count, seconds) for count in order}
        found.append((rates[1], rates[clients]))
    return np.array(found)


@dataclass
class Endurance:
    """The result of a long load.

    Attributes:
        statuses: answers by status; 0 where there was none.
        seconds: time of every answer.
        memory: bytes that the service held, along the way; the first is taken after the warm-up.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Of the memory, in percent: the last tenth of the samples over the first tenth."""
        tenth = max(1, len(self.memory) // 10)
        return 100 * (float(np.median(self.memory[-tenth:])) / float(np.median(self.memory[:tenth])) - 1)


def endure(
    port: int, pid: int, requests: RequestBodies, clients: int, warm: int, count: int, minutes: float
) -> Endurance:
    """Many clients at once, new images and new words by turns, until there were `count` requests or time is over.

    Args:
        pid: of the service.
        warm: requests that come before the first look at its memory.
    """
    found, lock, begun = Endurance(), threading.Lock(), itertools.count()
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    every = max(1, count // 200) if count else 100
    bar = tqdm(total=(warm + count) or None, desc="endurance", unit="request", dynamic_ncols=True)

    def visit() -> None:
        client, image = Client(port), b""
        while (number := next(begun)) < (warm + count if count else float("inf")) and time.monotonic() < end:
            with lock:
                image = requests.image() if not image or number % 2 else image
                body = requests.body(image, requests.phrase())
            try:
                status, seconds = client.ask(body)
            except (OSError, http.client.HTTPException):
                status, seconds, client = 0, 0.0, Client(port)
            with lock:
                bar.update()
                found.statuses[status] += 1
                found.seconds.append(seconds)
                if number >= warm and number % every == 0:
                    found.memory.append(resident(pid))

    _together(clients, visit)
    bar.close()
    return found


def resident(pid: int) -> int:
    """Bytes of memory that a process holds (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise DataError(f"/proc/{pid}/status does not say how much memory the process holds")


def _rate(port: int, requests: RequestBodies, clients: int, seconds: float) -> float:
    answered, lock, end = [0], threading.Lock(), time.monotonic() + seconds
    start = time.monotonic()

    def visit() -> None:
        client = Client(port)
        while time.monotonic() < end:
            with lock:
                body = requests.body(requests.image(), requests.phrase())
            _answered(client, body)
            with lock:
                answered[0] += 1

    _together(clients, visit)
    return answered[0] / (time.monotonic() - start)


def _together(count: int, visit: Callable[[], None]) -> None:
    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(visit) for _ in range(count)]:
            done.result()


def _answered(client: Client, body: bytes) -> float:
    status, seconds = client.ask(body)
    if status != 200:
        raise DataError(f"the service answered {status}; 200 was expected")
    return seconds


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
