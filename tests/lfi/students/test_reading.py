"""Reading attention: wanted rows are the rows of the whole, the model is as before, and the whole never exists."""

import pytest
import timm
import torch

from lfi.students import Student, StudentConfig
from lfi.students.reading import attention_rows, rows_of, self_attention

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}


def student() -> Student:
    torch.manual_seed(0)
    return Student(StudentConfig(classes=5, queries=0, overrides=SMALL)).eval()


def test_rows_are_those_of_the_whole():
    model, images = student(), torch.randn(2, 3, 32, 32)
    with self_attention(model) as attention:
        model(images)
        whole = attention()
    with attention_rows(model.backbone, rows=(0, 5)) as attention:
        model(images)
        rows = attention()
    assert [tuple(layer.shape) for layer in rows] == [(2, 3, 2, 17)] * 3
    for layer, every in zip(rows, whole, strict=True):
        assert torch.allclose(layer, every[:, :, [0, 5]], atol=1e-6)


def test_reading_changes_nothing_and_leaves_nothing():
    model, images = student(), torch.randn(2, 3, 32, 32)
    for block in model.backbone.blocks:
        block.attn.fused_attn = True
    before = model(images).logits
    with attention_rows(model.backbone):
        assert torch.equal(model(images).logits, before), "bit for bit: the fused kernel stays on"
        assert all(block.attn.fused_attn for block in model.backbone.blocks)
    assert not any(block.attn.q_norm._forward_hooks for block in model.backbone.blocks)
    assert torch.equal(model(images).logits, before)


@pytest.mark.parametrize("more", [{}, {"qk_norm": True}, {"qkv_bias": False}, {"depth": 1}, {"reg_tokens": 2}])
def test_a_pass_for_rows_alone_gives_them_and_ends_before_the_last_mlp(more):
    torch.manual_seed(0)
    model = Student(StudentConfig(classes=5, queries=0, overrides=SMALL | more)).eval()
    images = torch.randn(2, 3, 32, 32)
    with attention_rows(model.backbone, rows=(0, 5)) as attention:
        model(images)
        expected = attention()
    ran = []
    handles = [
        block.mlp.register_forward_hook(lambda module, *_: ran.append(module)) for block in model.backbone.blocks
    ]
    found = rows_of(model.backbone, images, rows=(0, 5))
    for handle in handles:
        handle.remove()
    assert ran == [block.mlp for block in model.backbone.blocks[:-1]]
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True))
    assert not any(block.attn.k_norm._forward_hooks for block in model.backbone.blocks)
    assert not model.backbone.blocks[-1].attn._forward_pre_hooks


def test_some_blocks_and_gradients():
    model, images = student(), torch.randn(1, 3, 32, 32)
    with attention_rows(model.backbone, blocks=(1,)) as attention:
        model(images)
        (layer,) = attention()
    layer[..., 3].sum().backward()
    assert model.backbone.blocks[0].attn.qkv.weight.grad.abs().sum() > 0
    assert model.backbone.blocks[2].attn.qkv.weight.grad is None


def test_normalised_queries_and_keys_are_read_after_their_norm():
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224",
        num_classes=0,
        img_size=32,
        patch_size=8,
        embed_dim=24,
        depth=2,
        num_heads=3,
        qk_norm=True,
    ).eval()
    for block in model.blocks:
        block.attn.q_norm.weight.data.uniform_(0.5, 2)
    captured = []
    explicit = timm.create_model(
        "vit_tiny_patch16_224",
        num_classes=0,
        img_size=32,
        patch_size=8,
        embed_dim=24,
        depth=2,
        num_heads=3,
        qk_norm=True,
    ).eval()
    explicit.load_state_dict(model.state_dict())
    for block in explicit.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda module, inputs, output: captured.append(output))
    images = torch.randn(1, 3, 32, 32)
    explicit(images)
    with attention_rows(model) as attention:
        model(images)
        for rows, whole in zip(attention(), captured, strict=True):
            assert torch.allclose(rows, whole[:, :, :1], atol=1e-6)
