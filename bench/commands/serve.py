"""`lfi benchmark serve`: the service against the bare forward passes of its models, and under a long load.

The trio that comes with the project is tiny, so the service spends much of its time on HTTP and JSON; `--size` measures
models of the size that people distil into.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lfi.shipped import MODELS

if TYPE_CHECKING:
    import numpy as np

    from bench.service_load import Endurance
    from evaluation.results import Results

commands = typer.Typer()


class Size(StrEnum):
    """Those of `bench.untrained`."""

    SMALL = "small"
    BASE = "base"


@commands.command("serve")
def serve_(
    rounds: Annotated[int, typer.Option(min=10, help="Rounds of bare passes, a first request and a new word.")] = 200,
    clients: Annotated[int, typer.Option(min=2, help="Parallel clients, compared with one.")] = 8,
    turns: Annotated[int, typer.Option(min=0, help="Turns of one client and of all of them; 0 leaves them out.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a turn.")] = 5.0,
    requests: Annotated[int, typer.Option(min=0, help="Requests over which memory is watched; 0 leaves it out.")] = (
        10_000
    ),
    soak: Annotated[float, typer.Option(min=0, help="Minutes of load instead of a number of requests.")] = 0.0,
    models_dir: Annotated[
        Path, typer.Option(help="Folder that holds the trios.", show_default="those that come with LFI")
    ] = MODELS,
    trio: Annotated[str, typer.Option(help="Which of them.")] = "scenes",
    size: Annotated[
        Size | None,
        typer.Option(help="Instead of a trained trio, one with random weights and students ViT-S/16 or ViT-B/16."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of images and words.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """The service over HTTP in units of its models' bare forward passes; throughput; memory over many requests.

    A first request is a 256 px JPEG that it has not seen and a phrase; the answer holds the raw maps of three models as
    JSON. A new word is another phrase on the same image.
    """
    import os
    import tempfile

    import torch

    from app.engine.trios import load_trio
    from bench.servers import Service
    from bench.service_load import CACHED, Client, ForwardPasses, RequestBodies, endure, latencies, throughput
    from bench.untrained import SIZES, write_untrained_trio
    from evaluation.report import markdown
    from evaluation.results import Results

    threads = int(os.environ.get("LFI_TORCH_THREADS", "1"))
    torch.set_num_threads(threads)  # as the service does, so that both do the same work
    about = f"Trio {trio}" if size is None else f"{SIZES[size].title}, random weights"
    found = Results(
        "lfi benchmark serve"
        + (f" --size {size}" if size else "")
        + f" --rounds {rounds} --clients {clients} --turns {turns} --seconds {seconds:g}"
        + (f" --soak {soak:g}" if soak else f" --requests {requests}"),
        [seed],
        {"rounds": rounds} | ({"turns": turns} if turns else {}),
        title=f"{about}; 256 px JPEG in, raw maps of three models as JSON out, torch threads: {threads}",
    )
    with tempfile.TemporaryDirectory(prefix="lfi-serve") as folder:
        if size is not None:
            models_dir, trio = Path(folder) / "models", size.value
            write_untrained_trio(models_dir / trio, SIZES[size])
        models = load_trio(models_dir / trio, "cpu")
        asked = RequestBodies(models.vocabulary, seed)
        environment = {
            "LFI_MODELS_DIR": str(models_dir.resolve()),
            "LFI_TRIO": trio,
            "LFI_DEVICE": "cpu",
            "LFI_CACHED_IMAGES": str(CACHED),
            "LFI_STUDY_FOLDER": folder,
            "LFI_LOG_LEVEL": "warning",
            "LFI_AUTH": "off",
            "LFI_RATE_LIMIT": "",
        }
        service = Service(environment, Path(folder) / "log")
        service.start()
        try:
            taken = latencies(ForwardPasses(models), Client(service.port), asked, rounds)
            _add_latencies(found, taken)
            if turns:
                rates = throughput(service.port, asked, clients, turns, seconds)
                _add_rates(found, rates, clients)
            if requests or soak:
                warm = 0 if soak else requests // 10
                left = endure(service.port, service.pid, asked, clients, warm, 0 if soak else requests, minutes=soak)
                _add_endurance(found, left)
        finally:
            service.stop()
    if json:
        found.write(json)
    print(markdown(found.record()))


def _add_latencies(found: Results, taken: dict[str, np.ndarray]) -> None:
    from bench.timing import quantile, ratio
    from evaluation.results import Goal

    names = {"bare": "bare passes of the three models", "first": "first request", "word": "new word, known image"}
    for key, name in names.items():
        milliseconds = 1000 * taken[key]
        found.figures[f"{name}, median"] = quantile(milliseconds, 0.5)
        found.figures[f"{name}, p95"] = quantile(milliseconds, 0.95)
    for key, most in (("first", 1.3), ("word", 0.35)):
        figure = ratio(taken[key], taken["bare"])
        found.figures[f"{names[key]}, in bare passes"] = figure
        found.goals[f"{names[key]}, in bare passes, at most"] = Goal(figure.value, most, figure.value <= most)


def _add_rates(found: Results, rates: np.ndarray, clients: int) -> None:
    from bench.timing import ratio
    from evaluation.results import Goal, over_seeds

    one, many = rates.T
    found.figures["first requests of one client"] = over_seeds(one, "per second")
    found.figures[f"first requests of {clients} clients"] = over_seeds(many, "per second")
    gain = ratio(many, one)
    found.figures[f"throughput of {clients} clients over one"] = gain
    found.goals[f"throughput of {clients} clients over one, at least"] = Goal(gain.value, 1.4, gain.value >= 1.4)


def _add_endurance(found: Results, left: Endurance) -> None:
    import numpy as np

    from bench.timing import quantile
    from evaluation.results import Goal

    failed = sum(count for status, count in left.statuses.items() if status != 200)
    found.n["requests under load"] = sum(left.statuses.values())
    found.add("requests under load that were not answered with 200", failed, "requests")
    found.figures["under load, median"] = quantile(1000 * np.array(left.seconds), 0.5)
    found.figures["under load, p99"] = quantile(1000 * np.array(left.seconds), 0.99)
    found.add("memory after the warm-up", left.memory[0] / 1e6, "MB")
    found.add("memory at the end", left.memory[-1] / 1e6, "MB")
    found.goals["growth of memory, %, under"] = Goal(left.growth, 5, left.growth < 5)
    found.goals["requests that failed, at most"] = Goal(failed, 0, failed == 0)
