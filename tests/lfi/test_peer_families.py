"""Models of many makes as peers: tiny ones of timm's own classes, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.layers import apply_rot_embed_cat
from timm.models import save_for_hf

from lfi.errors import UnknownWordError, UnsupportedModelError
from lfi.peers import FeaturePeer, Peer, StudentPeer, load_peer
from lfi.peers.attention import class_rows, formed, pooled_rows
from lfi.peers.features import _outputs, as_map

SWIN = {"img_size": 56, "embed_dim": 12, "depths": (1, 2), "num_heads": (1, 2)}
REGISTERS = {"img_size": 56, "embed_dim": 24, "depth": 2, "num_heads": 3}
HIERA = {"embed_dim": 16, "stages": (1, 1, 1, 1), "num_heads": 1, "num_classes": 1000}
TWO_BLOCKS = {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2}
ROTARY = {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2}
WORDS = ["tabby", "goldfish"]
CAMS = ("grad-cam", "layer-cam")


def folder_of(at: Path, name: str, **options: Any) -> Path:
    torch.manual_seed(3)
    model = timm.create_model(name, **options)
    for weights in model.parameters():
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=max(weights[0].numel(), 1) ** -0.5)
    at.mkdir(parents=True)
    save_for_hf(model, str(at), safe_serialization=True)
    return at


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


FAMILIES = [
    ("test_resnet", {}, CAMS, "ResNet", "its attention cannot be read"),
    ("test_convnext", {}, CAMS, "ConvNeXt", "its attention cannot be read"),
    ("test_efficientnet", {}, CAMS, "EfficientNet", "its attention cannot be read"),
    ("swin_tiny_patch4_window7_224", SWIN, CAMS, "SwinTransformer", "its attention cannot be read"),
    ("test_vit2", {}, CAMS, "ViT", "its attention cannot be read"),  # it has no token that would read the image
    ("hiera_tiny_224", HIERA, CAMS, "Hiera", "its attention cannot be read"),
    ("xcit_nano_12_p16_224", TWO_BLOCKS, CAMS, "Xcit", "its attention cannot be read"),  # channels attend to channels
    ("cait_xxs24_224", TWO_BLOCKS, CAMS, "Cait", "its attention cannot be read"),
    ("test_vit3", {}, ("self-attention", *CAMS), "ViT", "the attention of its pooling query is read"),
    (
        "vit_small_patch16_dinov3",
        {**ROTARY, "num_classes": 1000},
        ("self-attention", "rollout", *CAMS),
        "Eva",
        "the attention of its class token is read",
    ),
]


@pytest.mark.parametrize(("name", "options", "explanations", "kind", "said"), FAMILIES)
def test_whatever_timm_has_features_of_is_explained_and_its_card_says_how(
    name, options, explanations, kind, said, picture, tmp_path
):
    peer = load_peer(str(folder_of(tmp_path / "model", name, **options)))
    assert isinstance(peer, FeaturePeer)
    assert (peer.explanations, peer.explanation) == (explanations, "layer-cam")
    assert peer.about["kind"] == f"{kind} of timm"
    assert said in peer.about["summary"]
    images = peer.preprocess([picture, picture.rotate(180)])
    assert tuple(images.shape[2:]) == peer.image_size
    learning = [each.requires_grad for each in peer.module.parameters()]
    with torch.no_grad():
        before = peer.project(images)
    for explanation in explanations:
        maps = peer.explain(explanation, images, WORDS, model="m@0")
        assert maps.kind == explanation
        assert (maps.layers, maps.weights.shape[:3]) == (peer.layers(explanation), (2, len(maps.layers), 2))
        one, other = maps.weights[:, :, 0], maps.weights[:, :, 1]
        assert torch.allclose(one, other) == (explanation not in CAMS)
        assert not torch.allclose(maps.weights[0], maps.weights[1])
    with torch.no_grad():
        assert torch.equal(peer.project(images), before), "nothing is left behind"
    assert [each.requires_grad for each in peer.module.parameters()] == learning
    with pytest.raises(UnknownWordError):
        peer.explain("layer-cam", images, ["goldfisch"], model="m@0")


def test_cams_of_a_pooled_feature_map_are_its_classifier_at_every_place(picture, tmp_path):
    """Zhou et al. 2016: behind a mean and a linear layer the gradient of a class is its weights."""
    peer = load_peer(str(folder_of(tmp_path / "model", "test_resnet")))
    assert isinstance(peer, FeaturePeer)
    images = peer.preprocess([picture])
    with torch.no_grad():
        features = peer.trunk.forward_features(images)
        weights = peer.trunk.fc.weight[peer.classes["tabby"]]
    for way, own in (("grad-cam", weights), ("layer-cam", weights.relu())):
        expected = torch.einsum("c,bchw->bhw", own, features).relu()
        expected = torch.nn.functional.interpolate(expected[:, None], (10, 10), mode="bilinear", align_corners=False)
        found = peer.explain(way, images, ["tabby"], model="m@0").weights[:, -1]
        assert torch.allclose(found, expected / expected.sum((2, 3), keepdim=True), atol=1e-5)


def test_tokens_in_windows_are_put_in_their_places(picture, tmp_path):
    """Hiera keeps the tokens of a window together: timm's own maps are in the order of the image."""
    peer = load_peer(str(folder_of(tmp_path / "model", "hiera_tiny_224", **HIERA)))
    assert isinstance(peer, FeaturePeer)
    images, model = peer.preprocess([picture]), peer.trunk
    with torch.no_grad(), _outputs(peer.tapped) as outputs:
        model(images)
    expected = model.forward_intermediates(images, output_fmt="NCHW", intermediates_only=True)
    found = [as_map(outputs[layer], layer, model) for layer in peer.tapped]
    assert [each.shape[2:] for each in found] == [(56, 56), (28, 28), (14, 14), (7, 7)]
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_tokens_that_no_class_token_has_joined_yet_are_all_patches(picture, tmp_path):
    peer = load_peer(str(folder_of(tmp_path / "model", "cait_xxs24_224", **TWO_BLOCKS)))
    assert isinstance(peer, FeaturePeer)
    images, model = peer.preprocess([picture]), peer.trunk
    with torch.no_grad(), _outputs(peer.tapped) as outputs:
        model(images)
    before = model.forward_intermediates(images, output_fmt="NLC", intermediates_only=True)[0]
    found = as_map(outputs[peer.tapped[1]], peer.tapped[1], model).flatten(2).transpose(1, 2)
    assert torch.allclose(found, model.blocks[1].norm1(before), atol=1e-5)


def test_a_pool_that_sees_the_class_token_has_no_place_for_it(picture, tmp_path):
    """Perception Encoders: timm's EVA pools its class token as well."""
    peer = load_peer(str(folder_of(tmp_path / "model", "vit_pe_core_tiny_patch16_384", num_classes=0, **TWO_BLOCKS)))
    assert isinstance(peer, FeaturePeer)
    assert peer.explanations == ("self-attention",)
    images = peer.preprocess([picture])
    maps, rows = peer.explain("self-attention", images, ["anything"]), pooled_rows(peer.trunk, images)
    assert rows.shape[-1] == 1 + 16
    assert torch.allclose(maps.outside[..., 0], rows[..., 0], atol=1e-5)
    shares = rows[0, 0, 1:] / rows[0, 0, 1:].sum()
    assert torch.allclose(maps.weights[0, 0, 0].flatten(), shares, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("coat_lite_tiny", "the module that timm calls stage 1 is never run"),
        ("crossvit_9_240", "features of shape [1, 401, 128] are no map of 128 channels"),
        ("tnt_s_legacy_patch16_224", "features of shape [196, 16, 24] are no map of 384 channels"),
        ("twins_svt_small", "Twins has no attribute `block`"),
    ],
)
def test_what_cannot_answer_is_refused_when_it_is_loaded(name, reason):
    with pytest.raises(UnsupportedModelError) as refused:
        load_peer(f"timm:{name}:random")
    assert str(refused.value) == (
        f"gradients of {name} cannot be read ({reason}), and its attention cannot be read: there is nothing to show"
    )


def test_registers_are_no_patches(picture, tmp_path):
    """DINOv2 with registers: a class token and four registers before the patches."""
    peer = load_peer(str(folder_of(tmp_path / "model", "vit_small_patch14_reg4_dinov2", **REGISTERS)))
    assert isinstance(peer, StudentPeer)
    assert peer.explanations == ("self-attention", "rollout")
    images = peer.preprocess([picture])
    maps = peer.explain("self-attention", images, ["anything"], model="m@0")
    backbone = peer.student.backbone
    with torch.no_grad(), formed(backbone) as layers:
        backbone.forward_features(images)
    rows = torch.stack([layer.mean(1)[:, 0] for layer in layers], 1)
    assert rows.shape[-1] == 1 + 4 + 16
    assert torch.allclose(maps.outside[..., 0], rows[..., :5].sum(-1), atol=1e-5)
    assert torch.allclose(
        maps.weights[:, :, 0].flatten(2) * rows[..., 5:].sum(-1, keepdim=True), rows[..., 5:], atol=1e-5
    )


def test_rotary_attention_is_read_after_the_rotation(picture, tmp_path):
    """DINOv3: queries and keys of patches are rotated by their place; class token and registers are not."""
    peer = load_peer(str(folder_of(tmp_path / "model", "vit_small_patch16_dinov3", **ROTARY)))
    assert isinstance(peer, FeaturePeer)
    assert peer.explanations == ("self-attention", "rollout")
    assert "It knows no words" in peer.about["summary"]
    images, model = peer.preprocess([picture]), peer.trunk
    with torch.no_grad():
        tokens, rope = model._pos_embed(model.patch_embed(images))
        read = model.blocks[0].norm1(model.norm_pre(tokens))
        attention = model.blocks[0].attn
        bias = None if attention.q_bias is None else torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
        q, k, _ = (
            torch.nn.functional.linear(read, attention.qkv.weight, bias)
            .unflatten(-1, (3, attention.num_heads, -1))
            .permute(2, 0, 3, 1, 4)
        )
        prefix, half = model.num_prefix_tokens, attention.rotate_half

        def rows(rotated: bool) -> torch.Tensor:
            def turned(x: torch.Tensor) -> torch.Tensor:
                patches = apply_rot_embed_cat(x[:, :, prefix:], rope, half=half) if rotated else x[:, :, prefix:]
                return torch.cat([x[:, :, :prefix], patches], 2)

            return (attention.scale * turned(q)[:, :, :1] @ turned(k).transpose(-2, -1)).softmax(-1).mean(1)[:, 0]

        assert prefix == 1 + 4
        assert torch.allclose(class_rows(model, images)[:, 0], rows(True), atol=1e-5)
        assert not torch.allclose(rows(True), rows(False), atol=1e-4)
    maps = peer.explain("self-attention", images, ["anything"], model="m@0")
    assert torch.allclose(maps.outside[:, 0, 0], rows(True)[:, :prefix].sum(-1), atol=1e-5)
    assert all(block.attn.fused_attn == timm.layers.use_fused_attn() for block in model.blocks)


def test_what_has_neither_words_nor_attention_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="names no classes, and its attention cannot be read"):
        load_peer(str(folder_of(tmp_path / "model", "test_convnext", num_classes=0)))


def test_a_feature_peer_is_written_and_read_again(picture, tmp_path):
    peer = load_peer(str(folder_of(tmp_path / "model", "test_convnext")))
    peer.write(tmp_path / "copy")
    again: Peer = load_peer(str(tmp_path / "copy"))
    assert again.fingerprint == peer.fingerprint
    images = peer.preprocess([picture])
    maps = [each.explain("layer-cam", images, WORDS, model="m@0").weights for each in (peer, again)]
    assert torch.allclose(*maps, atol=1e-6)
