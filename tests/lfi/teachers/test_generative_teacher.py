"""BLIP and LLaVA as teachers: tiny ones of transformers' own classes, with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lfi.errors import ConfigError, UnsupportedModelError, WordsError
from lfi.maps import PADDING
from lfi.teachers import BaseTeacher, GenerativeTeacher, load_teacher
from lfi.teachers.content import align, content_words

pytest.importorskip("transformers")

from tiny_writers import write_blip, write_llava

WRITE = {"blip": write_blip, "llava": write_llava}
CAPTION = "the red square beside a blue wall"


@pytest.fixture(scope="module", params=["blip", "llava"])
def folder(request, tmp_path_factory) -> Path:
    return WRITE[request.param](tmp_path_factory.mktemp(request.param) / f"tiny-{request.param}")


@pytest.fixture(scope="module")
def teacher(folder) -> BaseTeacher:
    return load_teacher(folder)


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (50, 70, 3), np.uint8)) for _ in range(3)]


@torch.no_grad()
def outputs(teacher: Any, image: Tensor, answer: str) -> tuple[Tensor, Tensor, Tensor]:
    """What transformers itself says of one image and an answer put into the model's mouth.

    Returns:
        logits `[token, id]`, the states that they are made of, attention to the patches `[layer, head, token, patch]`.
    """
    model, family = teacher.model, teacher.writer.family
    ids = torch.tensor([teacher.writer.pieces(answer)[0]])
    if family == "blip":
        seen = model.vision_model(pixel_values=image).last_hidden_state
        said = model.text_decoder(
            input_ids=ids, encoder_hidden_states=seen, output_attentions=True, output_hidden_states=True
        )
        states = model.text_decoder.cls.predictions.transform(said.hidden_states[-1])
        return said.logits[0], states[0], torch.cat(said.cross_attentions)[..., 1:]
    at = int((ids[0] == model.config.image_token_id).nonzero()[0])
    places = torch.full((1, 9), model.config.image_token_id)
    ids = torch.cat([ids[:, :at], places, ids[:, at + 1 :]], 1)
    said = model(input_ids=ids, pixel_values=image, output_attentions=True, output_hidden_states=True)
    return said.logits[0], said.hidden_states[-1][0], torch.cat(said.attentions)[..., at : at + 9]


def test_a_folder_of_transformers_is_a_teacher(teacher, folder, pictures):
    assert isinstance(teacher, GenerativeTeacher)
    assert teacher.name == folder.name
    assert (teacher.image_size, teacher.grid, teacher.embed_dim, teacher.heads) == (24, (3, 3), 32, 2)
    assert teacher.layers == ("decoder layer 1", "decoder layer 2")
    assert teacher.default_layers == (1,)
    encoded = teacher.encode(teacher.preprocess(pictures))
    assert torch.allclose(encoded.latent.norm(dim=-1), torch.ones(3), atol=1e-5)
    assert torch.equal(teacher.embed_images(encoded), encoded.latent)
    maps = teacher.interactions_of(encoded, ["red", "blue square"])
    assert tuple(maps.weights.shape) == (3, 2, 2, 3, 3)
    assert (maps.kind, maps.model) == ("cross-attention", f"{folder.name}@{teacher.fingerprint}")
    assert not torch.allclose(maps.weights[:, :, 0], maps.weights[:, :, 1], atol=1e-4)
    assert not torch.allclose(maps.weights[0], maps.weights[1], atol=1e-4)


def test_what_it_cannot_give_is_refused_by_name(teacher, folder, pictures):
    with pytest.raises(UnsupportedModelError, match=r"tiny-\w+ is a (BLIP|LLaVA), whose patches no word"):
        teacher.dense(teacher.preprocess(pictures), ["red"])
    with pytest.raises(WordsError, match="has no word in it"):
        teacher.check_prompts(["?!"])
    with pytest.raises(WordsError, match="no word was given"):
        teacher.interactions_of(teacher.preprocess(pictures), [])
    with pytest.raises(WordsError, match="more than tiny-"):
        teacher.check_prompts(["red " * 200])
    with pytest.raises(ConfigError, match="has its own weights"):
        load_teacher(folder, pretrained="openai")


def test_the_cosine_of_image_and_word_is_the_normalised_logit_of_writing_it(teacher, pictures):
    images = teacher.preprocess(pictures)
    (red,) = teacher.tokenizer.whole.convert_tokens_to_ids(["red"])
    cosines = teacher.encode(images).latent @ teacher.embed_texts(["red"]).T
    for image, cosine in zip(images.split(1), cosines, strict=True):
        logits, states, _ = outputs(teacher, image, "")
        weights = teacher.writer.head.weight[red]
        bias = 0 if teacher.writer.head.bias is None else teacher.writer.head.bias[red]
        assert torch.allclose(cosine, (logits[-1, red] - bias) / states[-1].norm() / weights.norm(), atol=1e-5)
    assert torch.allclose(teacher.classify(images, ["red"]), teacher.logit_scale * cosines, atol=1e-4)


def test_a_text_is_the_mean_of_its_words_tokens(teacher):
    ids = teacher.tokenizer.whole.convert_tokens_to_ids(["blue", "squ", "##are"])
    mean = teacher.writer.head.weight[ids].mean(0)
    assert torch.allclose(teacher.embed_texts(["blue square!"])[0], mean / mean.norm(), atol=1e-5)
    with pytest.raises(WordsError, match="has no word in it"):
        teacher.embed_texts(["red", "?"])


def test_words_of_different_lengths_look_where_each_does_on_its_own(teacher, pictures):
    images = teacher.preprocess(pictures)
    words = [["red", "blue square", "the green wall"], ["square"], ["door", "red"]]
    maps = teacher.interactions_for(images, words)
    assert maps.queries == (
        ("red", "blue square", "the green wall"),
        ("square", *[PADDING] * 2),
        ("door", "red", PADDING),
    )
    for row, own in enumerate(words):
        for column, word in enumerate(own):
            _, _, attention = outputs(teacher, images[row : row + 1], word)
            weights = attention.mean(1)[:, -1]
            found = maps.weights[row, :, column].flatten(1)
            assert torch.allclose(found, weights / weights.sum(-1, keepdim=True), atol=1e-5)
            assert torch.allclose(maps.outside[row, :, column], 1 - weights.sum(-1), atol=1e-5)
    assert (maps.outside[1, :, 1:] == 1).all()
    assert torch.allclose(maps.weights[1, :, 1:], torch.tensor(1 / 9))


def test_words_of_a_caption_are_read_within_it(teacher, pictures):
    images = teacher.preprocess(pictures)
    maps = teacher.interactions(images, [CAPTION, "", "red door"])
    own = [word.text for word in content_words(align(teacher.tokenizer, CAPTION))]
    assert own == ["red", "square", "blue", "wall"]
    assert maps.queries == (tuple(own), (PADDING,) * 4, ("red", "door", PADDING, PADDING))
    _, _, attention = outputs(teacher, images[:1], CAPTION)
    tokens = teacher.tokenizer.whole.convert_ids_to_tokens(teacher.writer.pieces(CAPTION)[0])
    back = len(tokens) - len(CAPTION.split()) - 1
    places = [
        place - len(tokens)
        for place, token in enumerate(tokens)
        if place >= back and token in ("red", "##are", "blue", "wall")
    ]
    weights = attention.mean(1)[:, places]
    assert torch.allclose(maps.weights[0].flatten(2), weights / weights.sum(-1, keepdim=True), atol=1e-5)
    assert (maps.outside[1] == 1).all()
    assert (maps.outside[2, :, 2:] == 1).all()
    assert torch.allclose(maps.weights[2, :, 2:], torch.tensor(1 / 9))
    assert teacher.interactions(images, ["", "of the", ""]).weights.shape == (3, 2, 0, 3, 3)
    with pytest.raises(ValueError, match="2 captions for 3 images"):
        teacher.interactions(images, ["red", "blue"])


def test_words_that_the_model_has_no_room_for_have_no_map(teacher, pictures):
    images = teacher.preprocess(pictures[:1])
    long = " ".join(["red"] * 200)
    asked = len(teacher.interactions(images, [long]).queries[0])
    room = teacher.context_length - len(teacher.writer.pieces("")[0])
    assert asked == room


def test_single_heads_can_be_looked_at(teacher, pictures):
    images = teacher.preprocess(pictures)
    words = [["red", "blue square"], ["square"], ["door"]]
    alone = teacher.interactions_for(images, words, heads=True)
    assert alone.queries[0] == ("red · head 1", "red · head 2", "blue square · head 1", "blue square · head 2")
    assert alone.queries[1][2:] == (PADDING, PADDING)
    _, _, attention = outputs(teacher, images[:1], "blue square")
    weights = attention[:, 1, -1]
    found = alone.weights[0, :, 3].flatten(1)
    assert torch.allclose(found, weights / weights.sum(-1, keepdim=True), atol=1e-5)
    captions = teacher.interactions(images, [CAPTION, "red", ""], heads=True)
    assert captions.queries[0][:2] == ("red · head 1", "red · head 2")


def test_images_that_another_teacher_looked_at_are_refused(teacher, folder, pictures, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    again = load_teacher(copy)
    assert again.fingerprint == teacher.fingerprint
    (copy / "lfi.json").write_text('{"name": "ours", "default_layers": [0]}')
    changed = load_teacher(copy)
    assert (changed.name, changed.default_layers, again.name) == ("ours", (0,), "copy")
    with torch.no_grad():
        next(changed.model.parameters()).add_(0.1)
    other = GenerativeTeacher(changed.writer, name="other")
    assert other.fingerprint != teacher.fingerprint
    with pytest.raises(ValueError, match="images were encoded by"):
        other.interactions_of(teacher.encode(teacher.preprocess(pictures)), ["red"])


def test_it_writes_about_images_what_it_writes_about_each_alone(teacher, pictures):
    texts = teacher.describe(pictures)
    assert texts == [teacher.describe([picture])[0] for picture in pictures]


def test_what_it_writes_is_what_transformers_writes(teacher, pictures):
    model, image = teacher.model, teacher.preprocess(pictures[:1])
    ids = torch.tensor([teacher.writer.pieces("")[0]])
    limits = {"max_new_tokens": 32, "do_sample": False}
    if teacher.writer.family == "blip":
        with_end = torch.cat([ids, torch.tensor([[2]])], 1)  # its `generate` leaves out the last token
        found = model.generate(pixel_values=image, input_ids=with_end, **limits)
    else:
        at = int((ids[0] == model.config.image_token_id).nonzero()[0])
        places = torch.full((1, 9), model.config.image_token_id)
        ids = torch.cat([ids[:, :at], places, ids[:, at + 1 :]], 1)
        found = model.generate(input_ids=ids, pixel_values=image, attention_mask=torch.ones_like(ids), **limits)
    text = teacher.tokenizer.whole.decode(found[0, ids.shape[1] :], skip_special_tokens=True).strip()
    assert teacher.describe(pictures[:1]) == [text]


def test_a_model_in_half_precision_is_read_as_it_is(teacher, folder, pictures, tmp_path):
    half = load_teacher(folder)
    half.model.to(torch.bfloat16).save_pretrained(str(tmp_path))
    half.tokenizer.whole.save_pretrained(str(tmp_path))
    again = load_teacher(tmp_path)
    assert next(again.model.parameters()).dtype == torch.bfloat16
    images = teacher.preprocess(pictures)
    maps = again.interactions_for(images, [["red"], ["blue square"], ["door"]])
    assert maps.weights.dtype == torch.float32
    whole = teacher.interactions_for(images, [["red"], ["blue square"], ["door"]])
    distances = (maps.weights - whole.weights).abs().sum((-2, -1)) / 2
    assert float(distances.mean()) < 0.1
    assert again.embed_images(images).dtype == again.embed_texts(["red"]).dtype == torch.float32
    assert again.describe(pictures)


def test_a_repository_of_the_hub_gives_its_name(folder, tmp_path):
    kept = tmp_path / "models--org--tiny-writer" / "snapshots" / ("0" * 40)
    shutil.copytree(folder, kept)
    assert load_teacher(kept).name == "tiny-writer"
