"""`lfi benchmark upload`: how long a visitor waits for the first maps of a large photograph, and for another word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lfi.shipped import STATIC

if TYPE_CHECKING:
    from collections.abc import Iterator

commands = typer.Typer()
FIRST, WORD = 2.0, 0.5
"""Seconds at most."""


@commands.command("upload")
def upload(
    photograph: Annotated[Path, typer.Option(help="What is enlarged to the size that phones take.")] = (
        STATIC / "samples" / "astronaut.jpg"
    ),
    megapixels: Annotated[float, typer.Option(min=0.1, max=50, help="Size of the upload.")] = 12.0,
    rounds: Annotated[int, typer.Option(min=5, help="Uploads, each of another picture.")] = 30,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """A photograph over HTTP to the trio that ships: raw maps of three models as JSON, then another word on it."""
    import tempfile

    import numpy as np
    from tqdm import tqdm

    from bench.servers import Service
    from bench.service_load import Client, RequestBodies
    from bench.timing import quantile
    from evaluation.report import markdown
    from evaluation.results import Goal, Results

    found = Results(
        f"lfi benchmark upload --megapixels {megapixels:g} --rounds {rounds}",
        [0],
        {"uploads": rounds},
        title=f"A JPEG of {megapixels:g} megapixels; trio photographs",
    )
    bodies = RequestBodies(("person",))
    taken: dict[str, list[float]] = {"first": [], "word": []}
    with tempfile.TemporaryDirectory(prefix="lfi-upload") as folder:
        service = Service({"LFI_STUDY_FOLDER": folder, "LFI_AUTH": "off", "LFI_RATE_LIMIT": ""}, Path(folder) / "log")
        service.start()
        try:
            client = Client(service.port)
            for number, image in enumerate(tqdm(_enlarged(photograph, megapixels, rounds + 1), total=rounds + 1)):
                for name, word in (("first", "person"), ("word", "space shuttle")):
                    status, seconds = client.ask(bodies.body(image, word))
                    if status != 200:
                        raise RuntimeError(f"the service answered {status}")
                    if number:  # the first warms up
                        taken[name].append(seconds)
        finally:
            service.stop()
    for key, title, most in (("first", "first maps", FIRST), ("word", "another word", WORD)):
        milliseconds = 1000 * np.array(taken[key])
        found.figures[f"{title}, median"] = quantile(milliseconds, 0.5)
        found.figures[f"{title}, p95"] = slow = quantile(milliseconds, 0.95)
        found.goals[f"{title}, p95, seconds, at most"] = Goal(slow.value / 1000, most, slow.value <= 1000 * most)
    if json:
        found.write(json)
    print(markdown(found.record()))


def _enlarged(photograph: Path, megapixels: float, count: int) -> Iterator[bytes]:
    """JPEGs of that size, no two of them the same."""
    from io import BytesIO

    from PIL import Image

    with Image.open(photograph) as opened:
        picture = opened.convert("RGB")
    scale = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
    large = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    for number in range(count):
        large.putpixel((0, 0), (number % 256, number // 256, 0))
        out = BytesIO()
        large.save(out, "JPEG", quality=90, comment=f"{number}".encode())
        yield out.getvalue()
