"""A ViT as a detection backbone: the maps are the model's own, at any size, with windows or without."""

import pytest
import timm
import torch

from lfi.detection import SimplePyramid
from lfi.errors import ConfigError

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3, "num_classes": 0}


def vit(name="vit_tiny_patch16_224", **changes):
    torch.manual_seed(0)
    return timm.create_model(name, **(SMALL | changes)).eval()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vit_tiny_patch16_224", {}),
        ("vit_tiny_patch16_224", {"reg_tokens": 4}),
        ("vit_tiny_patch16_224", {"reg_tokens": 2, "no_embed_class": True}),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}),
        ("vit_tiny_patch16_224", {"pre_norm": True}),
    ],
)
def test_the_last_map_is_the_models_own(name, changes):
    backbone, images = vit(name, **changes), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = SimplePyramid(backbone, 16).last_map(images)
        own = backbone.forward_features(images)[:, backbone.num_prefix_tokens :]
    assert torch.allclose(found.flatten(2).transpose(1, 2), own, atol=1e-5)


def test_levels_halve_from_a_quarter_patch_to_four():
    pyramid = SimplePyramid(vit(), 16)
    maps = pyramid(torch.randn(1, 3, 64, 96))
    assert pyramid.strides == (2, 4, 8, 16, 32)
    assert [tuple(level.shape) for level in maps.values()] == [
        (1, 16, 64 // stride, 96 // stride) for stride in pyramid.strides
    ]


def test_positions_follow_the_size():
    backbone = vit()
    pyramid = SimplePyramid(backbone, 16)
    larger = timm.create_model("vit_tiny_patch16_224", **(SMALL | {"img_size": (64, 48)})).eval()
    state = dict(backbone.state_dict())
    state["pos_embed"] = timm.layers.resample_abs_pos_embed(state["pos_embed"], (8, 6), (4, 4), num_prefix_tokens=1)
    larger.load_state_dict(state)
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        own = larger.forward_features(images)[:, 1:]
        assert torch.allclose(pyramid.last_map(images).flatten(2).transpose(1, 2), own, atol=1e-5)


def test_windows_keep_patches_apart_except_in_whole_blocks():
    backbone = vit(depth=8)
    pyramid = SimplePyramid(backbone, 16, window=2)
    assert pyramid.whole == {1, 3, 5, 7}
    block = backbone.blocks[0]
    patches = torch.randn(1, 30, 24)  # 5 x 6: padded down to 6 x 6
    done = pyramid._in_windows(block, patches, (5, 6))
    assert done.shape == patches.shape
    grid, found = patches.unflatten(1, (5, 6)), done.unflatten(1, (5, 6))
    corner = block(grid[:, 2:4, 4:6].flatten(1, 2)).unflatten(1, (2, 2))
    assert torch.allclose(found[:, 2:4, 4:6], corner, atol=1e-5), "a window is attended to alone"
    edge = torch.cat([grid[:, 4:5, :2], torch.zeros(1, 1, 2, 24)], 1)
    assert torch.allclose(found[:, 4:5, :2], block(edge.flatten(1, 2)).unflatten(1, (2, 2))[:, :1], atol=1e-5)


def test_a_window_as_large_as_the_grid_attends_to_all_patches():
    backbone = vit(class_token=False, global_pool="avg")
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        whole = SimplePyramid(backbone, 16).last_map(images)
        assert torch.allclose(SimplePyramid(backbone, 16, window=4).last_map(images), whole, atol=1e-5)


def test_gradients_reach_the_patches():
    pyramid = SimplePyramid(vit(), 16, window=2)
    sum(level.sum() for level in pyramid(torch.randn(1, 3, 32, 32)).values()).backward()
    assert pyramid.backbone.patch_embed.proj.weight.grad.abs().sum() > 0


def test_what_has_no_pyramid_is_refused():
    with pytest.raises(ConfigError, match="patches are 14 x 14"):
        SimplePyramid(vit(img_size=28, patch_size=14))
    with pytest.raises(ConfigError, match="the window is -1"):
        SimplePyramid(vit(), window=-1)
