"""The assignment of words to queries: optimal, persistent, or layer by layer."""

import numpy as np
import pytest
import torch
from objective_inputs import distributions, words
from scipy.optimize import linear_sum_assignment

from lfi.objectives import assign, assign_per_layer, cross_entropy_cost, cross_entropy_cost_per_layer, pick


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


def test_each_layer_alone_is_assigned_as_an_image_of_its_own():
    teacher, student = distributions(6, 3, 5, 9) ** 9, distributions(6, 3, 4, 9, seed=1) ** 9
    mask = words(6, 5)
    costs = cross_entropy_cost_per_layer(teacher, student.log())
    found = assign_per_layer(costs, mask)
    assert found.shape == (6, 3, 5)
    for layer in range(3):
        alone = cross_entropy_cost(teacher[:, layer : layer + 1], student[:, layer : layer + 1].log())
        torch.testing.assert_close(costs[:, layer], alone)
        assert torch.equal(found[:, layer], assign(alone, mask))
    torch.testing.assert_close(costs.mean(1), cross_entropy_cost(teacher, student.log()))


def test_layers_that_disagree_share_one_query_when_persistent_and_not_when_alone():
    cost = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]], [[3.0, 0.0], [0.0, 3.0]]]])  # layer 1 swaps the queries, firmly
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert assign(cost.mean(1), mask).tolist() == [[1, 0]]
    assert assign_per_layer(cost, mask).tolist() == [[[0, 1], [1, 0]]]


def test_words_are_picked_layer_by_layer():
    values = distributions(2, 2, 4, 9)
    assignment = torch.tensor([[[3, 0, -1], [1, 2, -1]], [[0, 1, 2], [2, 1, 0]]])
    picked = pick(values, assignment, 2)
    assert picked.shape == (2, 2, 3, 9)
    for b, layer, k in np.ndindex(2, 2, 3):
        assert torch.equal(picked[b, layer, k], values[b, layer, max(int(assignment[b, layer, k]), 0)])
