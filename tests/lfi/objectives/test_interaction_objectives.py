"""Interaction, relation, naming and patch words, each against a direct float64 reference."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from objective_inputs import distributions, normal, words

from lfi.objectives import interaction_loss, masked_mean, naming_loss, patch_words_loss, relation_loss


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
    names, bank, nothing = normal(2, 3, 5), normal(4, 5, seed=1), normal(5, seed=2)
    targets = torch.tensor([[2, -1, 0], [-1, -1, 3]])
    total = weights = 0.0
    for b, m in np.ndindex(2, 3):
        cosines = [F.cosine_similarity(names[b, m], word, dim=0) / 0.05 for word in (*bank, nothing)]
        own, weight = (int(targets[b, m]), 1.0) if targets[b, m] >= 0 else (4, 0.2)
        total = total - weight * torch.stack(cosines).log_softmax(0)[own]
        weights += weight
    assert naming_loss(names, bank, nothing, targets).item() == pytest.approx((total / weights).item())


def test_patch_words_are_the_divergence_of_columns_weighted_by_what_looks_at_a_patch():
    teacher, patches, bank = distributions(2, 3, 4), normal(2, 4, 5), normal(7, 5, seed=1)
    names, mask = torch.tensor([[6, 2, 0], [2, 3, 0]]), torch.tensor([[True, True, False], [True, True, False]])
    vocabulary = [2, 3, 6]  # 0 only pads; 1, 4 and 5 were not asked about
    total = weights = 0.0
    for b, p in np.ndindex(2, 4):
        cosines = torch.stack([F.cosine_similarity(patches[b, p], bank[v], dim=0) / 0.05 for v in vocabulary])
        log_student, column = cosines.log_softmax(0), teacher[b, :2, p]
        mass = column.sum()
        for k in range(2):
            share = column[k] / mass
            total = total + mass * share * (share.log() - log_student[vocabulary.index(int(names[b, k]))])
        weights += mass.item()
    assert patch_words_loss(teacher, patches, bank, names, mask).item() == pytest.approx((total / weights).item())


def test_patch_words_worked_by_hand():
    bank = torch.eye(3, dtype=torch.float64)
    teacher = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).double()  # two words, a patch each
    names, both = torch.tensor([[0, 2]]), torch.tensor([[True, True]])
    right, swapped = (
        patch_words_loss(teacher, bank[rows][None], bank, names, both).item() for rows in ([0, 2], [2, 0])
    )
    assert right == pytest.approx(np.log1p(np.exp(-20)))
    assert swapped == pytest.approx(right + 20)
    elsewhere = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]).double()  # no word looks at the second patch
    patches = torch.stack([bank[0], bank[1]])[None]
    assert patch_words_loss(elsewhere, patches, bank, names, both) == patch_words_loss(
        elsewhere, patches[:, [0, 0]], bank, names, both
    )


def test_a_batch_without_words_has_no_patch_words():
    patches = normal(2, 4, 5).requires_grad_()
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    loss = patch_words_loss(
        distributions(2, 3, 4), patches, normal(7, 5), torch.zeros(2, 3, dtype=torch.int64), nothing
    )
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(patches.grad).all()


def test_a_query_that_points_elsewhere_costs_one_over_the_temperature_more():
    bank, nothing = torch.eye(5, dtype=torch.float64).split([4, 1])
    right, wrong, silent = (
        naming_loss(name.view(1, 1, -1), bank, nothing[0], torch.tensor([[2]])).item()
        for name in (bank[2], bank[1], nothing[0])
    )
    assert right == pytest.approx(np.log1p(4 * np.exp(-20)))
    assert wrong == silent == pytest.approx(right + 20)


def test_a_batch_without_words_costs_nothing_and_breaks_nothing():
    teacher, student = distributions(2, 1, 3, 9), distributions(2, 1, 3, 9, seed=1).requires_grad_()
    loss = interaction_loss(teacher, student.log(), torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(student.grad).all()


def test_a_batch_without_queries_to_name_costs_nothing():
    names = normal(2, 3, 5).requires_grad_()
    loss = naming_loss(names, normal(4, 5, seed=1), normal(5, seed=2), torch.full((2, 3), -1), unmatched=0.0)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(names.grad).all()


def test_words_may_be_admitted_layer_by_layer():
    teacher, student = distributions(2, 3, 4, 9), distributions(2, 3, 4, 9, seed=1)
    mask = torch.stack([words(2, 4, seed) for seed in range(3)], dim=1)
    for loss, ours in ((interaction_loss, student.log()), (relation_loss, student)):
        assert loss(teacher, ours, words(2, 4)[:, None].expand(2, 3, 4)) == loss(teacher, ours, words(2, 4))
    direct = [
        (teacher[b, layer, k] * (teacher[b, layer, k] / student[b, layer, k]).log()).sum().item()
        for b, layer, k in np.ndindex(2, 3, 4)
        if mask[b, layer, k]
    ]
    assert interaction_loss(teacher, student.log(), mask).item() == pytest.approx(np.mean(direct))


def test_divergence_worked_by_hand():
    teacher, student = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.25, 0.75]).double()
    loss = interaction_loss(teacher.view(1, 1, 1, 2), student.log().view(1, 1, 1, 2), torch.tensor([[True]]))
    assert loss.item() == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))


def test_relation_worked_by_hand():
    apart = torch.eye(2, dtype=torch.float64).view(1, 1, 2, 2)
    together = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64).view(1, 1, 2, 2)
    both = torch.tensor([[True, True]])
    assert relation_loss(apart, together, both).item() == pytest.approx(1)
    assert relation_loss(apart, together, torch.tensor([[True, False]])).item() == 0


def test_gradients_of_the_interaction_objectives():
    teacher, mask = distributions(2, 2, 3, 4), words(2, 3)
    student = normal(2, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: interaction_loss(teacher, s.log_softmax(-1), mask), student)
    assert torch.autograd.gradcheck(lambda s: relation_loss(teacher, s.softmax(-1), mask), student)
    names = normal(2, 3, 5).requires_grad_()
    nothing = normal(5, seed=1).requires_grad_()
    bank, targets = normal(4, 5, seed=2), torch.tensor([[2, -1, 0], [-1, -1, 3]])
    assert torch.autograd.gradcheck(lambda n, o: naming_loss(n, bank, o, targets, 0.5), (names, nothing))
    words_of, patches = torch.tensor([[3, 1, 0], [2, 0, 0]]), normal(2, 4, 5, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: patch_words_loss(teacher[:, 0], p, bank, words_of, mask, 0.5), patches)


def test_the_masked_mean_leaves_out_what_the_mask_does():
    values = torch.tensor([[1.0, 2.0], [3.0, 100.0]])
    assert masked_mean(values, torch.tensor([[True, True], [True, False]])).item() == 2
    assert masked_mean(values, torch.tensor([[True], [False]])).item() == 1.5
