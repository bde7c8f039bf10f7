"""The benchmark of training times real steps in turns."""

import numpy as np
import pytest
import torch

from bench import training_speed as module
from bench.training_speed import TIMM, ratio, take_turns, training_speed
from lfi.teachers import CoCaTeacher
from lfi.teachers.words import WordTokenizer
from lfi.training.teacher import TeacherConfig


def tiny_teacher(device: str) -> CoCaTeacher:
    config = TeacherConfig(
        image_size=32, patch_size=8, width=32, layers=1, text_layers=1, decoder_layers=1, head_width=16
    )
    torch.manual_seed(0)
    return CoCaTeacher(config.build(), WordTokenizer(config.words, config.context), name="tiny")


@pytest.mark.slow
def test_every_variant_takes_as_many_steps_and_ratios_follow(monkeypatch):
    monkeypatch.setattr(module, "random_teacher", tiny_teacher)
    found = training_speed("vit_tiny_patch16_224", batch=2, rounds=3)
    assert {name for name in found.figures if name.startswith("step")} == {
        "step: plain",
        "step: LFI from the cache",
        "step: LFI with the teacher online",
        "step: timm",
    }
    plain, timms = found.figures["step: plain"].value, found.figures["step: timm"].value
    assert found.figures[TIMM].value == pytest.approx(timms / plain)
    for name, goal in found.goals.items():
        reached = goal.value >= goal.goal
        assert goal.holds == (not reached if name == "LFI from the cache over plain" else reached)


def test_variants_take_turns_in_an_order_that_turns():
    order: list[str] = []
    steps = {name: (lambda index, name=name: order.append(f"{name}{index}")) for name in "ab"}
    seconds = take_turns(steps, rounds=2, device="cpu", title="turns", warm=1)
    assert order == ["a0", "b0", "b1", "a1", "a2", "b2"]
    assert all(len(taken) == 2 for taken in seconds.values())


def test_a_ratio_is_of_medians():
    figure = ratio(np.array([2.0, 2.0, 200.0]), np.array([1.0, 1.0, 1.0]))
    assert figure.value == 2
    assert figure.low <= 2 <= figure.high
