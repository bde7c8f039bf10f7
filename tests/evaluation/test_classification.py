"""Frozen features of any model, probed on data whose answer is known."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from coloured import image_set

from evaluation.classification import evaluate_classification, plot_confusion
from evaluation.features import Features, load_features
from evaluation.metrics.calibration import calibration_error
from evaluation.probes import fitted_probe, nearest_neighbours, probed
from evaluation.results import Results, over_seeds
from lfi.errors import CheckpointError, ConfigError, DataError, UnknownModelError
from lfi.images import normalise
from lfi.students import Student
from lfi.teachers import load_teacher

COLOUR = Features("mean colour", lambda images: images.float().mean((1, 2)))
NOISE = Features(
    "noise", lambda images: torch.randn(len(images), 3, generator=torch.Generator().manual_seed(len(images)))
)


def test_features_that_know_are_told_from_those_that_do_not(tmp_path):
    results = Results("x", [0], {})
    test = image_set(60, 2)
    probes = evaluate_classification([COLOUR, NOISE], image_set(120, 1), test, results)
    for way in ("linear probe", "k-NN"):
        assert results.figures[f"mean colour: {way}, top-1"].value == 1
        assert results.figures[f"noise: {way}, top-1"].value < 0.5
    direct = calibration_error(probes["noise"], torch.from_numpy(test.labels)).item()
    assert results.figures["noise: linear probe, ECE"].value == pytest.approx(direct)
    assert results.n == {"training images": 120, "test images": 60, "classes": 6}
    assert torch.allclose(probes["noise"].sum(1), torch.ones(60), atol=1e-5)
    plot_confusion(probes, test, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 5000


def test_of_several_seeds_of_one_method_the_mean_and_its_interval_are_told():
    results = Results("x", [0], {})
    test = image_set(60, 2)
    evaluate_classification(
        [replace(COLOUR, name="ours"), replace(NOISE, name="ours")], image_set(120, 1), test, results
    )
    alone = Results("x", [0], {})
    evaluate_classification([COLOUR, NOISE], image_set(120, 1), test, alone)
    for name, found in results.figures.items():
        values = [alone.figures[name.replace("ours", model)].value for model in ("mean colour", "noise")]
        assert found == over_seeds(values, found.unit), name
    assert len(results.figures) == len(alone.figures) / 2


def test_a_class_that_was_never_seen_has_no_probability():
    train, labels = torch.tensor([[0.0, 1], [0.1, 1], [5, -1], [5.1, -1]] * 5), np.array([0, 0, 2, 2] * 5)
    for found in (probed(fitted_probe(train, labels), train, 4), nearest_neighbours(train, labels, train, 4)):
        assert found.shape == (20, 4)
        assert found[:, [1, 3]].sum() == 0
        assert found.argmax(1).tolist() == labels.tolist()


def test_a_probe_of_one_class_or_one_image_is_refused():
    features = torch.randn(6, 2)
    for labels in ([0] * 6, [0, 0, 0, 1, 1, 2]):
        with pytest.raises(DataError, match="two classes or more"):
            fitted_probe(features, np.array(labels))


def test_images_with_several_labels_are_refused():
    several = replace(image_set(6, 0), labels=np.ones((6, 6), np.float32))
    with pytest.raises(DataError, match="one label each"):
        evaluate_classification([COLOUR], several, several, Results("x", [0], {}))


def test_a_student_and_an_open_clip_folder_answer_as_they_are(trio_folder):
    images = image_set(4, 0).images
    student = Student.load(trio_folder / "baseline" / "student.safetensors")
    features = load_features(str(trio_folder / "baseline"))
    pixels = torch.nn.functional.interpolate(
        normalise(torch.from_numpy(images)), student.image_size, mode="bilinear", antialias=True
    )
    with torch.inference_mode():
        assert torch.allclose(features.all(images), student(pixels).features, atol=1e-5)
    teacher = load_teacher(trio_folder / "teacher")
    texts = teacher.embed_texts(["red circle", "blue star"])
    assert features.all(images, texts).shape == (4, 2)
    assert load_features(str(trio_folder / "lfi")).all(images, texts).shape == (4, 2)
    found = load_features(str(trio_folder / "teacher")).all(images, texts)
    shown = teacher.from_pixels(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    assert torch.allclose(found, teacher.embed_images(shown) @ texts.T, atol=1e-5)


def test_zero_shot_is_told_of_what_has_a_text_space_and_of_the_right_teacher_alone(trio_folder, tmp_path, capsys):
    teacher = load_teacher(trio_folder / "teacher")
    train, test = image_set(24, 1, classes=2), image_set(8, 2, classes=2)
    train, test = (replace(each, classes=("red circle", "blue star")) for each in (train, test))
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(trio_folder / "baseline" / "student.safetensors", run)

    def evaluated(taught_by):
        (run / "environment.json").write_text(json.dumps({"teacher": taught_by}))
        results = Results("x", [0], {})
        evaluate_classification([load_features(str(run)), COLOUR], train, test, results, teacher)
        return {name.split(":")[0] for name in results.figures if "zero-shot" in name}

    assert len(evaluated(teacher.label)) == 1
    assert "no zero-shot figures of mean colour" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=f"knows the words of other@beef, not those of {teacher.label}"):
        evaluated("other@beef")


def test_an_open_clip_model_speaks_for_itself_and_a_student_has_its_teachers_width(trio_folder):
    teacher = load_teacher(trio_folder / "teacher")
    assert load_features(str(trio_folder / "teacher")).speaks.fingerprint == teacher.fingerprint
    student = load_features(str(trio_folder / "baseline"))
    assert (student.speaks, student.text_dim) == (None, teacher.embed_dim)


def test_a_timm_model_sees_what_timm_shows_it(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=0).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    features = load_features(f"timm:resnet10t:{tmp_path / 'weights.pth'}")
    images = np.random.default_rng(0).integers(0, 255, (2, 176, 176, 3), dtype=np.uint8)
    config = timm.data.resolve_model_data_config(model)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, spread = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    with torch.inference_mode():
        own = model((pixels - mean) / spread)
    assert torch.allclose(features.all(images), own, atol=1e-4)
    with pytest.raises(ConfigError, match="no zero-shot"):
        features.all(images, torch.randn(2, 4))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("nowhere", UnknownModelError, "'nowhere' is not a model"),
        ("timm:resnet18x", UnknownModelError, "nearest: resnet18"),
        ("timm:resnet10t:none.pth", CheckpointError, "cannot get the weights"),
        ("open_clip:ViT-B-99", UnknownModelError, "nearest"),
    ],
)
def test_what_is_no_model_is_refused_by_name(model, error, message):
    with pytest.raises(error, match=message):
        load_features(model)
