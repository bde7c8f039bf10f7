"""Every loss against a direct float64 reference, and the properties that make it what it claims to be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from lfi.objectives import (
    assign,
    cross_entropy_cost,
    feature_kd,
    interaction_loss,
    logit_kd,
    multilabel_kd,
    naming_loss,
    pick,
    relation_loss,
)


def distributions(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(-1)


def words(batch, count, seed=0):
    mask = torch.rand(batch, count, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[:, 0] = True
    return mask


@pytest.mark.parametrize(("rows", "columns"), [(5, 8), (8, 8), (9, 4)])
def test_assignment_is_optimal_for_every_image(rows, columns):
    cost = torch.rand(60, rows, columns, generator=torch.Generator().manual_seed(1))
    mask = words(60, rows)
    found = assign(cost, mask)
    assert (found[~mask] == -1).all()
    for image in range(60):
        mine = found[image][mask[image]]
        own = cost[image][mask[image]].double().numpy()
        best = own[linear_sum_assignment(own)].sum()
        taken = mine[mine >= 0]
        assert len(set(taken.tolist())) == len(taken) == min(own.shape)
        assert own[(mine >= 0).numpy(), taken.numpy()].sum() == pytest.approx(best, abs=1e-5)


def test_the_cost_is_the_mean_cross_entropy_over_layers():
    teacher, student = distributions(2, 3, 4, 9), distributions(2, 3, 5, 9, seed=1)
    cost = cross_entropy_cost(teacher, student.log())
    for b, k, m in np.ndindex(2, 4, 5):
        direct = np.mean([-(teacher[b, layer, k] * student[b, layer, m].log()).sum().item() for layer in range(3)])
        assert cost[b, k, m].item() == pytest.approx(direct, abs=1e-9)


def test_one_query_stands_for_a_word_in_every_layer():
    maps = distributions(1, 2, 3, 9) ** 8
    maps = maps / maps.sum(-1, keepdim=True)
    shuffled = maps[:, :, [2, 0, 1]]
    assert assign(cross_entropy_cost(maps, shuffled.log()), torch.ones(1, 3, dtype=torch.bool)).tolist() == [[1, 2, 0]]
    reordered = pick(shuffled, torch.tensor([[1, 2, 0]]), 2)
    assert torch.equal(reordered, maps)


def test_interaction_loss_is_the_mean_divergence_over_words_and_layers():
    teacher, student, mask = distributions(3, 2, 4, 9), distributions(3, 2, 4, 9, seed=1), words(3, 4)
    direct = [
        (teacher[b, layer, k] * (teacher[b, layer, k] / student[b, layer, k]).log()).sum()
        for b, layer, k in np.ndindex(3, 2, 4)
        if mask[b, k]
    ]
    assert interaction_loss(teacher, student.log(), mask).item() == pytest.approx(torch.stack(direct).mean().item())
    assert interaction_loss(teacher, teacher.log(), mask).item() == pytest.approx(0, abs=1e-12)


def test_relation_loss_compares_how_regions_overlap():
    teacher, student, mask = distributions(2, 2, 3, 9), distributions(2, 2, 3, 9, seed=1), words(2, 3)
    terms = []
    for b, layer, i, j in np.ndindex(2, 2, 3, 3):
        if i != j and mask[b, i] and mask[b, j]:
            one = F.cosine_similarity(teacher[b, layer, i], teacher[b, layer, j], dim=0)
            other = F.cosine_similarity(student[b, layer, i], student[b, layer, j], dim=0)
            terms.append((one - other) ** 2)
    expected = torch.stack(terms).mean().item()
    assert relation_loss(teacher, student, mask).item() == pytest.approx(expected)
    moved = teacher.roll(3, -1)  # other places, the same relations
    assert relation_loss(teacher, moved, mask).item() == pytest.approx(0, abs=1e-12)


def test_naming_loss_is_the_weighted_cross_entropy_over_words_and_nothing():
    torch.manual_seed(0)
    names = torch.randn(2, 3, 5, dtype=torch.float64)
    bank, nothing = torch.randn(4, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    targets = torch.tensor([[2, -1, 0], [-1, -1, 3]])
    total = weights = 0.0
    for b, m in np.ndindex(2, 3):
        cosines = [F.cosine_similarity(names[b, m], word, dim=0) / 0.05 for word in (*bank, nothing)]
        own, weight = (int(targets[b, m]), 1.0) if targets[b, m] >= 0 else (4, 0.2)
        total = total - weight * torch.stack(cosines).log_softmax(0)[own]
        weights += weight
    assert naming_loss(names, bank, nothing, targets).item() == pytest.approx((total / weights).item())


def test_a_query_that_points_at_its_word_costs_less_than_one_that_points_at_another():
    bank = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    targets = torch.tensor([[2]])
    right = naming_loss(bank[2].view(1, 1, -1), bank, torch.randn(8), targets)
    wrong = naming_loss(bank[1].view(1, 1, -1), bank, torch.randn(8), targets)
    assert right < wrong


def test_a_batch_without_words_costs_nothing_and_breaks_nothing():
    teacher, student = distributions(2, 1, 3, 9), distributions(2, 1, 3, 9, seed=1).requires_grad_()
    loss = interaction_loss(teacher, student.log(), torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(student.grad).all()


def test_logit_kd_is_hintons():
    student, teacher = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    p, q = (teacher / 3).softmax(-1), (student / 3).softmax(-1)
    assert logit_kd(student, teacher, 3.0).item() == pytest.approx(9 * (p * (p / q).log()).sum(-1).mean().item())


def test_multilabel_kd_is_least_at_the_teachers_own_odds():
    teacher = torch.randn(4, 6, dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    loss = multilabel_kd(student, teacher)
    p = teacher.sigmoid()
    assert loss.item() == pytest.approx(-(p * p.log() + (1 - p) * (1 - p).log()).mean().item())
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.abs().max().item() < 1e-12


def test_feature_kd_minds_direction_alone():
    teacher = torch.randn(4, 6, dtype=torch.float64)
    assert feature_kd(5 * teacher, teacher).item() == pytest.approx(0, abs=1e-12)
    assert feature_kd(-teacher, teacher).item() == pytest.approx(2)
