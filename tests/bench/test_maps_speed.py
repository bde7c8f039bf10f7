"""The benchmark of maps: real peers, the same work, and a reading of memory that finds what is there."""

import pytest
import torch

from bench import maps_speed as module
from bench.maps_speed import (
    ALL,
    ATTENTION_PEERS,
    GRAD_CAM,
    GRADIENT_PEERS,
    OURS,
    attention_variants,
    gradient_variants,
    judge,
    maps_speed,
    peak_bytes,
)
from evaluation.results import Results, over_seeds
from lfi.students import Student, StudentConfig

SMALL = {"img_size": 48, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    made = Student(StudentConfig(classes=2, queries=0, text_dim=64, embed=True, overrides=SMALL)).eval()
    for weight in made.backbone.parameters():
        if weight.ndim > 1:
            weight.data.mul_(4)  # attention far from even
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def test_peers_read_the_same_attention(student, images):
    variants = attention_variants(student, images)
    rows, every = variants[OURS](0), variants[ALL](0)
    for name in ATTENTION_PEERS:
        theirs = list(variants[name](0).values())
        for own, whole, other in zip(rows, every, theirs, strict=True):
            assert torch.allclose(whole, other, atol=1e-5)
            assert torch.allclose(own, other[:, :, :1], atol=1e-5)


def test_every_peer_is_there_and_runs(student, images):
    variants = gradient_variants(student, images)
    assert set(variants) == {GRAD_CAM, *GRADIENT_PEERS, *GRADIENT_PEERS.values()}
    for run in variants.values():
        assert run(0) is not None
    assert not any(block.norm1._forward_hooks for block in student.backbone.blocks), "nobody leaves hooks behind"


def test_peak_memory_counts_what_lives_at_once():
    def one_after_the_other(index):
        for _ in range(5):
            torch.zeros(1 << 18).sum()

    def together(index):
        return [torch.zeros(1 << 18) for _ in range(5)]

    assert 1 << 20 <= peak_bytes(one_after_the_other, "cpu") < 1.1 * (1 << 20)
    assert 5 << 20 <= peak_bytes(together, "cpu") < 1.1 * (5 << 20)


def test_goals_follow_the_figures():
    results = Results("x", [0], {})
    times = {OURS: 1.05, ALL: 1.5, ATTENTION_PEERS[0]: 1.2, ATTENTION_PEERS[1]: 1.0}
    for name, time in times.items():
        results.figures[f"time: {name}"] = over_seeds([time], "x")
        results.add(f"memory: {name}", {OURS: 0.5, ALL: 20.0}.get(name, 20.0), "MiB")
    judge(results)
    held = {name: goal.holds for name, goal in results.goals.items()}
    assert held == {
        "time of the class token's rows over the bare pass": True,
        "memory of all maps over that of the class token's rows": True,
        f"time of {ATTENTION_PEERS[0]} over {OURS}": True,
        f"time of {ATTENTION_PEERS[1]} over {OURS}": False,
    }


@pytest.mark.slow
def test_the_whole_benchmark_runs_small():
    found = maps_speed("vit_tiny_patch16_224", batch=1, rounds=3)
    assert found.goals["memory of all maps over that of the class token's rows"].value > 50
    assert {f"time: {name}" for name in (OURS, ALL, *ATTENTION_PEERS, *GRADIENT_PEERS)} <= set(found.figures)
    assert "time: open_clip with need_weights" in found.figures
    assert_ratios_are_of_seconds(found)


def test_seconds_stand_beside_their_ratios(monkeypatch):
    """The same run without models: what the variants took is recorded as such and as ratios."""
    monkeypatch.setattr(module, "gradient_variants", lambda student, images: {})
    monkeypatch.setattr(module, "clip_variants", lambda images: {})
    found = maps_speed("vit_tiny_patch16_224", batch=1, rounds=2)
    assert {f"seconds: {name}" for name in ("bare", OURS, ALL, *ATTENTION_PEERS)} <= set(found.figures)
    assert_ratios_are_of_seconds(found)


def assert_ratios_are_of_seconds(found):
    for name, figure in found.figures.items():
        if name.startswith("time: "):
            variant = name.removeprefix("time: ")
            bare = found.figures["seconds: bare open_clip" if "open_clip" in variant else "seconds: bare"]
            seconds = found.figures[f"seconds: {variant}"]
            assert 0 < seconds.low <= seconds.value <= seconds.high
            assert figure.value == pytest.approx(seconds.value / bare.value)
