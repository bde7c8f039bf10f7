"""Insertion, deletion, shifts and randomised weights, on models whose right answer is known."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from evaluation.metrics.deletion import METRIC as DELETION
from evaluation.metrics.insertion import METRIC as INSERTION
from evaluation.metrics.perturbation import area, curve
from evaluation.metrics.shift_stability import shift_stability
from evaluation.sanity import randomise


def weights(row, column):
    """A model that looks at one patch of a 4 x 4 grid alone, and its perfect map."""
    wanted = torch.zeros(4, 4)
    wanted[row, column] = 1
    return wanted


def score_of(wanted):
    large = F.interpolate(wanted[None, None], (16, 16), mode="nearest")[0, 0]
    return lambda images: (images.mean(1) * large).sum((1, 2)) / large.sum()


def test_a_curve_turns_the_largest_patch_first():
    start, end = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    maps = torch.tensor([[[0.1, 0.4], [0.2, 0.3]]])
    seen = []

    def look(images):
        seen.append(images[0, 0, ::2, ::2].flatten().tolist())
        return images.mean((1, 2, 3))

    scores = curve(maps, start, end, look, steps=16)
    assert scores.tolist() == [[0, 0.25, 0.5, 0.75, 1]], "never more steps than patches"
    assert seen == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    assert area(scores).item() == pytest.approx(0.5)


def test_the_right_map_deletes_fast_and_inserts_fast():
    wanted = weights(1, 2)
    checkered = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    images = 1 + checkered.float().expand(2, 3, 16, 16)
    right = wanted.expand(2, 4, 4)
    wrong = weights(3, 0).expand(2, 4, 4)
    score = score_of(wanted)
    assert DELETION(right, images, score).tolist() == pytest.approx([1.5 / 32] * 2), "gone after the first of 16"
    assert (DELETION(wrong, images, score) > 5 * DELETION(right, images, score)).all()

    def sharp(images):  # blurring takes the checks away
        return score((images - 1.5).abs())

    assert (INSERTION(right, images, sharp) > INSERTION(wrong, images, sharp)).all()
    assert INSERTION(right, images, sharp)[0].item() == pytest.approx(0.5 * 31 / 32, rel=0.1)


def test_a_map_that_follows_the_image_is_stable_and_a_fixed_one_is_not():
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = F.interpolate(F.avg_pool2d(images, 4), (16, 16), mode="bilinear")

    def follows(batch):
        return batch.mean(1)

    assert (shift_stability(follows, images) > 0.99).all()
    fixed = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert (shift_stability(lambda batch: fixed.expand(len(batch), -1, -1), images) < 0.5).all()


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, images):
        return self.last(self.first(images).relu())[:, 0]


def test_a_map_of_the_model_falls_with_its_weights_and_the_model_is_itself_again():
    model, images = Two().requires_grad_(False), torch.rand(4, 3, 8, 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    parts = [("last", model.last), ("first", model.first)]
    found = randomise(model, parts, lambda: model(images), seed=3)
    assert found.parts == ("last", "first")
    assert found.correlations.shape == (2, 4)
    assert not found.survives
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    again = randomise(model, parts, lambda: model(images), seed=3)
    assert torch.equal(found.correlations, again.correlations)


def test_a_map_of_the_image_alone_survives():
    model, images = Two().requires_grad_(False), torch.rand(4, 3, 8, 8)
    assert randomise(model, [("all", model)], lambda: images.mean(1)).survives


def test_the_model_is_itself_again_after_an_error():
    model, calls = Two().requires_grad_(False), []
    before = model.first.weight.clone()

    def explain():
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no map")
        return torch.rand(2, 4, 4)

    with pytest.raises(RuntimeError, match="no map"):
        randomise(model, [("all", model)], explain)
    assert torch.equal(model.first.weight, before)
