"""Muon beside AdamW: what a step is, that a run resumes with its own, and that another's checkpoint is refused."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import TinyTask, run

import lfi.training.optimizers
from lfi.errors import CheckpointError, ConfigError
from lfi.training.config import LoopConfig
from lfi.training.loop import parameter_groups
from lfi.training.optimizers import optimizer

MUON = {"optimizer": "muon", "autocast": False}


def test_a_step_of_muon_moves_a_matrix_equally_far_in_all_directions_and_a_vector_as_adamw_does():
    """Its first step against the polar factor of the gradient, by singular values (Jordan et al. 2024)."""
    torch.manual_seed(0)
    matrix, vector = (torch.nn.Parameter(torch.randn(shape)) for shape in ((24, 8), (8,)))
    before = matrix.detach().clone(), vector.detach().clone()
    matrix.grad, vector.grad = torch.randn(24, 8) @ torch.diag(10.0 ** -torch.arange(0, 2, 0.25)), torch.randn(8)
    config = LoopConfig(optimizer="muon", learning_rate=0.01)
    optimizer([{"params": [matrix, vector], "weight_decay": 0.0}], config).step()

    moved = (before[0] - matrix.detach()) / (0.01 * 0.2 * math.sqrt(24))
    left, strengths, right = torch.linalg.svd(matrix.grad, full_matrices=False)
    assert strengths[0] / strengths[-1] > 20, "AdamW would follow the first of them"
    kept = (left.T @ moved @ right.T).diagonal()
    assert kept.min() > 0.6
    assert kept.max() < 1.3
    assert torch.nn.functional.cosine_similarity(moved.flatten(), (left @ right).flatten(), dim=0) > 0.95
    assert torch.equal((before[1] - vector.detach()).sign(), vector.grad.sign())
    assert float((before[1] - vector.detach()).abs().max()) < 0.02


QUINTIC = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Coefficients of Newton and Schulz's iteration: https://leloykun.github.io/ponder/muon-opt-coeffs"""


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The iteration, written out."""
    matrix = matrix / matrix.norm()
    for first, third, fifth in QUINTIC:
        gram = matrix @ matrix.T
        matrix = first * matrix + (third * gram + fifth * gram @ gram) @ matrix
    return matrix


@pytest.mark.parametrize(("bfloat16", "error"), [(False, 1e-5), (True, 0.05)])
def test_matrices_are_multiplied_in_bfloat16_only_where_that_is_faster(monkeypatch, bfloat16, error):
    monkeypatch.setattr(lfi.training.optimizers, "faster_in_bfloat16", lambda device: bfloat16)
    torch.manual_seed(0)
    matrix = torch.nn.Parameter(torch.zeros(12, 30))
    matrix.grad = torch.randn(12, 30)
    optimizer([{"params": [matrix], "weight_decay": 0.0}], LoopConfig(optimizer="muon", learning_rate=0.01)).step()
    expected = -0.01 * 0.2 * math.sqrt(30) * orthogonal(matrix.grad.double())
    difference = float((matrix.detach() - expected).norm() / expected.norm())
    assert difference < error
    assert bfloat16 == (difference > 1e-4)


def test_positions_queries_and_vectors_are_left_to_adamw():
    task = TinyTask(noise=False)
    config = LoopConfig(optimizer="muon", weight_decay=0.0)
    stepper = optimizer(parameter_groups(task, config.weight_decay), config)
    for parameter in task.parameters():
        parameter.grad = torch.ones_like(parameter)
    stepper.step()
    matrices = {name for name, each in task.named_parameters() if stepper.state[each]["use_muon"]}
    assert {"student.backbone.blocks.0.mlp.fc1.weight", "student.head.weight"} <= matrices
    names = {name for name, _ in task.named_parameters()}
    assert {"student.queries.start", "student.backbone.pos_embed", "student.backbone.cls_token"} <= names - matrices
    assert not any(name.endswith("bias") or "norm" in name for name in matrices)


def test_a_run_with_muon_resumes_bit_for_bit(tmp_path):
    run(tmp_path / "whole", MUON)
    run(tmp_path / "part", MUON, stop=7)
    run(tmp_path / "part", MUON, resume=True)
    run(tmp_path / "adamw", {"autocast": False})
    whole, part, other = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "part", "adamw"))
    assert [name for name in whole if not torch.equal(whole[name], part[name])] == []
    assert any(not torch.equal(whole[name], other[name]) for name in whole)


@pytest.mark.parametrize(("began", "goes_on"), [("adamw", "muon"), ("muon", "adamw")])
def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path, began, goes_on):
    run(tmp_path, {"optimizer": began}, stop=5)
    with pytest.raises(CheckpointError, match=f"loop.optimizer '{began}', and '{goes_on}' was asked for"):
        run(tmp_path, {"optimizer": goes_on}, resume=True)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ConfigError, match=r"loop.optimizer is 'sgd'; one of 'adamw', 'muon' was expected"):
        LoopConfig(optimizer="sgd")
