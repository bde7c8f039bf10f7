"""SigLIP, CLIPs with timm's image towers, and CLIPs with text towers of transformers, tiny and of the real classes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image

from lfi.errors import UnsupportedModelError
from lfi.peers import FeaturePeer, load_peer
from lfi.teachers import ClipTeacher, load_teacher, save_teacher
from lfi.teachers.loading import CONFIG, build
from lfi.teachers.timmclip import PLACES, POOLED, place_grid

VOCABULARY = ["red", "blue", "square", "circle", "a"]
TEXT = {
    "context_length": 8,
    "vocab_size": 16,
    "width": 32,
    "heads": 4,
    "layers": 1,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
}
PLAIN = {"image_size": 40, "patch_size": 8, "width": 32, "layers": 2, "head_width": 8}


def siglip(tower: str = "test_vit3", image_size: int = 160, **vision: Any) -> dict[str, Any]:
    """As open_clip configures SigLIP, with one of timm's tiny towers."""
    pool = "map" if tower == "test_vit3" else "avg"
    width = timm.create_model(tower, num_classes=0).num_features
    proj = {"timm_proj": "none"} if pool == "map" else {"timm_proj": "linear"}
    cfg = {
        "image_size": image_size,
        "timm_model_name": tower,
        "timm_model_pretrained": False,
        "timm_pool": pool,
        **proj,
    }
    embed = width if pool == "map" else 24
    return {
        "embed_dim": embed,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": cfg | vision,
        "text_cfg": TEXT,
    }


def folder_of(at: Path, config: dict[str, Any], vocabulary: list[str] | None = None) -> Path:
    torch.manual_seed(4)
    model = build(config, "tiny", at)
    for name, weights in model.named_parameters():
        if weights.ndim > 1 and "embedding" not in name:
            torch.nn.init.normal_(weights, std=max(weights[0].numel(), 1) ** -0.5)
    card = {"name": "tiny"} | ({"vocabulary": vocabulary} if vocabulary else {})
    save_teacher(at, model, config, mean=[0.5] * 3, std=[0.5] * 3, card=card)
    return at


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


@pytest.mark.parametrize(
    ("tower", "variant", "grid"), [("test_vit3", POOLED, (10, 10)), ("test_convnext", PLACES, (5, 5))]
)
def test_a_clip_with_an_image_tower_of_timm_teaches_and_stays_what_it_was(tower, variant, grid, picture, tmp_path):
    teacher = load_teacher(folder_of(tmp_path / "clip", siglip(tower), VOCABULARY))
    assert isinstance(teacher, ClipTeacher)
    assert (teacher.layers, teacher.grid, teacher.heads) == ((variant,), grid, 0)
    images = teacher.preprocess([picture, picture.rotate(180)])
    encoded = teacher.encode(images)
    with torch.no_grad():
        assert torch.equal(encoded.latent, teacher.model.encode_image(images, normalize=True))
        logits = teacher.model.get_logits(images, teacher.tokenizer(["red square", "blue"]))[0]
    shifted = teacher.classify(images, ["red square", "blue"]) + teacher.model.logit_bias
    assert torch.allclose(shifted, logits, atol=1e-4)
    maps = teacher.interactions_of(encoded, ["red square", "blue"])
    assert tuple(maps.weights.shape) == (2, 1, 2, *grid)
    cosines = encoded.dense @ teacher.embed_texts(["red square", "blue"]).T
    scale = teacher.model.logit_scale.exp()
    assert torch.allclose(maps.weights.flatten(3)[:, 0].transpose(1, 2), (scale * cosines).softmax(1), atol=1e-5)


@pytest.mark.parametrize("tower", ["test_vit3", "test_convnext"])
def test_an_image_of_one_place_is_that_place(tower, tmp_path):
    """Where there is only one patch or cell, what is read of it alone is the image's embedding."""
    teacher = load_teacher(folder_of(tmp_path / "clip", siglip(tower), VOCABULARY))
    trunk: Any = teacher.model.visual.trunk
    torch.manual_seed(0)
    trunk.pool_include_prefix = False  # this tower's query sees a register as well
    tokens = trunk.num_prefix_tokens + 1 if tower == "test_vit3" else 0
    one = torch.randn(3, tokens, trunk.embed_dim) if tokens else torch.randn(3, trunk.num_features, 1, 1)
    trunk.forward_features = lambda images: one
    encoded = teacher.encode(torch.zeros(3, 3, 160, 160))
    assert torch.allclose(encoded.dense[:, 0], encoded.latent, atol=1e-5)


def test_a_siglip_as_a_peer_shows_its_pooling_query_and_gradients(picture, tmp_path):
    folder = folder_of(tmp_path / "clip", siglip(), VOCABULARY)
    peer, teacher = load_peer(str(folder)), load_teacher(folder)
    assert isinstance(peer, FeaturePeer)
    assert peer.explanations == ("dense-similarity", "self-attention", "grad-cam", "layer-cam")
    assert "the attention of its pooling query is read" in peer.about["summary"]
    images = peer.preprocess([picture])
    dense = peer.explain("dense-similarity", images, ["red", "blue"], model="m@0")
    assert torch.equal(dense.weights, teacher.dense(images, ["red", "blue"]).weights)

    pool: Any = peer.trunk.attn_pool
    heard: list[torch.Tensor] = []
    shown = peer.explain("self-attention", images, ["red"], model="m@0").weights[0, 0, 0].flatten()
    with torch.no_grad():  # the pool's own arithmetic, with values that name their patch
        tokens = peer.trunk.forward_features(images)
        keys, _ = pool.kv.weight.chunk(2)
        q = pool.q(pool.latent).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        k = torch.nn.functional.linear(tokens, keys, pool.kv.bias.chunk(2)[0]).unflatten(-1, (pool.num_heads, -1))
        k = k.transpose(1, 2)
        named = torch.eye(tokens.shape[1]).expand(1, pool.num_heads, -1, -1)
        heard.append(torch.nn.functional.scaled_dot_product_attention(pool.q_norm(q), pool.k_norm(k), named))
    patches = heard[0].mean(1)[0, 0, peer.trunk.num_prefix_tokens :]  # this tower's query sees a register as well
    assert torch.allclose(shown, patches / patches.sum(), atol=1e-5)

    one, other = peer.explain("layer-cam", images, ["red", "blue"], model="m@0").weights[0, -1]
    assert not torch.allclose(one, other)
    peer.write(tmp_path / "copy")
    assert load_peer(str(tmp_path / "copy")).fingerprint == peer.fingerprint


def test_real_siglips_are_read_but_for_their_weights():
    """The configurations of open_clip itself pass everything that does not need a network."""
    from lfi.teachers.loading import _refuse

    for name in ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "convnext_base_w"):
        config = open_clip.get_model_config(name)
        _refuse(config, name)
        assert config["vision_cfg"]["timm_model_name"]


def test_a_tower_that_neither_pools_by_attention_nor_has_a_map_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="the attention of its timm image tower test_vit2 cannot be read"):
        load_teacher(folder_of(tmp_path / "clip", siglip("test_vit2"), VOCABULARY))
    visual = build(siglip("test_convnext"), "tiny").visual
    visual.trunk.forward_features = lambda images: torch.zeros(1, 9, 24)
    with pytest.raises(UnsupportedModelError, match="neither pools by attention nor has a feature map"):
        place_grid(visual, "tiny")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with a CLIP whose text tower is a tiny BERT, and with its tokeniser."""
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert") / "clip"
    folder.mkdir()
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    pieces = [*special.values(), "red", "blue", "squ", "##are", "##s", "circle", "a", ".", "gr", "##un"]
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(str(folder))
    text = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=0,
    )
    text.save_pretrained(str(folder / "text"))
    hf = {"hf_model_name": "org/tiny-bert", "hf_tokenizer_name": "org/tiny-bert", "hf_pooler_type": "mean_pooler"}
    return folder_of(folder, {"embed_dim": 16, "vision_cfg": PLAIN, "text_cfg": {**hf, "context_length": 12}})


def test_a_clip_with_a_text_tower_of_transformers_teaches(bert, picture):
    teacher = load_teacher(bert)
    assert teacher.context_length == 12
    images = teacher.preprocess([picture])
    caption = "A red square. Blue circles!"
    maps = teacher.interactions(images, [caption])
    assert maps.queries == (("red", "square", "blue", "circles"),)
    ids = teacher.tokenizer(["red square"])
    assert ids.tolist() == [[1, 4, 6, 7, 2] + [0] * 7]
    with torch.no_grad():
        expected = teacher.model.encode_text(ids, normalize=True)
    assert torch.allclose(teacher.embed_texts(["red square"]), expected, atol=1e-6)
    assert not torch.allclose(*teacher.embed_texts(["red", "blue"]))


def test_words_stand_at_their_last_token(bert):
    words = load_teacher(bert).tokenizer.words("A red  SQUARES, grun")
    assert words == [("a", 1), ("red", 2), ("squares", 5), ("grun", 8)]


def test_one_thread_may_ask_for_words_while_another_asks_for_ids(bert):
    tokenizer = load_teacher(bert).tokenizer
    long = "red square " * 20
    ids, words = tokenizer(["red", long]), tokenizer.words(long)
    assert len(words) == 40, "words are not cut"

    def right(number: int) -> bool:
        return tokenizer.words(long) == words if number % 2 else torch.equal(tokenizer(["red", long]), ids)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(1000)))


def test_such_a_clip_is_a_peer_that_can_be_copied(bert, picture, tmp_path):
    peer = load_peer(str(bert))
    peer.write(tmp_path / "copy")
    again = load_peer(str(tmp_path / "copy"))
    assert again.fingerprint == peer.fingerprint
    images = peer.preprocess([picture])
    maps = [each.explain("legrad", images, ["red", "blue"], model="m@0").weights for each in (peer, again)]
    assert torch.allclose(*maps, atol=1e-6)


def test_without_transformers_one_line_says_what_to_install(bert, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(
        UnsupportedModelError, match=r"an extra: pip install 'learning-from-interactions\[transformers\]'"
    ):
        load_teacher(bert)
    assert "hf_model_name" in json.loads((bert / CONFIG).read_text())["model_cfg"]["text_cfg"]
