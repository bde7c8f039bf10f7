"""Students: Interaction Queries read a plain ViT and leave it as it is."""

import pytest
import torch
from safetensors.torch import save_file

from lfi.errors import CheckpointError, UnknownModelError, UnsupportedModelError
from lfi.students import InteractionQueries, Student, StudentConfig, create_backbone, describe

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}


def student(**changes) -> Student:
    torch.manual_seed(0)
    return Student(StudentConfig(classes=5, queries=4, text_dim=16, overrides=SMALL, **changes)).eval()


def test_a_wrapped_backbone_computes_the_features_of_the_bare_one_bit_for_bit():
    wrapped = student()
    bare = create_backbone("vit_tiny_patch16_224", SMALL).eval()
    bare.load_state_dict(wrapped.backbone.state_dict())
    images = torch.randn(2, 3, 32, 32)
    tokens = bare.forward_features(images)
    out = wrapped(images)
    assert torch.equal(out.patches, tokens[:, 1:])
    assert torch.equal(out.features[:, :24], tokens[:, 0])


def test_every_query_attends_to_patches_in_every_layer():
    out = student()(torch.randn(2, 3, 32, 32))
    assert out.attention.shape == (2, 3, 4, 16)
    assert torch.allclose(out.attention.sum(-1), torch.ones(2, 3, 4))
    assert (out.queries.shape, out.names.shape, out.logits.shape) == ((2, 4, 24), (2, 4, 16), (2, 5))


def test_supervising_attention_reaches_the_backbone_but_writing_does_not():
    wrapped = student(taps=(0,))
    out = wrapped(torch.randn(1, 3, 32, 32))
    out.attention[..., 0].sum().backward()
    assert wrapped.backbone.patch_embed.proj.weight.grad.abs().sum() > 0
    assert wrapped.backbone.blocks[1].mlp.fc1.weight.grad is None, "block 2 comes after the only tap"


def test_a_query_keeps_what_it_read():
    block = InteractionQueries(24, 4, 3)
    start = block.initial(2)
    moved, weights = block(start, torch.randn(2, 16, 24))
    assert weights.shape == (2, 4, 3, 16)
    assert not torch.allclose(moved, start)
    again, _ = block(moved, torch.zeros(2, 16, 24))
    assert torch.allclose(again - moved, (again - moved)[:, :1].expand(-1, 4, -1), atol=1e-6), (
        "even patches tell all the same"
    )


def test_queries_attend_as_textbook_cross_attention_does():
    torch.manual_seed(0)
    block = InteractionQueries(24, 4, 3).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    queries, patches = torch.randn(2, 4, 24).double(), torch.randn(2, 16, 24).double()
    moved, weights = block(queries, patches)

    attend = torch.nn.MultiheadAttention(24, 3, batch_first=True).double()
    with torch.no_grad():
        attend.in_proj_weight.copy_(torch.cat([block.query.weight, block.key_value.weight]))
        attend.in_proj_bias.copy_(torch.cat([block.query.bias, block.key_value.bias]))
        attend.out_proj.weight.copy_(block.out.weight)
        attend.out_proj.bias.copy_(block.out.bias)
    seen = block.norm_patches(patches)
    read, expected = attend(block.norm_query(queries), seen, seen, average_attn_weights=False)
    assert torch.allclose(weights.transpose(1, 2).double(), expected, atol=1e-6)  # weights are float32
    assert torch.allclose(moved, queries + read, atol=1e-6)


@pytest.mark.parametrize(("name", "limit"), [("vit_small_patch16_224", 0.04), ("vit_base_patch16_224", 0.035)])
def test_lfi_adds_few_parameters(name, limit):
    found = describe(name)
    assert 0.02 < found.overhead <= limit


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("swin_tiny_patch4_window7_224", UnsupportedModelError, "SwinTransformer"),
        ("eva02_tiny_patch14_224", UnsupportedModelError, "Eva"),
        ("resnet18", UnsupportedModelError, "ResNet"),
        ("vit_smal_patch16_224", UnknownModelError, "vit_small_patch16_224"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(name, error, message):
    with pytest.raises(error, match=message):
        create_backbone(name)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"patch_size": 0}, "timm cannot build"),
        ({"num_heads": 0}, "timm cannot build"),
        ({"depth": 0}, "a depth of at least 1 was expected"),
        ({"in_chans": 1}, "in_chans is 1; images have 3 channels"),
        ({"img_size": [32]}, "timm cannot build"),
    ],
)
def test_overrides_that_make_no_backbone_are_refused(overrides, message):
    with pytest.raises(UnsupportedModelError, match=message):
        create_backbone("vit_tiny_patch16_224", {"img_size": 32, "depth": 1} | overrides)


def test_taps_outside_the_backbone_are_refused():
    with pytest.raises(UnsupportedModelError, match="blocks 0 to 2"):
        student(taps=(1, 3))


@pytest.mark.parametrize("taps", [(2, 0), (1, 1)])
def test_taps_that_do_not_rise_are_refused(taps):
    """Their maps would be named after other blocks than they are of."""
    with pytest.raises(UnsupportedModelError, match="rising numbers of blocks were expected"):
        student(taps=taps)


def test_a_saved_student_answers_the_same(tmp_path):
    images = torch.randn(1, 3, 32, 32)
    one = student()
    one.save(tmp_path / "student.safetensors")
    other = Student.load(tmp_path / "student.safetensors")
    assert torch.equal(one(images).logits, other(images).logits)
    assert other.config == one.config


def test_a_student_kept_in_float16_is_half_as_large_and_rounded(tmp_path):
    one = student()
    one.save(tmp_path / "whole.safetensors")
    one.save(tmp_path / "half.safetensors", torch.float16)
    whole, half = (tmp_path / f"{name}.safetensors" for name in ("whole", "half"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    rounded = Student.load(half).state_dict()
    assert all(torch.equal(rounded[name], tensor.half().float()) for name, tensor in one.state_dict().items())


def test_damaged_and_foreign_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "student.safetensors"
    with pytest.raises(CheckpointError, match="cannot read"):
        Student.load(path)
    student().save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="cannot read") as caught:
        Student.load(path)
    assert "\n" not in str(caught.value)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="no student configuration"):
        Student.load(path)


def test_a_head_that_reads_names_tells_a_class_by_its_nearest_query():
    one = student(by_name=True)
    with torch.no_grad():
        one.labels.copy_(torch.nn.functional.normalize(torch.randn(5, 16), dim=-1))
    images = torch.randn(3, 3, 32, 32)
    out = one(images)
    names = torch.nn.functional.normalize(out.names, dim=-1)
    nearest = torch.stack([(names @ label).amax(1) for label in one.labels], 1)
    assert torch.allclose(out.logits, one.head(out.features) + 10 * nearest - 5, atol=1e-5)


def test_a_head_cannot_read_names_that_are_not_there():
    with pytest.raises(UnsupportedModelError, match="needs queries"):
        Student(StudentConfig(classes=5, queries=0, text_dim=16, by_name=True, overrides=SMALL))
