"""`lfi benchmark serve` at its smallest, against a service in its own process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_size import TINY_SIZE

from app.cli import main
from app.engine.cache import LatestUsed, content_hash
from app.engine.decode import decode_image
from bench import untrained
from bench.service_load import CACHED, RequestBodies


@pytest.mark.slow
def test_latency_throughput_and_memory_are_measured(trio_folder: Path, tmp_path: Path, capsys):
    record = tmp_path / "serve.json"
    size = ["--rounds", "10", "--turns", "2", "--seconds", "0.2", "--clients", "2", "--requests", "40"]
    trio = ["--models-dir", str(trio_folder.parent), "--trio", trio_folder.name]
    with pytest.raises(SystemExit, match="0"):
        main(["benchmark", "serve", *size, *trio, "--json", str(record)])
    found = json.loads(record.read_text())
    figures, goals = found["figures"], found["goals"]
    for name in ("first request", "new word, known image"):
        in_passes = figures[f"{name}, in bare passes"]
        median = figures[f"{name}, median"]["value"] / figures["bare passes of the three models, median"]["value"]
        assert in_passes["value"] == pytest.approx(median, rel=1e-3)  # records are rounded
        assert in_passes["low"] <= in_passes["value"] <= in_passes["high"]
    assert figures["first requests of 2 clients"]["value"] > 0
    assert figures["requests under load that were not answered with 200"]["value"] == 0
    assert found["n"]["requests under load"] == 44  # a tenth comes before memory is looked at
    assert figures["memory after the warm-up"]["value"] > 50
    assert goals["requests that failed, at most"]["holds"]
    assert "new word, known image, in bare passes" in capsys.readouterr().out


def test_no_image_comes_again_while_the_service_remembers_its_pixels():
    requests, remembered = RequestBodies(("red", "star")), LatestUsed[bool](CACHED)
    for _ in range(3 * CACHED):
        key = content_hash(decode_image(requests.image()).resize((64, 64)))
        assert remembered.find(key) is None
        remembered.keep(key, True)


@pytest.mark.slow
def test_models_of_another_size_have_random_weights_and_their_own_title(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(untrained.SIZES, "small", TINY_SIZE)
    record = tmp_path / "serve-small.json"
    options = ["--size", "small", "--rounds", "10", "--turns", "0", "--requests", "0"]
    with pytest.raises(SystemExit, match="0"):
        main(["benchmark", "serve", *options, "--json", str(record)])
    found = json.loads(record.read_text())
    assert found["title"].startswith("tiny, random weights;")
    assert found["command"].startswith("lfi benchmark serve --size small --rounds 10")
    assert found["n"] == {"rounds": 10}
    assert set(found["goals"]) == {
        "first request, in bare passes, at most",
        "new word, known image, in bare passes, at most",
    }
