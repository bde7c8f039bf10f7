"""Training a whole model further, from its linear probe on."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from coloured import image_set

from evaluation.classification import evaluate_classification
from evaluation.features import Features, load_features, load_models, seeds_of
from evaluation.finetuning import FineTuned, Schedule, finetuned, layer_groups, probabilities
from evaluation.probes import chosen_probe, fitted_probe, head_of, probed
from evaluation.results import Results
from lfi.errors import UnsupportedModelError

QUICK = Schedule(epochs=3, batch=16, learning_rate=2e-3)


@pytest.fixture(scope="module")
def train():
    return image_set(96, 1, classes=3)


@pytest.fixture(params=["baseline", "lfi", "teacher", "timm"])
def model(request, trio_folder, tmp_path) -> Features:
    """A student without and with queries, an open_clip model, and one of timm."""
    if request.param != "timm":
        return load_features(str(trio_folder / request.param))
    torch.manual_seed(0)
    small = timm.create_model("test_vit", num_classes=0)
    torch.save(small.state_dict(), tmp_path / "weights.pth")
    return load_features(f"timm:test_vit:{tmp_path / 'weights.pth'}")


def test_a_head_says_what_the_probe_says(train, model):
    features = model.all(train.images)
    probe = fitted_probe(features, train.labels)
    with torch.no_grad():
        found = head_of(probe, 5)(features).softmax(-1)
    assert torch.allclose(found, probed(probe, features, 5), atol=1e-4)
    assert found[:, 3:].max() < 1e-6, "classes without images"


def test_a_head_of_two_classes_says_what_the_probe_says():
    features, labels = torch.randn(40, 3), np.arange(40) % 2 * 3
    probe = chosen_probe((features, labels), (features, labels))
    with torch.no_grad():
        assert torch.allclose(head_of(probe, 4)(features).softmax(-1), probed(probe, features, 4), atol=1e-4)


def test_any_model_learns_further_and_stays_as_it_was(train, model):
    before = {name: value.clone() for name, value in model.backbone.module.state_dict().items()}
    features = model.all(train.images)
    head = torch.nn.Linear(features.shape[1], 3)
    tuned = finetuned(model, head, train, QUICK, seed=0)
    with torch.no_grad():
        first = head(features).softmax(-1)
    labels = torch.from_numpy(train.labels)

    def loss(found):
        return -found[range(len(labels)), labels].clamp_min(1e-9).log().mean()

    assert loss(probabilities(tuned, train.images)) < loss(first)
    assert all(torch.equal(value, before[name]) for name, value in model.backbone.module.state_dict().items())
    changed = tuned.module.state_dict()
    assert any(not torch.equal(changed[name], value) for name, value in before.items())


def test_blocks_further_down_learn_more_slowly(model):
    tuned = FineTuned(model.backbone, torch.nn.Linear(4, 3))
    names = {id(parameter): name for name, parameter in tuned.named_parameters()}
    schedule = Schedule(learning_rate=1.0, decay=0.5)
    rates = {names[id(each)]: group["lr"] for group in layer_groups(tuned, schedule) for each in group["params"]}
    assert set(rates) == set(names.values()), "everything is trained, once"
    assert rates["head.weight"] == 1.0
    tower = "visual.transformer.resblocks" if any("resblocks" in name for name in rates) else "blocks"
    depth = 1 + max(int(name.split(f"{tower}.")[1].split(".")[0]) for name in rates if f"{tower}." in name)
    for name, rate in rates.items():
        if f"{tower}." in name:
            block = int(name.split(f"{tower}.")[1].split(".")[0])
            assert rate == 0.5 ** (depth - 1 - block), name
    first = next(name for name in rates if name.endswith(("patch_embed.proj.weight", "visual.conv1.weight")))
    assert rates[first] == 0.5**depth
    assert all(
        group["weight_decay"] == (schedule.weight_decay if group["params"][0].ndim > 1 else 0)
        for group in layer_groups(tuned, schedule)
    )


def test_the_epoch_that_does_best_on_other_images_is_kept(train, trio_folder):
    model = load_features(str(trio_folder / "baseline"))
    head = head_of(fitted_probe(model.all(train.images), train.labels), 3)
    states = []

    def score(tuned):
        states.append({name: value.clone() for name, value in tuned.state_dict().items()})
        return [0.0, 1.0, 0.5][len(states) - 1]

    kept = finetuned(model, head, train, QUICK, 0, score).state_dict()
    assert len(states) == QUICK.epochs
    assert all(torch.equal(kept[name], value) for name, value in states[1].items())
    last = finetuned(model, head, train, QUICK, 0).state_dict()
    assert all(torch.equal(last[name], value) for name, value in states[2].items()), "a seed is a run"


def test_fine_tuning_stands_beside_the_other_ways(train, trio_folder):
    results = Results("x", [0], {})
    baseline = str(trio_folder / "baseline")
    models = load_models([f"plain={baseline}", f"plain={baseline}", str(trio_folder / "lfi")])
    assert [model.name for model in models] == ["plain", "plain", str(trio_folder / "lfi")]
    assert seeds_of(models, 4) == [4, 5]
    evaluate_classification(models[1:], train, image_set(30, 2, classes=3), results, None, "{}", QUICK, seed=0)
    for name in ("plain", str(trio_folder / "lfi")):
        assert results.figures[f"{name}: fine-tuned, top-1"].value >= 0.9


def test_features_without_a_module_cannot_be_trained(train):
    frozen = Features("a table", lambda images: images.float().mean((1, 2)))
    with pytest.raises(UnsupportedModelError, match="a table is not a module"):
        finetuned(frozen, torch.nn.Linear(3, 3), train, replace(QUICK, epochs=1), 0)
