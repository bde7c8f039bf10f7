"""`lfi benchmark hostile`: uploads that nobody should send, against a service of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.hostile.attack import Outcome
    from evaluation.results import Results

commands = typer.Typer()
_MOST_MEGABYTES = 2500.0
"""Models, caches, and the gigabyte that images being decoded take at most (LFI_PIXELS_IN_WORK)."""


@commands.command("hostile")
def hostile_(
    uploads: Annotated[int, typer.Option(min=1, help="How many; all kinds in turn.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 0,
    clients: Annotated[int, typer.Option(min=1, help="How many are sent at a time.")] = 4,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """Damaged, lying, exploding and strange files: answers, time and memory of a service started for the test.

    Passes if every answer is 2xx or a 4xx problem, memory stays bounded, and a plain picture is answered afterwards.
    Takes a few minutes.
    """
    import sys
    import tempfile

    import httpx
    import numpy as np
    from tqdm import tqdm

    from bench.hostile import Upload, hostile_uploads
    from bench.hostile.attack import attack, send
    from bench.hostile.pictures import encoded, picture
    from bench.servers import Service
    from evaluation.report import markdown
    from evaluation.results import Results
    from lfi.client import Client

    image = encoded(picture(np.random.default_rng(seed)), "JPEG")
    found = Results(f"lfi benchmark hostile --uploads {uploads}", [seed], {"uploads": uploads, "clients": clients})
    with tempfile.TemporaryDirectory(prefix="lfi-hostile") as folder:
        log = Path(folder) / "service.log"
        service = Service({"LFI_LOG_LEVEL": "warning", "LFI_STUDY_FOLDER": folder, "LFI_RATE_LIMIT": ""}, log)
        service.start()
        try:
            with Client(service.url) as asking:
                models = asking.models()
            known = next(iter(models.trios[models.default].vocabulary), "star")
            corpus = tqdm(hostile_uploads(uploads, seed, known), total=uploads, unit="upload", smoothing=0.1)
            outcome = attack(service.url, corpus, clients, service.pid)
            with httpx.Client(base_url=service.url, timeout=120) as client:
                alive = send(client, Upload("plain", "photo.jpg", "image/jpeg", image, known)).is_success
        finally:
            service.kill()
        tracebacks = log.read_text(errors="replace").count("Traceback")
    _add(found, outcome, alive, tracebacks)
    if json:
        found.write(json)
    print(markdown(found.record()))
    for kind, number, what in outcome.wrong:
        print(f"upload {number}, {kind}: {what}", file=sys.stderr)


def _add(found: Results, outcome: Outcome, alive: bool, tracebacks: int) -> None:
    import numpy as np

    from evaluation.results import Goal

    refused = sum(kinds["refused"] for kinds in outcome.kinds.values())
    memory = np.array(outcome.memory) if outcome.memory else np.array([np.nan])
    half, end = np.nanmedian(memory[: len(memory) // 2 + 1][-10:]), np.nanmedian(memory[-10:])
    found.n["kinds"] = len(outcome.kinds)
    found.add("answered with maps", sum(kinds["maps"] for kinds in outcome.kinds.values()), "uploads")
    found.add("refused with a problem of class 4xx", refused, "uploads")
    for status, count in sorted(outcome.statuses.items()):
        found.add(f"status {status or 'none'}", count, "answers")
    found.add("median answer", 1000 * float(np.median(outcome.seconds)), "ms")
    found.add("slowest answer", max(outcome.seconds), "s")
    found.add("resident memory at half", float(half), "MB")
    found.add("resident memory at the end", float(end), "MB")
    found.add("resident memory at most", outcome.peak, "MB")
    growth = float(end / half)
    found.goals |= {
        "answers that are neither 2xx nor a 4xx problem": Goal(len(outcome.wrong), 0, not outcome.wrong),
        "tracebacks in the log": Goal(tracebacks, 0, tracebacks == 0),
        "a plain picture is answered afterwards": Goal(float(alive), 1, alive),
        "memory at the end over memory at half": Goal(growth, 1.1, growth <= 1.1),
        "memory at most, MB": Goal(outcome.peak, _MOST_MEGABYTES, outcome.peak <= _MOST_MEGABYTES),
    }
