"""BLIP and LLaVA as peers: tiny ones of transformers' own classes, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lfi.errors import WordsError
from lfi.peers import load_peer
from lfi.peers.generative import GenerativePeer, heard

transformers = pytest.importorskip("transformers")

SPECIAL = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "bos_token": "[DEC]"}
WORDS = ["a", "picture", "of", "red", "blue", "squ", "##are", "user", ":", "what", "is", "in", "the", "?", "assistant"]
SIZES = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SIZES, "image_size": 24, "patch_size": 8}


def tokenizer(at: Path, *more: str) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {piece: index for index, piece in enumerate([*SPECIAL.values(), *WORDS, *more])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)
    if more:
        whole.add_special_tokens({"additional_special_tokens": list(more)})
    whole.save_pretrained(str(at))
    return whole


def spread(model: Any) -> None:
    """Weights so large that attention is not even."""
    torch.manual_seed(5)
    for weights in model.parameters():
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=3 * max(weights[0].numel(), 1) ** -0.5)


@pytest.fixture(scope="module")
def blip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("blip") / "model"
    words = tokenizer(folder)
    text = {
        **SIZES,
        "vocab_size": len(words),
        "encoder_hidden_size": 32,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "sep_token_id": 2,
        "eos_token_id": 2,
        "bos_token_id": 4,
    }
    model = transformers.BlipForConditionalGeneration(transformers.BlipConfig(text_config=text, vision_config=VISION))
    spread(model)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def llava(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("llava") / "model"
    words = tokenizer(folder, "<image>")
    text = transformers.LlamaConfig(
        **SIZES, vocab_size=len(words), max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2
    )
    vision = transformers.CLIPVisionConfig(**VISION)
    image = words.convert_tokens_to_ids("<image>")
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=image, image_seq_length=9
    )
    model = transformers.LlavaForConditionalGeneration(config)
    spread(model)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


@pytest.mark.parametrize("family", ["blip", "llava"])
def test_any_word_is_read_where_it_has_been_written(family, picture, request):
    peer = load_peer(str(request.getfixturevalue(family)))
    assert isinstance(peer, GenerativePeer)
    assert (peer.family, peer.explanations, peer.explanation) == (family, ("cross-attention",), "cross-attention")
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
    ids, spans = peer._ids({"blip": "a picture of red", "llava": "user : <image> assistant : red"}[family])
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
            ids, at, count = peer._with_image(ids, image)
            assert count == 9
            assert ids[0, at : at + count].tolist() == [model.config.image_token_id] * 9
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
    ids, _ = peer._ids(prompt + "blue square")
    assert peer.tokenizer.convert_ids_to_tokens(ids[0].tolist())[-3:] == ["blue", "squ", "##are"]
    with torch.no_grad():
        if family == "blip":
            seen = peer.model.vision_model(pixel_values=image).last_hidden_state
            said = peer.model.text_decoder(input_ids=ids, encoder_hidden_states=seen, output_attentions=True)
            rows = torch.stack([layer.mean(1)[0, -1] for layer in said.cross_attentions])[:, 1:]
        else:
            ids, at, count = peer._with_image(ids, image)
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
