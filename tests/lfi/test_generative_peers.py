"""BLIP and LLaVA as peers: tiny ones of transformers' own classes, with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from lfi.errors import WordsError
from lfi.peers import load_peer
from lfi.peers.generative import GenerativePeer
from lfi.teachers.writers import heard

pytest.importorskip("transformers")

from tiny_writers import write_blip, write_llava


@pytest.fixture(scope="module")
def blip(tmp_path_factory) -> Path:
    return write_blip(tmp_path_factory.mktemp("blip") / "model")


@pytest.fixture(scope="module")
def llava(tmp_path_factory) -> Path:
    return write_llava(tmp_path_factory.mktemp("llava") / "model")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


@pytest.mark.parametrize("family", ["blip", "llava"])
def test_any_word_is_read_where_it_has_been_written(family, picture, request):
    peer = load_peer(str(request.getfixturevalue(family)))
    assert isinstance(peer, GenerativePeer)
    assert (peer.writer.family, peer.explanations) == (family, ("cross-attention",))
    assert peer.explanation == "cross-attention"
    images = peer.preprocess([picture, picture.rotate(180)])
    assert tuple(images.shape) == (2, 3, 24, 24)
    maps = peer.explain("cross-attention", images, ["red", "blue square"], model="m@0")
    assert tuple(maps.weights.shape) == (2, 2, 2, 3, 3)
    assert maps.layers == ("decoder layer 1", "decoder layer 2")
    assert maps.queries[0] == ("red", "blue square")
    assert not torch.allclose(maps.weights[:, :, 0], maps.weights[:, :, 1], atol=1e-4)
    assert not torch.allclose(maps.weights[0], maps.weights[1], atol=1e-4)
    assert ((maps.outside > 0) & (maps.outside < 1)).all()
    with pytest.raises(WordsError, match="has no word in it"):
        peer.explain("cross-attention", images, ["?!"], model="m@0")


@pytest.mark.parametrize("family", ["blip", "llava"])
def test_listening_changes_nothing_and_hears_what_the_model_says_of_itself(family, picture, request):
    peer = load_peer(str(request.getfixturevalue(family)))
    model, image = peer.model, peer.preprocess([picture])
    pieces, spans = peer.writer.pieces("red")
    ids, tokens = torch.tensor([pieces]), peer.writer.look(image)
    with torch.no_grad():
        if family == "blip":
            seen = model.vision_model(pixel_values=image).last_hidden_state
            asked = {"input_ids": ids, "encoder_hidden_states": seen}
            alone, said = (
                model.text_decoder(**asked),
                model.text_decoder(**asked, output_attentions=True).cross_attentions,
            )
            with heard(model, family) as layers:
                listened = model.text_decoder(**asked)
        else:
            ids, at = peer.writer._with_image(ids, tokens.shape[1])
            assert tokens.shape[1] == 9
            assert ids[0, at : at + 9].tolist() == [model.config.image_token_id] * 9
            asked = {"input_ids": ids, "pixel_values": image}
            alone, said = model(**asked), model(**asked, output_attentions=True).attentions
            with heard(model, family) as layers:
                listened = model(**asked)
    assert torch.equal(alone.logits, listened.logits)
    assert len(layers) == len(said) == 2
    assert all(torch.equal(*pair) for pair in zip(layers, said, strict=True))
    assert spans[-1][1] - spans[-1][0] == 3, "the last token is the word's, and no end of text follows"


@pytest.mark.parametrize("family", ["blip", "llava"])
def test_a_map_is_the_row_of_the_words_last_token(family, picture, request):
    peer = load_peer(str(request.getfixturevalue(family)))
    image = peer.preprocess([picture])
    maps = peer.explain("cross-attention", image, ["blue square"], model="m@0")
    prompt = {"blip": "a picture of ", "llava": "USER: <image>\nWhat is in the picture? ASSISTANT: "}[family]
    assert peer.writer.prompt == prompt
    ids = torch.tensor([peer.writer.pieces("blue square")[0]])
    assert peer.writer.tokenizer.whole.convert_ids_to_tokens(ids[0].tolist())[-3:] == ["blue", "squ", "##are"]
    with torch.no_grad():
        if family == "blip":
            seen = peer.model.vision_model(pixel_values=image).last_hidden_state
            said = peer.model.text_decoder(input_ids=ids, encoder_hidden_states=seen, output_attentions=True)
            rows = torch.stack([layer.mean(1)[0, -1] for layer in said.cross_attentions])[:, 1:]
        else:
            count = 9
            ids, at = peer.writer._with_image(ids, count)
            said = peer.model(input_ids=ids, pixel_values=image, output_attentions=True)
            rows = torch.stack([layer.mean(1)[0, -1] for layer in said.attentions])[:, at : at + count]
    assert torch.allclose(maps.weights[0, :, 0].flatten(1), rows / rows.sum(-1, keepdim=True), atol=1e-5)
    assert torch.allclose(maps.outside[0, :, 0], 1 - rows.sum(-1), atol=1e-5)


@pytest.mark.parametrize("family", ["blip", "llava"])
def test_what_it_writes_by_itself_is_read_as_well(family, picture, request):
    peer = load_peer(str(request.getfixturevalue(family)))
    for text, maps in peer.described(peer.preprocess([picture, picture.rotate(90)]), model="m@0"):
        assert isinstance(text, str)
        if maps is not None:
            assert maps.weights.shape[2] == len(maps.queries[0])
            assert all(word in text for word in maps.queries[0])


def test_it_can_be_put_into_a_trio(blip, picture, tmp_path):
    peer = load_peer(str(blip))
    peer.write(tmp_path / "copy")
    again = load_peer(str(tmp_path / "copy"))
    assert again.fingerprint == peer.fingerprint
    images = peer.preprocess([picture])
    maps = [each.explain("cross-attention", images, ["red"], model="m@0").weights for each in (peer, again)]
    assert torch.equal(*maps)


@pytest.mark.parametrize("parts", [1, 2])
def test_one_with_older_files_of_weights_is_copied_with_them(blip, tmp_path, parts):
    """As transformers wrote them before safetensors: in one file, or in several with an index."""
    old = shutil.copytree(blip, tmp_path / "old")
    weights = list(safetensors.torch.load_file(old / "model.safetensors").items())
    (old / "model.safetensors").unlink()
    names = [f"pytorch_model-{number}.bin" for number in range(parts)] if parts > 1 else ["pytorch_model.bin"]
    for number, name in enumerate(names):
        torch.save(dict(weights[number::parts]), old / name)
    if parts > 1:
        places = {key: names[index % parts] for index, (key, _) in enumerate(weights)}
        index = {"metadata": {"total_size": 1}, "weight_map": places}
        (old / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    expected = load_peer(str(blip)).fingerprint
    peer = load_peer(str(old))
    assert peer.fingerprint == expected
    peer.write(tmp_path / "copy")
    assert load_peer(str(tmp_path / "copy")).fingerprint == expected
    assert not list((tmp_path / "copy").glob("*.bin*"))
