"""Leave-one-domain-out on frozen features whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation import domains
from evaluation.domains import left_out, zero_shot_domains
from evaluation.features import Backbone, Features
from evaluation.finetuning import Schedule
from evaluation.probes import chosen_probe, probed
from evaluation.results import Results
from lfi.data.imageset import ImageSet
from lfi.errors import ConfigError, DataError

CLASSES, DOMAINS = ("dog", "cat", "horse"), ("art", "photo", "sketch")


def pictures(each: int = 40) -> ImageSet:
    """The first channel is the class; the second the class too, but another one in every domain; the third is noise."""
    labels = np.tile(np.arange(3), each * 3 // 3)
    domains = np.repeat(np.arange(3), each)[: len(labels)]
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    images[..., 0] = 80 * labels[:, None, None]
    images[..., 1] = 80 * ((labels + domains) % 3)[:, None, None]
    images[..., 2] = np.random.default_rng(0).integers(0, 255, len(labels))[:, None, None]
    names = tuple(f"{number}" for number in range(len(labels)))
    made = ImageSet(images, names, CLASSES, labels.astype(np.int64), ("",) * len(labels), ((),) * len(labels))
    return replace(made, domains=tuple(DOMAINS[number] for number in domains))


def one_hot(channel: int) -> Features:
    def of(images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot((images[:, 0, 0, channel] // 80).long(), 4).float()

    return Features(f"channel {channel}", of, lambda images, texts: of(images) @ texts.T)


class Mean(torch.nn.Module):
    """The mean colour, times a weight that can be trained."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, pixels):
        return self.weight * pixels.mean((2, 3))


def mean_colour() -> Features:
    module = Mean()
    backbone = Backbone(module, lambda model, pixels: model(pixels))
    return Features("mean colour", lambda images: module(images.permute(0, 3, 1, 2).float() / 255), None, backbone)


def test_what_holds_across_domains_is_told_from_what_does_not():
    results = Results("x", [0, 1], {})
    left_out([one_hot(0), one_hot(1)], pictures(), range(2), results)
    for domain in DOMAINS:
        assert results.figures[f"channel 0: {domain}"].value == 100
        assert results.figures[f"channel 1: {domain}"].value < 60
    assert results.figures["channel 0: mean over domains"].value == 100
    values = [results.figures[f"channel 1: {domain}"].value for domain in DOMAINS]
    assert results.figures["channel 1: mean over domains"].value == pytest.approx(np.mean(values))


def test_models_of_one_name_are_seeds_of_one_method():
    results = Results("x", [0], {})
    several = [replace(one_hot(channel), name="method") for channel in (0, 1)]
    left_out(several, pictures(), range(2), results)
    alone = Results("x", [0, 1], {})
    left_out([one_hot(1)], pictures(), range(2), alone)
    for domain in (*DOMAINS, "mean over domains"):
        found = results.figures[f"method: {domain}"]
        assert found.value == pytest.approx((100 + alone.figures[f"channel 1: {domain}"].value) / 2)
        assert found.low < found.value < found.high
    assert len(results.figures) == 4


def test_a_model_trained_on_other_domains_is_selected_there_and_tested_on_the_one_left_out(monkeypatch):
    asked = []
    whole = domains.finetuned

    def watched(model, head, train, schedule, seed, score):
        asked.append((sorted(set(train.domains)), seed))
        return whole(model, head, train, schedule, seed, score)

    monkeypatch.setattr(domains, "finetuned", watched)
    results = Results("x", [0], {})
    left_out([mean_colour()], pictures(), [3], results, Schedule(epochs=2, batch=16, learning_rate=0.01))
    assert asked == [([other for other in DOMAINS if other != domain], 3) for domain in DOMAINS]
    assert results.figures["mean colour: mean over domains"].value > 45, "a third is chance"
    assert np.isnan(results.figures["mean colour: mean over domains"].low), "one split has no interval"


def test_the_penalty_is_chosen_on_the_images_given_for_it(monkeypatch):
    from evaluation import probes

    seen = []

    class Chosen:
        classes_ = np.array([0, 1])

        def __init__(self, strength):
            self.strength = strength

        def score(self, features, labels):
            seen.append((self.strength, len(labels)))
            return -abs(self.strength - 0.1)

        def predict_proba(self, features):
            return np.full((len(features), 2), self.strength)

    monkeypatch.setattr(probes, "_fitted", lambda strength, features, labels: Chosen(strength))
    train, selection = (torch.zeros(9, 2), np.arange(9) % 2), (torch.zeros(5, 2), np.zeros(5, np.int64))
    assert probed(chosen_probe(train, selection), torch.zeros(2, 2), 2).unique().tolist() == pytest.approx([0.1])
    assert seen == [(strength, 5) for strength in probes.STRENGTHS]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 1, 40, 41, 80, 81], "3 classes to learn and 0 images to choose"),
        ([*range(0, 120, 3)], "1 classes to learn and"),
    ],
)
def test_domains_too_small_for_a_probe_are_refused(rows, message):
    with pytest.raises(DataError, match=message):
        left_out([one_hot(0)], pictures().take(rows), [0], Results("x", [0], {}))


class Names:
    fingerprint, label, embed_dim = "f00d", "names@f00d", 4

    def embed_texts(self, texts):
        assert texts == ["a dog", "a cat", "a horse"]
        return torch.eye(4)[:3]


def test_zero_shot_needs_no_labels_and_weighs_domains_alike():
    results, images = Results("x", [0], {}), pictures()
    uneven = images.take([*range(10), *range(40, 120)])
    zero_shot_domains([one_hot(0), one_hot(1)], uneven, Names(), "a {}", results)
    assert results.figures["channel 0: mean over domains"].value == 100
    wrong = [results.figures[f"channel 1: {domain}"].value for domain in DOMAINS]
    assert wrong == [100, 0, 0], "the second channel is right where no domain shifts it"
    mean = results.figures["channel 1: mean over domains"]
    assert mean.value == pytest.approx(100 / 3)
    assert mean.low <= mean.value <= mean.high


def test_a_model_that_tells_no_class_from_another_is_right_about_none():
    for value in (0.5, float("nan")):
        even = replace(one_hot(0), likeness=lambda images, texts, value=value: torch.full((len(images), 3), value))
        results = Results("x", [0], {})
        zero_shot_domains([even], pictures(), Names(), "a {}", results)
        assert results.figures["channel 0: mean over domains"].value == 0
        assert domains.accuracy(torch.full((4, 3), value), np.array([0, 0, 1, 2])) == 0


def test_a_model_without_a_text_space_is_refused():
    plain = Features("plain", one_hot(0).of)
    with pytest.raises(ConfigError, match="plain does not project"):
        zero_shot_domains([plain], pictures(), Names(), "a {}", Results("x", [0], {}))


@pytest.mark.parametrize(
    ("learnt", "message"),
    [
        ({"taught_by": "other@beef", "text_dim": 4}, "knows the words of other@beef, not those of names@f00d"),
        ({"text_dim": 7}, "projects into 7 dimensions, the texts of names@f00d have 4"),
    ],
)
def test_a_student_of_another_teacher_is_refused_before_anything_is_measured(learnt, message):
    student = replace(one_hot(0), **learnt)
    results = Results("x", [0], {})
    with pytest.raises(ConfigError, match=message):
        zero_shot_domains([one_hot(1), student], pictures(), Names(), "a {}", results)
    assert not results.figures


def test_a_model_with_a_text_tower_is_asked_in_its_own_words():
    class Backwards(Names):
        """Its text space has the classes the other way round."""

        def embed_texts(self, texts):
            return super().embed_texts(texts)[:, [2, 1, 0, 3]]

    turned = one_hot(0)
    model = replace(
        turned,
        speaks=Backwards(),
        taught_by="other@beef",
        likeness=lambda images, texts: turned.of(images)[:, [2, 1, 0, 3]] @ texts.T,
    )
    results = Results("x", [0], {})
    zero_shot_domains([model], pictures(), Names(), "a {}", results)
    assert results.figures["channel 0: mean over domains"].value == 100
