"""Teachers whose image tower is a timm backbone."""

import pytest
import torch
from PIL import Image

from lfi.data.names import IMAGENET_NAMES
from lfi.errors import CheckpointError, UnsupportedModelError
from lfi.teachers import load_teacher, save_teacher
from lfi.teachers.loading import build
from lfi.teachers.names import Names
from lfi.teachers.tower import TimmTower


def config(backbone: str, indices: list[int], ids: int, grid: int = 4, size: int = 64) -> dict:
    text = {"context_length": 16, "vocab_size": ids, "width": 32}
    vision = {"timm_backbone": backbone, "indices": indices, "image_size": size, "grid": grid}
    return {
        "embed_dim": 32,
        "vision_cfg": {**vision, "width": 32},
        "text_cfg": {**text, "heads": 2, "layers": 1, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**text, "heads": 1, "layers": 1},
        "custom_text": True,
    }


@pytest.fixture(scope="module")
def names() -> Names:
    whole = Names.read(IMAGENET_NAMES).content
    few = [entry for entry in whole["names"] if entry[0] in ("dog", "cat", "teapot", "golden retriever")]
    assert len(few) == 4
    return Names({"leaves": whole["leaves"], "names": few, "nearest": {"puppy": [0]}})


@pytest.fixture
def folder(names, tmp_path):
    from lfi.teachers.names import FUNCTION

    parts = config("resnet18", [3], len(FUNCTION) + len(names.names) + 3)
    torch.manual_seed(0)
    model = build(parts, "tower")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_teacher(tmp_path, model, parts, mean=[0.5] * 3, std=[0.5] * 3, card={"name": "tower"}, names=names)
    return tmp_path


def test_a_teacher_over_a_convolutional_backbone_is_a_teacher_like_any_other(folder):
    teacher = load_teacher(folder)
    assert (teacher.grid, teacher.image_size, teacher.embed_dim) == ((4, 4), 64, 32)
    images = teacher.preprocess([Image.effect_noise((90, 70), 80).convert("RGB"), Image.new("RGB", (64, 64), "red")])
    encoded = teacher.encode(images)
    maps = teacher.interactions_of(encoded, ["dogs", "golden retriever"])
    assert maps.weights.shape == (2, 1, 2, 4, 4)
    assert not torch.allclose(maps.weights[:, :, 0], maps.weights[:, :, 1])
    again = teacher.interactions_for(encoded, [["golden retriever"], ["golden retriever"]]).weights[:, :, 0]
    torch.testing.assert_close(again, maps.weights[:, :, 1], atol=1e-5, rtol=1e-4)
    assert teacher.dense(encoded, ["cat"]).weights.shape == (2, 1, 1, 4, 4)
    assert teacher.classify(encoded, ["dog", "teapot"]).shape == (2, 2)
    torch.testing.assert_close(teacher.embed_texts(["a dog"]).norm(dim=-1), torch.ones(1))


def test_the_evidence_is_the_cosine_and_the_log_sum_exp_of_the_scores_that_make_the_map(folder):
    teacher = load_teacher(folder)
    encoded = teacher.encode(teacher.preprocess([Image.effect_noise((64, 64), 90).convert("RGB")]))
    evidence = teacher.evidence(encoded, [["dog", "cat"]])
    torch.testing.assert_close(evidence[0, :, 0], teacher.embed_texts(["dog", "cat"]) @ encoded.latent[0])
    scores = []
    cross = teacher.model.text_decoder.cross_attn[0]

    def hear(module, args):
        query, key = module.in_proj_weight.chunk(3)[:2]
        bias = module.in_proj_bias.chunk(3)
        q, k = args[0] @ query.T + bias[0], args[1] @ key.T + bias[1]
        scores.append((q @ k.transpose(1, 2)) * module.head_dim**-0.5)

    handle = cross.attn.register_forward_pre_hook(hear)
    with torch.no_grad():
        ids = teacher.tokenizer(["dog"], teacher.context_length)
        teacher.model.text_decoder(encoded.tokens, teacher.model.text(ids)[1])
    handle.remove()
    (whole,) = scores
    torch.testing.assert_close(whole[0, 1].logsumexp(-1), evidence[0, 0, 1], atol=1e-4, rtol=1e-4)


def test_a_locked_tower_stays_as_it_is_in_training():
    tower = TimmTower("resnet18", [3], 64, 4, 16, 8).train()
    assert not tower.trunk.training
    before = {name: tensor.clone() for name, tensor in tower.trunk.state_dict().items()}
    latent, tokens = tower(torch.randn(2, 3, 64, 64))
    (latent.sum() + tokens.sum()).backward()
    assert all(parameter.grad is None for parameter in tower.trunk.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in tower.trunk.state_dict().items())
    assert tokens.shape == (2, 16, 16)


@pytest.mark.parametrize("backbone", ["resnet18", "convnext_atto", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_any_backbone_with_feature_maps_can_be_read(backbone):
    size = 224 if backbone.startswith("vit") else 64
    tower = TimmTower(backbone, [2 if backbone.startswith("vit") else 3], size, 4, 16, 8).eval()
    latent, tokens = tower(torch.randn(1, 3, size, size))
    assert (latent.shape, tokens.shape) == ((1, 8), (1, 16, 16))


def test_a_backbone_that_is_not_there_and_maps_that_it_lacks_are_one_clear_line():
    with pytest.raises(UnsupportedModelError, match="timm has no backbone 'resnet19'"):
        TimmTower("resnet19", [3], 64, 4, 16, 8)
    with pytest.raises(CheckpointError, match=r"resnet18 has no feature maps \[9\]"):
        TimmTower("resnet18", [9], 64, 4, 16, 8)
