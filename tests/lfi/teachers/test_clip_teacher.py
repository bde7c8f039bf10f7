"""CLIP as a teacher: a word looks where the patches, each on its own, resemble it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from teacher_models import CONFIGS, CONTEXT, hooks, sharp
from torch import Tensor

from lfi.errors import ConfigError, UnsupportedModelError, WordsError
from lfi.maps import PADDING
from lfi.teachers import ClipTeacher, CoCaTeacher

ONLY_ITSELF = torch.full((17, 17), -torch.inf).fill_diagonal_(0)
"""A mask under which every token of the tiny models (CLS and 16 patches) attends to itself alone."""


def test_a_words_map_is_its_similarity_to_patches_that_see_only_themselves(clip: ClipTeacher, images: Tensor) -> None:
    visual, words = clip.model.visual, ["red circle", "star"]
    maps = clip.interactions_of(images, words)
    with torch.no_grad():
        tokens = visual._embeds(images)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        patches = visual.ln_post(last(tokens, attn_mask=ONLY_ITSELF))[:, 1:] @ visual.proj
        texts = clip.model.encode_text(clip.tokenizer(words), normalize=True)
        scores = texts @ F.normalize(patches, dim=-1).transpose(1, 2) / 0.07
    torch.testing.assert_close(maps.weights[:, 0].flatten(2), scores.softmax(-1), atol=1e-5, rtol=0)
    assert maps.weights.amax() > 0.3
    assert (maps.outside.abs() < 1e-6).all()
    assert (maps.kind, maps.layers) == ("dense-similarity", ("last block's value path (MaskCLIP)",))
    assert maps.queries == (("red circle", "star"),) * 3


def test_the_residual_free_variant_says_so(images: Tensor, tokenizer: SimpleTokenizer) -> None:
    model = sharp(CONFIGS["clip"])
    bare = ClipTeacher(model, tokenizer, variant="residual-free")
    maps = bare.interactions_of(images, ["star"])
    assert maps.layers == bare.layers == ("last block's value path, residual-free",)
    with torch.no_grad():
        visual = model.visual
        tokens = visual._embeds(images)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        patches = visual.ln_post(last.attention(last.ln_1(tokens), attn_mask=ONLY_ITSELF))[:, 1:] @ visual.proj
        scores = model.encode_text(tokenizer(["star"]), normalize=True) @ F.normalize(patches, dim=-1).mT / 0.07
    torch.testing.assert_close(maps.weights[:, 0].flatten(2), scores.softmax(-1), atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="unknown variant 'plain'"):
        ClipTeacher(model, tokenizer, variant="plain")


def test_content_words_of_each_caption_are_looked_for_one_by_one(clip: ClipTeacher, images: Tensor) -> None:
    maps = clip.interactions(images, ["a red circle", "the star", "it is"])
    assert maps.queries == (("red", "circle"), ("star", PADDING), (PADDING, PADDING))
    singly = clip.interactions_of(images, ["red", "circle", "star"])
    torch.testing.assert_close(maps.weights[0], singly.weights[0][:, :2])
    torch.testing.assert_close(maps.weights[1][:, 0], singly.weights[1][:, 2])
    assert (maps.outside[2] == 1).all()
    assert clip.interactions(images[:1], ["it is"]).weights.shape == (1, 1, 0, 4, 4)


def test_an_image_encoded_once_gives_the_maps_of_the_image_itself(clip: ClipTeacher, images: Tensor) -> None:
    encoded = clip.encode(images)
    assert (encoded.tokens, encoded.pool) == (None, None)
    direct = clip.interactions_of(images, ["star"])
    assert torch.equal(clip.interactions_of(encoded, ["star"]).weights, direct.weights)
    second = clip.interactions_of(encoded.image(1), ["star"])
    torch.testing.assert_close(second.weights, direct.image(1).weights, atol=1e-6, rtol=0)


def test_reading_a_clip_does_not_change_its_embeddings(clip: ClipTeacher, images: Tensor) -> None:
    with torch.no_grad():
        plain = clip.model.encode_image(images, normalize=True)
    torch.testing.assert_close(clip.embed_images(images), plain, atol=1e-7, rtol=0)
    assert hooks(clip.model) == 0


def test_similarity_has_no_heads_and_no_map_for_no_word(clip: ClipTeacher, images: Tensor) -> None:
    assert clip.heads == 0
    with pytest.raises(ConfigError, match="has no heads: its maps are dense similarity"):
        clip.interactions_of(images, ["star"], heads=True)
    with pytest.raises(ConfigError, match="has no heads: its maps are dense similarity"):
        clip.interactions(images, ["star"] * 3, heads=True)
    with pytest.raises(WordsError, match=r"'\.\.\.' has no word in it"):
        clip.interactions_of(images, ["..."])


def test_labels_are_classified_as_the_model_itself_does(teacher: CoCaTeacher | ClipTeacher, images: Tensor) -> None:
    labels = ["a red circle", "star", "a small axolotl"]
    with torch.no_grad():
        image = teacher.model.encode_image(images, normalize=True)
        text = teacher.model.encode_text(teacher.tokenizer(labels), normalize=True)
    torch.testing.assert_close(teacher.classify(images, labels), image @ text.T / 0.07, atol=1e-4, rtol=0)
    assert teacher.embed_texts([]).shape == (0, teacher.embed_dim)


def test_a_texts_embedding_does_not_depend_on_its_company(teacher: CoCaTeacher | ClipTeacher) -> None:
    alone = teacher.embed_texts(["star"])
    among = teacher.embed_texts(["a long text about a red circle", "star", "star"])
    torch.testing.assert_close(among[1:], alone.expand(2, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(alone.norm(dim=-1), torch.ones(1))
    fresh = type(teacher)(teacher.model, teacher.tokenizer).embed_texts(["a long text about a red circle"])
    torch.testing.assert_close(among[:1], fresh, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        (
            {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64},
            "a ModifiedResNet, whose attention cannot be read",
        ),
        (
            {"timm_model_name": "vit_tiny_patch16_224", "image_size": 32},
            "a TimmModel, whose attention cannot be read",
        ),
        ({"qk_norm": True}, "custom attention blocks"),
        ({"pool_type": "none"}, "does not pool to one embedding"),
        ({"image_size": [32, 64]}, r"its input is \[32, 64\]; a square one was expected"),
        ({"attentional_pool": True}, "with an attentional pooler"),
    ],
)
def test_towers_that_cannot_be_read_are_refused_by_name(
    vision: dict[str, object], reason: str, tokenizer: SimpleTokenizer
) -> None:
    from open_clip.model import CLIP

    config = CONFIGS["clip"]
    model = CLIP(**config | {"vision_cfg": config["vision_cfg"] | vision})
    with pytest.raises(UnsupportedModelError, match=f"^odd: .*{reason}"):
        ClipTeacher(model, tokenizer, name="odd")


def test_layer_scale_is_part_of_the_value_path(images: Tensor, tokenizer: SimpleTokenizer) -> None:
    config = CONFIGS["clip"] | {"vision_cfg": CONFIGS["clip"]["vision_cfg"] | {"ls_init_value": 0.1}}
    teacher = ClipTeacher(sharp(config), tokenizer)
    visual = teacher.model.visual
    with torch.no_grad():
        tokens = visual.transformer.resblocks[0](visual._embeds(images))
        alone = visual.transformer.resblocks[1](tokens, attn_mask=ONLY_ITSELF)
        patches = F.normalize(visual.ln_post(alone)[:, 1:] @ visual.proj, dim=-1)
    torch.testing.assert_close(teacher.encode(images).dense, patches, atol=1e-5, rtol=0)


def test_the_context_length_is_the_models(clip: ClipTeacher) -> None:
    assert clip.context_length == CONTEXT
