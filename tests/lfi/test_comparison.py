"""A trio answers one image: words address queries, choices hold, mistakes are named."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lfi.comparison import MODELS, model_of
from lfi.errors import (
    CheckpointError,
    ConfigError,
    UnknownModelError,
    UnknownWordError,
    UnsupportedModelError,
    WordsError,
)
from lfi.students.explanations import EXPLANATIONS, WORDLESS, explain, explanations_of
from lfi.students.reading import self_attention
from lfi.trio import Trio


@pytest.fixture(scope="module")
def trio(trio_folder) -> Trio:
    return Trio.load(trio_folder)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


def test_three_models_answer_every_word_in_every_layer(trio, picture):
    found = trio.compare(picture, ["red circle", " star "])
    assert found.words == ("red circle", "star")
    assert list(found.maps) == list(MODELS)
    for model, maps in found.maps.items():
        assert maps.queries == (("red circle", "star"),)
        assert maps.layers == trio.layers[model]
        assert maps.model.endswith(trio.fingerprints[model])
    assert found.queries.queries == (("query 1", "query 2", "query 3", "query 4"),)
    assert len(found.named) == 4


def test_a_word_shows_the_query_whose_name_is_nearest(trio, picture):
    encoded = trio.encode(picture)
    found = trio.compare(encoded, ["blue", "moon"])
    nearness = trio.teacher.embed_texts(["blue", "moon"]) @ encoded.images["lfi"].names.T
    for index, address in enumerate(found.addressed):
        assert address.query == int(nearness[index].argmax())
        assert address.nearness == pytest.approx(float(nearness[index].max()))
        assert torch.equal(found.maps["lfi"].weights[:, :, index], found.queries.weights[:, :, address.query])


def test_an_encoded_image_gives_the_same_answer_as_the_image(trio, picture):
    one, other = trio.compare(picture, ["blue"]), trio.compare(trio.encode(picture), ["blue"])
    for model in MODELS:
        assert torch.allclose(one.maps[model].weights, other.maps[model].weights, atol=1e-6)


def test_a_batch_is_answered_as_each_question_alone(trio, picture):
    pictures = [picture, picture.transpose(Image.Transpose.ROTATE_90), Image.new("RGB", (9, 9), "red")]
    questions = [
        trio.question(["red circle", "star", "small blue moon"]),
        trio.question(["blue"], heads=True),
        trio.question(["pink", "red"], models=["baseline", "teacher"], layers=[1]),
    ]
    together = trio.compare_all(trio.encode_all(pictures), questions)
    for image, question, found in zip(pictures, questions, together, strict=True):
        alone = trio.compare(image, question.words, question.models, question.layers, question.heads)
        assert list(found.maps) == list(alone.maps) == list(question.models)
        assert (found.words, found.default_layer) == (alone.words, alone.default_layer)
        assert [(each.word, each.query) for each in found.addressed] == [
            (each.word, each.query) for each in alone.addressed
        ]
        for model, maps in found.maps.items():
            assert (maps.queries, maps.layers) == (alone.maps[model].queries, alone.maps[model].layers)
            torch.testing.assert_close(maps.weights, alone.maps[model].weights, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(maps.outside, alone.maps[model].outside, atol=1e-5, rtol=1e-4)


def test_the_baselines_maps_are_autograds(trio, picture, monkeypatch):
    kept = trio.compare(picture, ["blue", "star"]).maps["baseline"]
    for module in ("lfi.answerers.explained", "lfi.students.explanations"):
        monkeypatch.setattr(f"{module}.traceable", lambda student: False)
    untraced = Trio(trio.teacher, trio.lfi, trio.baseline, trio.card)
    again = untraced.compare(picture, ["blue", "star"]).maps["baseline"]
    assert not hasattr(untraced.encode(picture).images["baseline"], "trace")
    assert (kept.queries, kept.layers, kept.kind, kept.model) == (again.queries, again.layers, again.kind, again.model)
    torch.testing.assert_close(kept.weights, again.weights, atol=1e-5, rtol=1e-4)


def test_threads_do_not_hear_each_other(trio):
    """Attention is read by hooks on models that all threads share."""
    asked = ["teacher", "baseline:rollout", "baseline:grad-cam", "lfi:self-attention"]
    noise = np.random.default_rng(1).integers(0, 255, (6, 48, 48, 3), np.uint8)
    pictures = [Image.fromarray(each) for each in noise]
    alone = [trio.compare(each, ["blue"], models=asked) for each in pictures]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda each: trio.compare(each, ["blue"], models=asked), pictures * 5))
    for index, found in enumerate(together):
        for name, maps in alone[index % 6].maps.items():
            torch.testing.assert_close(found.maps[name].weights, maps.weights, atol=1e-5, rtol=1e-4)


def test_heads_average_to_the_mean_map(trio, picture):
    mean, heads = trio.compare(picture, ["blue"]), trio.compare(picture, ["blue"], heads=True)
    assert heads.maps["lfi"].queries[0][0] == "blue · head 1"
    assert torch.allclose(heads.maps["lfi"].weights.mean(2), mean.maps["lfi"].weights[:, :, 0], atol=1e-6)
    assert torch.allclose(heads.maps["teacher"].weights.mean(2), mean.maps["teacher"].weights[:, :, 0], atol=1e-6)


def test_layers_are_kept_in_the_order_asked_and_the_default_follows(trio, picture):
    found = trio.compare(picture, ["blue"], models=["lfi"], layers=[2, 0])
    assert found.maps["lfi"].layers == ("block 3", "block 1")
    assert found.default_layer == {"lfi": 0}
    assert found.queries.layers == ("block 3", "block 1")
    assert trio.question(["blue"], models=["lfi"], layers=[2, 0, 2, 2]).layers == (2, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"words": []}, WordsError, "no word"),
        ({"words": ["red", "  "]}, WordsError, "empty"),
        ({"words": ["dog"]}, UnknownWordError, "'dog' \\(nearest: "),
        ({"words": ["!"]}, WordsError, "'!' has no word in it"),
        ({"words": ["red " * 23]}, WordsError, "has 23 words, more than tiny-teacher reads"),
        ({"words": ["red"], "models": ["lfy"]}, UnknownModelError, "no model 'lfy'; there are: teacher, lfi, baseline"),
        ({"words": ["red"], "models": []}, UnknownModelError, "no model was asked for; there are: teacher"),
        ({"words": ["red"], "layers": [2]}, ConfigError, "teacher has no layer 2; it has 0 to 1"),
    ],
)
def test_mistakes_are_answered_with_what_would_be_right(trio, picture, arguments, error, message):
    with pytest.raises(error, match=message):
        trio.compare(picture, **arguments)


@pytest.mark.parametrize("explanation", EXPLANATIONS)
def test_every_explanation_of_the_baseline_is_a_map(trio, picture, explanation):
    embeddings = trio.teacher.embed_texts(["blue", "moon"])
    images = trio.baseline.preprocess([picture, picture.rotate(180)])
    maps = explain(trio.baseline, explanation, images, ["blue", "moon"], embeddings, heads=False, model="m@0")
    assert maps.weights.shape[0] == 2
    assert maps.kind == explanation
    differ = not torch.allclose(maps.weights[:, :, 0], maps.weights[:, :, 1])
    assert differ == (explanation not in WORDLESS)


def test_every_model_is_explained_by_name_as_by_hand(trio, picture):
    named = [name for name in trio.layers if name not in MODELS]
    assert named == [
        "teacher:dense-similarity",
        *(f"lfi:{explanation}" for explanation in ("self-attention", "rollout", "grad-cam")),
        *(f"baseline:{explanation}" for explanation in EXPLANATIONS),
    ]
    found = trio.compare(picture, ["blue", "moon"], models=named)
    assert (list(found.maps), found.queries, found.addressed) == (named, None, ())
    embeddings = trio.teacher.embed_texts(["blue", "moon"])
    dense = trio.teacher.dense(trio.teacher.preprocess([picture]), ["blue", "moon"])
    assert torch.allclose(found.maps[named.pop(0)].weights, dense.weights, atol=1e-6)
    for name in named:
        model, explanation = name.split(":")
        student = {"lfi": trio.lfi, "baseline": trio.baseline}[model]
        pixels = student.preprocess([picture])
        direct = explain(student, explanation, pixels, ["blue", "moon"], embeddings, heads=False, model="m@0")
        assert torch.allclose(found.maps[name].weights, direct.weights, atol=1e-6)
        assert (found.maps[name].kind, found.maps[name].layers) == (explanation, trio.layers[name])
        assert found.maps[name].model.endswith(trio.fingerprints[model_of(name)])
        assert found.default_layer[name] == len(trio.layers[name]) - 1


def test_the_baseline_shows_the_explanation_that_its_card_chose(trio, picture):
    found = trio.compare(picture, ["blue"], models=["baseline", f"baseline:{trio.explanation}"])
    own, named = found.maps.values()
    torch.testing.assert_close(own.weights, named.weights, atol=1e-5, rtol=1e-4)


def test_a_card_may_choose_the_layer_of_any_explanation(trio, trio_folder, picture):
    card = json.loads((trio_folder / "card.json").read_text())
    chosen = {**card["default_layer"], "baseline:rollout": 1}
    other = Trio(trio.teacher, trio.lfi, trio.baseline, {**card, "default_layer": chosen})
    assert other.compare(picture, ["blue"], models=["baseline:rollout"]).default_layer == {"baseline:rollout": 1}
    with pytest.raises(CheckpointError, match="a default layer for 'lfi:legrad', which it does not have"):
        Trio(trio.teacher, trio.lfi, trio.baseline, {**card, "default_layer": {**chosen, "lfi:legrad": 1}})


def test_a_student_is_not_explained_by_what_it_cannot_give(trio, picture):
    assert explanations_of(trio.baseline) == EXPLANATIONS
    with pytest.raises(UnknownModelError, match=r"no model 'lfi:legrad'; there are: teacher, .*lfi:grad-cam"):
        trio.compare(picture, ["blue"], models=["lfi:legrad"])
    images, embeddings = trio.lfi.preprocess([picture]), trio.teacher.embed_texts(["blue"])
    with pytest.raises(UnsupportedModelError, match="cannot be explained by gradient; it can be by self-attention"):
        explain(trio.lfi, "gradient", images, ["blue"], embeddings, heads=False, model="m@0")


def test_explaining_leaves_the_model_as_it_was(trio, picture):
    images = trio.baseline.preprocess([picture])
    before = trio.baseline(images).logits
    for explanation in EXPLANATIONS:
        explain(
            trio.baseline, explanation, images, ["blue"], trio.teacher.embed_texts(["blue"]), heads=False, model="m@0"
        )
    assert torch.equal(trio.baseline(images).logits, before)
    assert not any(block.attn.attn_drop._forward_hooks for block in trio.baseline.backbone.blocks)


def test_a_rollout_of_one_block_is_half_attention_half_identity(trio, picture):
    student, captured = trio.baseline, []
    images = student.preprocess([picture])
    maps = explain(student, "rollout", images, ["blue"], trio.teacher.embed_texts(["blue"]), heads=False, model="m@0")
    first = student.backbone.blocks[0].attn
    fused, first.fused_attn = first.fused_attn, False
    handle = first.attn_drop.register_forward_hook(lambda module, inputs, output: captured.append(output))
    try:
        with torch.no_grad():
            student(images)
    finally:
        handle.remove()
        first.fused_attn = fused
    row = captured[0].mean(1)[0, 0]
    expected = (row + torch.eye(len(row))[0]) / 2
    assert torch.allclose(maps.outside[0, 0, 0], expected[0], atol=1e-5)
    assert torch.allclose(maps.weights[0, 0, 0].flatten(), expected[1:] / expected[1:].sum(), atol=1e-5)


def test_self_attention_is_the_class_tokens_row(trio, picture):
    student = trio.baseline
    images = student.preprocess([picture])
    embeddings = trio.teacher.embed_texts(["blue"])
    maps = explain(student, "self-attention", images, ["blue"], embeddings, heads=False, model="m@0")
    with torch.no_grad(), self_attention(student) as attention:
        student(images)
        rows = [layer.mean(1)[0, 0] for layer in attention()]
    assert len(maps.layers) == len(rows)
    for found, row in zip(maps.weights[0, :, 0], rows, strict=True):
        assert torch.allclose(found.flatten(), row[1:] / row[1:].sum(), atol=1e-5)


def test_legrad_adds_up_the_positive_gradients_of_every_block(trio, picture):
    student = trio.baseline
    images = student.preprocess([picture])
    embeddings = trio.teacher.embed_texts(["blue", "moon"])
    maps = explain(student, "legrad", images, ["blue", "moon"], embeddings, heads=False, model="m@0")
    depth = len(student.backbone.blocks)
    total = torch.zeros(student.grid[0] * student.grid[1])
    for block in range(depth):
        with torch.enable_grad(), self_attention(student) as attention:
            tokens = student.backbone._pos_embed(student.backbone.patch_embed(images))
            for layer in student.backbone.blocks[: block + 1]:
                tokens = layer(tokens)
            score = torch.cosine_similarity(student.embed(student.backbone.norm(tokens)[:, 0]), embeddings[1:])
            gradient = torch.autograd.grad(score, attention()[block])[0]
        total += gradient[0].clamp_min(0).mean((0, 1))[1:]
        direct = total / total.sum()
        assert torch.allclose(maps.weights[0, block, 1].flatten(), direct, atol=1e-5)


def test_a_folder_that_is_no_trio_or_a_broken_one_is_refused(trio_folder, tmp_path):
    with pytest.raises(UnknownModelError, match=r"no card\.json"):
        Trio.load(tmp_path)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(CheckpointError, match="not a trio's card"):
        Trio.load(tmp_path)
    card = json.loads((trio_folder / "card.json").read_text())
    trio = Trio.load(trio_folder)
    with pytest.raises(CheckpointError, match="explanation is 'magic'"):
        Trio(trio.teacher, trio.lfi, trio.baseline, {**card, "explanation": "magic"})
    with pytest.raises(CheckpointError, match="default layer 9 of lfi"):
        Trio(trio.teacher, trio.lfi, trio.baseline, {**card, "default_layer": {"teacher": 0, "lfi": 9, "baseline": 0}})


def test_grad_cam_is_tokens_weighted_by_their_mean_gradient(trio, picture):
    """By hand: the package's maps of every layer, for two images and two words at once."""
    student, images = trio.baseline, trio.baseline.preprocess([picture, picture.rotate(180)])
    embeddings = trio.teacher.embed_texts(["blue", "moon"])
    learning = [parameter.requires_grad for parameter in student.parameters()]
    found = explain(student, "grad-cam", images, ["blue", "moon"], embeddings, heads=False, model="m@0").weights
    assert [parameter.requires_grad for parameter in student.parameters()] == learning
    assert not any(parameter.grad is not None for parameter in student.parameters())
    tokens = []
    handles = [
        block.norm1.register_forward_hook(lambda module, given, output: tokens.append(output))
        for block in student.backbone.blocks
    ]
    scores = F.normalize(student(images).embedding, dim=-1) @ embeddings.T
    for handle in handles:
        handle.remove()
    for word in range(2):
        gradients = torch.autograd.grad(scores[:, word].sum(), tokens, retain_graph=True)
        for block, (token, gradient) in enumerate(zip(tokens, gradients, strict=True)):
            weighted = (token[:, 1:] * gradient[:, 1:].mean(1, keepdim=True)).sum(-1).relu()
            total = weighted.sum(1, keepdim=True)
            expected = (weighted / total)[total[:, 0] > 0]
            assert len(expected)
            assert torch.allclose(found[total[:, 0] > 0, block, word].flatten(1), expected, atol=1e-5)
