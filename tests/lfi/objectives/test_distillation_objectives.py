"""What the interaction objectives are compared with, each against a direct float64 reference."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from objective_inputs import distributions, normal
from scipy.stats import pearsonr

from lfi.errors import ConfigError
from lfi.objectives import (
    activation_attention_loss,
    activation_map,
    attention_transfer_loss,
    dist,
    feature_kd,
    logit_kd,
    multilabel_kd,
    relational_kd,
    supervision,
    token_labelling_loss,
)
from lfi.objectives.dist import pearson_distance


def huber(x):
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def rotation(size):
    return torch.linalg.qr(normal(size, size, seed=9))[0]


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


def test_an_activation_map_sums_squares_over_channels():
    tokens = torch.tensor([[[1.0, -2.0], [0.0, 3.0]]])
    assert activation_map(tokens).tolist() == [[5.0, 9.0]]


def test_activation_attention_is_the_squared_distance_of_unit_maps():
    student, teacher = normal(3, 2, 9, 5).square().sum(-1), normal(3, 2, 9, 7, seed=1).square().sum(-1)
    total = 0.0
    for b, layer in np.ndindex(3, 2):
        one, other = student[b, layer].numpy(), teacher[b, layer].numpy()
        total += (np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other))) ** 2
    assert activation_attention_loss(student, teacher).item() == pytest.approx(total / 6)
    assert activation_attention_loss(list(student.unbind(1)), teacher).item() == pytest.approx(total / 6)


def test_activation_attention_worked_by_hand():
    here, there = torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[0.0, 0.5]]])
    assert activation_attention_loss(here, there).item() == pytest.approx(2)
    assert activation_attention_loss(here, torch.tensor([[[3.0, 4.0]]])).item() == pytest.approx(0.16 + 0.64)


def test_activation_attention_minds_places_and_not_strength():
    teacher = normal(3, 2, 9, 7).square().sum(-1)
    assert activation_attention_loss(40 * teacher, teacher).item() == pytest.approx(0, abs=1e-12)


def test_attention_transfer_is_the_cross_entropy_of_rows():
    teacher, student = distributions(2, 3, 4, 9), distributions(2, 3, 4, 9, seed=1)
    rows = [-(teacher[i] * student[i].log()).sum().item() for i in np.ndindex(2, 3, 4)]
    assert attention_transfer_loss(teacher, student.log()).item() == pytest.approx(np.mean(rows))


def test_attention_transfer_is_least_where_the_student_looks_as_the_teacher_does():
    teacher = distributions(2, 3, 4, 9)
    scores = teacher.log().requires_grad_()
    loss = attention_transfer_loss(teacher, scores.log_softmax(-1))
    assert loss.item() == pytest.approx(-(teacher * teacher.log()).sum(-1).mean().item())
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient.abs().max().item() < 1e-12


@pytest.mark.parametrize("loss", [activation_attention_loss, attention_transfer_loss])
def test_maps_that_do_not_pair_are_refused_with_both_shapes(loss):
    with pytest.raises(ConfigError, match=r"\(2, 1, 9\).*\(2, 3, 9\)|\(2, 3, 9\).*\(2, 1, 9\)"):
        loss(distributions(2, 1, 9), distributions(2, 3, 9))


def distance_reference(student, teacher):
    pairs = [(i, j) for i, j in np.ndindex(len(student), len(student)) if i != j]
    ours = np.array([np.linalg.norm(student[i] - student[j]) for i, j in pairs])
    theirs = np.array([np.linalg.norm(teacher[i] - teacher[j]) for i, j in pairs])
    return np.mean([huber(x) for x in ours / ours.mean() - theirs / theirs.mean()])


def cosine_at(values, i, j, k):
    one, other = values[i] - values[j], values[k] - values[j]
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return one @ other / lengths if lengths else 0.0


def angle_reference(student, teacher):
    images = range(len(student))
    triplets = [(i, j, k) for i in images for j in images for k in images if len({i, j, k}) == 3]
    return np.mean([huber(cosine_at(student, *t) - cosine_at(teacher, *t)) for t in triplets])


def test_relational_kd_compares_distances_and_angles_of_distinct_images():
    student, teacher = normal(6, 3), normal(6, 5, seed=1)
    distance = distance_reference(student.numpy(), teacher.numpy())
    angle = angle_reference(student.numpy(), teacher.numpy())
    assert relational_kd(student, teacher, distance=1, angle=0).item() == pytest.approx(distance)
    assert relational_kd(student, teacher, distance=0, angle=1).item() == pytest.approx(angle)
    assert relational_kd(student, teacher).item() == pytest.approx(25 * distance + 50 * angle)


def test_relational_kd_worked_by_hand():
    line, corner = (
        torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]),
        torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]),
    )
    # line: distances 1, 1, 2 over 4/3; cosines 1, -1, 1. corner: 1, 1, sqrt 2; cosines 1/sqrt 2, 0, 1/sqrt 2.
    mean = (2 + 2**0.5) / 3
    distance = (2 * huber(3 / 4 - 1 / mean) + huber(3 / 2 - 2**0.5 / mean)) / 3
    angle = (2 * huber(1 - 2**-0.5) + huber(-1)) / 3
    assert relational_kd(line, corner, 1, 0).item() == pytest.approx(distance, abs=1e-6)
    assert relational_kd(line, corner, 0, 1).item() == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize(("distance", "angle"), [(1.0, 0.0), (0.0, 1.0)])
def test_relational_kd_is_blind_to_rotation_scale_and_place(distance, angle):
    teacher = normal(6, 4)
    moved = 3 * teacher @ rotation(4) + normal(1, 4, seed=2)
    assert relational_kd(moved, teacher, distance, angle).item() == pytest.approx(0, abs=1e-12)
    assert relational_kd(teacher * torch.tensor([1, 1, 1, 5.0]), teacher, distance, angle).item() > 1e-3


def test_equal_embeddings_leave_relational_kd_finite_and_as_defined():
    student, teacher = normal(5, 3), normal(5, 4, seed=1)
    student[1] = student[0]  # no direction from one to the other
    leaf = student.clone().requires_grad_()
    loss = relational_kd(leaf, teacher)
    loss.backward()
    expected = 25 * distance_reference(student.numpy(), teacher.numpy())
    expected += 50 * angle_reference(student.numpy(), teacher.numpy())
    assert loss.item() == pytest.approx(expected)
    assert leaf.grad.abs().max().item() < 100
    collapsed = torch.zeros(5, 3, dtype=torch.float64, requires_grad=True)
    relational_kd(collapsed, teacher).backward()
    assert torch.isfinite(collapsed.grad).all()


@pytest.mark.parametrize("images", [1, 2])
def test_batches_too_small_for_a_relation_cost_nothing(images):
    student = normal(images, 3).requires_grad_()
    loss = relational_kd(student, normal(images, 4))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("multilabel", [False, True])
def test_dist_correlates_the_classes_of_images_and_the_images_of_classes(temperature, multilabel):
    student, teacher = normal(6, 4), normal(6, 4, seed=1)
    predict = (lambda z: z.sigmoid()) if multilabel else (lambda z: z.softmax(-1))
    ours, theirs = predict(student / temperature).numpy(), predict(teacher / temperature).numpy()
    inter = np.mean([1 - pearsonr(ours[i], theirs[i]).statistic for i in range(6)])
    intra = np.mean([1 - pearsonr(ours[:, c], theirs[:, c]).statistic for c in range(4)])
    square = temperature**2
    alone = {"temperature": temperature, "multilabel": multilabel}
    assert dist(student, teacher, inter=1, intra=0, **alone).item() == pytest.approx(square * inter)
    assert dist(student, teacher, inter=0, intra=1, **alone).item() == pytest.approx(square * intra)
    assert dist(student, teacher, inter=2, intra=3, **alone).item() == pytest.approx(square * (2 * inter + 3 * intra))


def test_dist_is_blind_to_affine_changes_of_a_prediction():
    prediction, other = distributions(5, 4), distributions(5, 4, seed=1)
    for dim in (0, 1):
        before = pearson_distance(prediction, other, dim)
        torch.testing.assert_close(pearson_distance(7 * prediction + 3, other, dim), before)
        assert pearson_distance(7 * prediction + 3, prediction, dim).abs().max().item() < 1e-12
        torch.testing.assert_close(pearson_distance(-prediction, prediction, dim), torch.full_like(before, 2))


def test_dist_is_blind_to_what_softmax_is_and_to_nothing_more():
    student, teacher = normal(6, 4), normal(6, 4, seed=1)
    shifted = student + normal(6, 1, seed=2)
    assert dist(shifted, teacher).item() == pytest.approx(dist(student, teacher).item())
    assert dist(teacher, teacher).item() == pytest.approx(0, abs=1e-12)
    assert dist(2 * teacher, teacher).item() > 1e-3


def test_dist_of_a_student_that_answers_all_images_alike_is_finite():
    student = torch.zeros(6, 4, requires_grad=True)
    loss = dist(student, normal(6, 4).float())
    loss.backward()
    assert loss.item() == pytest.approx(2)
    assert torch.isfinite(student.grad).all()


def test_token_labelling_is_the_cross_entropy_of_patches_weighted_by_what_looks_at_them():
    teacher, logits = distributions(2, 3, 4), normal(2, 4, 5)
    names = torch.tensor([[3, 1, 0], [7, 4, 4]])  # 7 is a word and no class
    mask = torch.tensor([[True, True, False], [True, True, True]])
    total = weights = 0.0
    for b, p in np.ndindex(2, 4):
        for k in range(3):
            if mask[b, k] and names[b, k] < 5:
                total = total - teacher[b, k, p] * logits[b, p].log_softmax(0)[names[b, k]]
                weights += teacher[b, k, p].item()
    assert token_labelling_loss(teacher, logits, names, mask).item() == pytest.approx((total / weights).item())
    assert token_labelling_loss(teacher, logits, names, mask & False).item() == 0
    assert torch.autograd.gradcheck(
        lambda z: token_labelling_loss(teacher, z, names, mask), logits.clone().requires_grad_()
    )


def test_token_labelling_worked_by_hand():
    teacher = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).double()
    logits = torch.tensor([[[2.0, 0.0], [2.0, 0.0]]]).double()
    both = torch.tensor([[True, True]])
    right, wrong = np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    assert token_labelling_loss(teacher, logits, torch.tensor([[0, 1]]), both).item() == pytest.approx(
        (right + wrong) / 2
    )
    assert token_labelling_loss(teacher, logits, torch.tensor([[0, 5]]), both).item() == pytest.approx(right)


def test_supervision_of_classes_is_the_smoothed_cross_entropy():
    logits, labels = normal(5, 3), torch.tensor([0, 2, 1, 1, 0])
    for smoothing in (0.0, 0.1):
        total = 0.0
        for image in range(5):
            target = torch.full((3,), smoothing / 3, dtype=torch.float64)
            target[labels[image]] += 1 - smoothing
            total -= (target * logits[image].log_softmax(0)).sum().item()
        assert supervision(logits, labels, smoothing).item() == pytest.approx(total / 5)


def test_an_image_that_several_classes_are_right_for_counts_once():
    logits, labels = normal(4, 3), torch.tensor([[0, 2], [1, -1], [-1, -1], [-1, 2]])
    negative = -logits.log_softmax(1)
    each = [(negative[0, 0] + negative[0, 2]) / 2, negative[1, 1], negative[3, 2]]
    assert supervision(logits, labels).item() == pytest.approx(sum(each).item() / 3)


def test_supervision_of_presences_is_the_smoothed_binary_cross_entropy():
    logits, labels = normal(5, 3), (normal(5, 3, seed=1) > 0).double()
    for smoothing in (0.0, 0.1):
        terms = []
        for i in np.ndindex(5, 3):
            present = 1 - smoothing / 2 if labels[i] else smoothing / 2
            p = logits[i].sigmoid().item()
            terms.append(-present * np.log(p) - (1 - present) * np.log(1 - p))
        assert supervision(logits, labels, smoothing).item() == pytest.approx(np.mean(terms))


def test_labels_of_another_type_are_refused():
    with pytest.raises(ConfigError, match="bool"):
        supervision(normal(2, 3), torch.ones(2, 3, dtype=torch.bool))


def distillation_losses():
    maps, logits = distributions(4, 2, 6, seed=1), normal(4, 6, seed=1)
    labels = torch.tensor([0, 5, 1, 1])
    return {
        "logit_kd": ((4, 6), lambda x: logit_kd(x, logits)),
        "multilabel_kd": ((4, 6), lambda x: multilabel_kd(x, logits, 2.0)),
        "feature_kd": ((4, 6), lambda x: feature_kd(x, logits)),
        "activation_attention": ((4, 2, 6, 3), lambda x: activation_attention_loss(activation_map(x), maps)),
        "attention_transfer": ((4, 2, 6), lambda x: attention_transfer_loss(maps, x.log_softmax(-1))),
        "relational_kd": ((4, 3), lambda x: relational_kd(x, logits)),
        "dist": ((4, 6), lambda x: dist(x, logits, 2.0)),
        "dist of presences": ((4, 6), lambda x: dist(x, logits, multilabel=True)),
        "supervision": ((4, 6), lambda x: supervision(x, labels, 0.1)),
        "supervision of presences": ((4, 6), lambda x: supervision(x, (logits > 0).double(), 0.1)),
    }


@pytest.mark.parametrize("name", distillation_losses())
def test_gradients_of_the_distillation_objectives(name):
    shape, loss = distillation_losses()[name]
    assert torch.autograd.gradcheck(loss, normal(*shape).requires_grad_())


@pytest.mark.parametrize("name", distillation_losses())
def test_a_gradient_step_lowers_the_loss(name):
    shape, loss = distillation_losses()[name]
    values = normal(*shape).requires_grad_()
    before = loss(values)
    (gradient,) = torch.autograd.grad(before, values)
    assert F.normalize(gradient.flatten(), dim=0).isfinite().all()
    assert loss(values.detach() - 1e-4 * F.normalize(gradient.flatten(), dim=0).view_as(values)) < before
