"""CoCa as a teacher: a word's map is where the decoder attends when it has read the word."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import open_clip
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from teacher_models import CONFIGS, hooks, native_weights, sharp
from torch import Tensor

from lfi.errors import ConfigError, UnsupportedModelError, WordsError
from lfi.maps import PADDING
from lfi.teachers import CoCaTeacher
from lfi.teachers.coca import cross_attentions, pooler_attention
from lfi.teachers.loading import build
from lfi.teachers.teacher import EncodedImages

CAPTIONS = ["a red circle and an axolotl", "the star", "it is what it is"]
POSITIONS = [{"red": 2, "circle": 3, "axolotl": 9}, {"star": 2}, {}]


def reference(teacher: CoCaTeacher, images: Tensor, captions: list[str]) -> Tensor:
    """Word to patch by a full forward and torch's own weights: `[batch, layer, head, token, 1 + patch]`.

    Without a pooler the CLS column, which the decoder cannot see, is 0.
    """
    model, pooler = teacher.model, pooler_attention(teacher.model)
    tapped = cross_attentions(model) + ([pooler] if pooler else [])
    with native_weights(tapped) as native, torch.no_grad():
        model(images, teacher.tokenizer(captions))
    weights = native()
    cross = torch.stack(weights[: len(teacher.layers)], 1)
    if pooler is None:
        return torch.cat([torch.zeros_like(cross[..., :1]), cross], -1)
    pool = weights[-1].mean(1)[:, 1:]
    return cross @ pool[:, None, None]


def test_a_words_map_is_the_composed_attention_at_its_last_token(coca: CoCaTeacher, images: Tensor) -> None:
    maps = coca.interactions(images, CAPTIONS)
    truth = reference(coca, images, CAPTIONS).mean(2)
    assert maps.queries == (("red", "circle", "axolotl"), ("star", PADDING, PADDING), (PADDING,) * 3)
    assert (maps.kind, maps.model) == ("cross-attention", f"{coca.name}@{coca.fingerprint}")
    assert maps.layers == ("decoder layer 1", "decoder layer 2", "decoder layer 3")
    for image, words in enumerate(POSITIONS):
        for query, position in enumerate(words.values()):
            row = truth[image, :, position]
            torch.testing.assert_close(maps.outside[image, :, query], row[:, 0], atol=1e-5, rtol=0)
            patches = row[:, 1:] / row[:, 1:].sum(-1, keepdim=True)
            torch.testing.assert_close(maps.weights[image, :, query].flatten(1), patches, atol=1e-5, rtol=0)


def test_padding_is_uniform_and_all_outside(coca: CoCaTeacher, images: Tensor) -> None:
    maps = coca.interactions(images, CAPTIONS)
    assert (maps.outside[1, :, 1:] == 1).all()
    torch.testing.assert_close(maps.weights[2], torch.full((3, 3, 4, 4), 1 / 16))


def test_captions_without_a_content_word_give_no_queries(coca: CoCaTeacher, images: Tensor) -> None:
    assert coca.interactions(images[:1], ["it is what it is"]).weights.shape == (1, 3, 0, 4, 4)


def test_mass_falls_outside_only_where_a_pooler_sees_cls(images: Tensor, tokenizer: SimpleTokenizer) -> None:
    outside = {
        kind: CoCaTeacher(sharp(CONFIGS[kind]), tokenizer).interactions_of(images, ["star"]).outside
        for kind in ("pooled", "direct")
    }
    assert (outside["direct"] == 0).all()
    assert (outside["pooled"] > 0).all()


def test_a_prompt_alone_is_a_caption_alone(coca: CoCaTeacher, images: Tensor) -> None:
    prompts = ["star", "a red circle", "an axolotl"]
    maps = coca.interactions_of(images, prompts)
    assert maps.queries == (tuple(prompts),) * 3
    for place, prompt in enumerate(prompts):
        caption = coca.interactions(images, [prompt] * 3)
        last = caption.select(queries=[caption.weights.shape[2] - 1])
        torch.testing.assert_close(maps.weights[:, :, [place]], last.weights, atol=1e-5, rtol=0)
        torch.testing.assert_close(maps.outside[:, :, [place]], last.outside, atol=1e-5, rtol=0)


def test_a_trimmed_prompt_gives_the_same_map_as_a_padded_one(coca: CoCaTeacher, images: Tensor) -> None:
    trimmed = coca.interactions_of(images, ["star"])
    longest = coca.interactions_of(images, ["star", "a very very very long prompt about some red axolotl"])
    torch.testing.assert_close(trimmed.weights, longest.weights[:, :, :1], atol=1e-5, rtol=0)


def test_a_bidirectional_text_tower_reads_the_whole_prompt(images: Tensor, tokenizer: SimpleTokenizer) -> None:
    config = CONFIGS["direct"] | {"text_cfg": CONFIGS["direct"]["text_cfg"] | {"no_causal_mask": True}}
    teacher = CoCaTeacher(sharp(config), tokenizer)
    maps = teacher.interactions(images, CAPTIONS)
    truth = reference(teacher, images, CAPTIONS).mean(2)[0, :, 3, 1:]
    torch.testing.assert_close(maps.weights[0, :, 1].flatten(1), truth, atol=1e-5, rtol=0)


def test_an_image_encoded_once_gives_the_maps_of_the_image_itself(coca: CoCaTeacher, images: Tensor) -> None:
    encoded = coca.encode(images)
    assert torch.equal(coca.embed_images(encoded), coca.embed_images(images))
    direct = coca.interactions(images, CAPTIONS)
    assert torch.equal(coca.interactions(encoded, CAPTIONS).weights, direct.weights)
    second = coca.interactions(encoded.image(1), CAPTIONS[1:2])
    torch.testing.assert_close(second.weights, direct.image(1).weights[:, :, :1], atol=1e-5, rtol=0)
    last = coca.interactions_of(encoded.image(-1), ["star"])
    torch.testing.assert_close(last.weights, coca.interactions_of(images[2:], ["star"]).weights, atol=1e-5, rtol=0)


def test_projected_images_give_the_same_maps_in_any_company(coca: CoCaTeacher, images: Tensor) -> None:
    projected = coca.project(coca.encode(images))
    again = EncodedImages.cat([projected.image(2), projected.image(0)])
    assert projected.bytes > coca.encode(images).bytes
    assert again.projected is not None
    maps, direct = (coca.interactions_of(each, ["star", "red circle"]) for each in (again, images[[2, 0]]))
    torch.testing.assert_close(maps.weights, direct.weights, atol=1e-5, rtol=0)
    mixed = EncodedImages.cat([projected.image(0), coca.encode(images[1:2])])
    torch.testing.assert_close(
        coca.interactions_of(mixed, ["star"]).weights, coca.interactions_of(images[:2], ["star"]).weights
    )


@pytest.mark.parametrize("options", [{}, {"no_causal_mask": True}], ids=str)
def test_texts_are_embedded_as_in_a_run_of_their_full_length(options: dict[str, bool], tokenizer: SimpleTokenizer):
    text = CONFIGS["direct"]["text_cfg"] | options
    coca = CoCaTeacher(sharp(CONFIGS["direct"] | {"text_cfg": text}), tokenizer)
    with torch.no_grad():
        full = coca.model.encode_text(tokenizer(CAPTIONS), normalize=True)
        alone = torch.cat([coca.embed_texts([caption]) for caption in reversed(CAPTIONS)]).flip(0)
    torch.testing.assert_close(alone, full, atol=1e-5, rtol=0)
    torch.testing.assert_close(coca.embed_texts(CAPTIONS), full, atol=1e-5, rtol=0)


def test_images_of_another_teacher_are_refused(images: Tensor, tokenizer: SimpleTokenizer) -> None:
    first, second = (CoCaTeacher(sharp(CONFIGS["direct"], seed), tokenizer) for seed in (0, 1))
    with pytest.raises(ValueError, match=f"encoded by {first.fingerprint}, not by CoCa@{second.fingerprint}"):
        second.interactions_of(first.encode(images), ["star"])


@pytest.mark.parametrize("heads", [False, True])
def test_maps_and_evidence_of_one_run_are_those_of_two(coca: CoCaTeacher, images: Tensor, heads: bool) -> None:
    encoded, words = coca.encode(images), [["red circle"], ["star", "small blue moon"]]
    words += [["star"]] * (len(encoded) - 2)
    maps, evidence = coca.interactions_and_evidence(encoded, words, heads=heads)
    assert torch.equal(maps.weights, coca.interactions_for(encoded, words, heads=heads).weights)
    assert torch.equal(evidence, coca.evidence(encoded, words))
    assert evidence.shape == (len(encoded), 2, 2)


def test_the_heads_average_to_the_mean_map(coca: CoCaTeacher, images: Tensor) -> None:
    mean = coca.interactions_of(images, ["red circle", "star"])
    heads = coca.interactions_of(images, ["red circle", "star"], heads=True)
    assert heads.queries[0][:5] == (*(f"red circle · head {head}" for head in (1, 2, 3, 4)), "star · head 1")
    # each head's map sums to 1, so the mean weighs it by what the head had on patches
    inside = (1 - heads.outside).unflatten(2, (2, 4))
    maps = heads.weights.unflatten(2, (2, 4))
    assert (maps[:, :, :, 0] - maps[:, :, :, 1]).abs().max() > 0.1
    torch.testing.assert_close(
        (maps * inside[..., None, None]).sum(3) / inside.sum(3)[..., None, None],
        mean.weights,
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(1 - inside.mean(3), mean.outside, atol=1e-5, rtol=0)


def test_heads_of_captions_are_those_of_the_reference(coca: CoCaTeacher, images: Tensor) -> None:
    maps = coca.interactions(images, CAPTIONS, heads=True)
    row = reference(coca, images, CAPTIONS)[0, :, :, POSITIONS[0]["circle"]]
    assert maps.queries[0][4:8] == tuple(f"circle · head {head}" for head in (1, 2, 3, 4))
    assert maps.queries[1][4:] == (PADDING,) * 8
    patches = row[..., 1:] / row[..., 1:].sum(-1, keepdim=True)
    torch.testing.assert_close(maps.weights[0, :, 4:8].flatten(2), patches, atol=1e-5, rtol=0)


def test_asking_a_teacher_leaves_its_model_as_it_was(coca: CoCaTeacher, images: Tensor) -> None:
    ids = coca.tokenizer(CAPTIONS)
    with torch.no_grad():
        before = coca.model(images, ids)["logits"]
        coca.interactions(images, CAPTIONS, heads=True)
        coca.dense(images, ["star"])
        after = coca.model(images, ids)["logits"]
    assert before.std() > 0.1
    assert torch.equal(before, after)
    assert hooks(coca.model) == 0


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that are switched as often as Python can, so that what may go wrong does."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_that_share_a_teacher_get_their_own_maps(coca: CoCaTeacher, images: Tensor, restless: None) -> None:
    prompts = ["star", "red circle", "an axolotl"]
    alone = [coca.interactions_of(images[[i]], [prompts[i]]).weights for i in range(3)]
    with ThreadPoolExecutor(4) as pool:
        jobs = [(i, pool.submit(coca.interactions_of, images[[i]], [prompts[i]])) for i in [0, 1, 2] * 60]
        for i, job in jobs:
            torch.testing.assert_close(job.result().weights, alone[i], atol=1e-5, rtol=0)
    assert hooks(coca.model) == 0


def test_maps_do_not_lose_precision_under_autocast(coca: CoCaTeacher, images: Tensor) -> None:
    encoded, caption = coca.encode(images), ["star"]
    exact = coca.dense(encoded, caption)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(coca.dense(encoded, caption).weights, exact.weights, atol=1e-5, rtol=0)


def test_dense_similarity_with_a_pooler_is_what_it_pools_from_one_patch(
    images: Tensor, tokenizer: SimpleTokenizer
) -> None:
    teacher = CoCaTeacher(sharp(CONFIGS["pooled"]), tokenizer)
    visual = teacher.model.visual
    with torch.no_grad():
        tokens = visual.transformer(visual._embeds(images))
        alone = [visual.ln_post(visual.attn_pool(tokens[:, [place]])[:, 0]) @ visual.proj for place in range(1, 17)]
    check_dense(teacher, images, torch.stack(alone, 1), "pooler's value path")


def test_dense_similarity_without_a_pooler_is_that_of_the_projected_patches(
    images: Tensor, tokenizer: SimpleTokenizer
) -> None:
    teacher = CoCaTeacher(sharp(CONFIGS["direct"]), tokenizer)
    visual = teacher.model.visual
    with torch.no_grad():
        check_dense(teacher, images, visual(images)[1] @ visual.proj, "patch tokens")


def check_dense(teacher: CoCaTeacher, images: Tensor, patches: Tensor, variant: str) -> None:
    maps = teacher.dense(images, ["red circle", "star"])
    with torch.no_grad():
        texts = teacher.model.encode_text(teacher.tokenizer(["red circle", "star"]), normalize=True)
        scores = texts @ torch.nn.functional.normalize(patches, dim=-1).transpose(1, 2) / 0.07
    torch.testing.assert_close(maps.weights[:, 0].flatten(2), scores.softmax(-1), atol=1e-5, rtol=0)
    assert (maps.kind, maps.layers, maps.queries[0]) == (
        "dense-similarity",
        (variant,),
        ("red circle", "star"),
    )
    assert maps.weights.amax() > 0.3


def test_words_that_cannot_be_read_are_one_clear_line(coca: CoCaTeacher, images: Tensor) -> None:
    for prompts, message in (
        ([], "no word was given"),
        (["star", " "], "' ' has no word in it"),
        (["?!"], "'?!' has no word in it"),
        (["red " * 15], "has 15 words, more than"),
    ):
        with pytest.raises(WordsError, match=message.replace("?", r"\?")):
            coca.interactions_of(images, prompts)


def test_a_caption_beyond_the_context_is_read_as_far_as_it_goes(coca: CoCaTeacher, images: Tensor) -> None:
    maps = coca.interactions(images[:1], ["star " * 20])
    assert maps.queries == (("star",) * 14,)


def test_one_caption_per_image_is_expected(coca: CoCaTeacher, images: Tensor) -> None:
    with pytest.raises(ValueError, match="2 captions for 3 images"):
        coca.interactions(images, ["star", "circle"])


def test_default_layers_must_exist(tokenizer: SimpleTokenizer) -> None:
    model = sharp(CONFIGS["direct"])
    assert CoCaTeacher(model, tokenizer).default_layers == (0, 1, 2)
    assert CoCaTeacher(model, tokenizer, default_layers=[1]).default_layers == (1,)
    with pytest.raises(ConfigError, match="tiny has the default layers \\[3\\]; 0 to 2 exist"):
        CoCaTeacher(model, tokenizer, name="tiny", default_layers=[3])


def test_a_clip_is_no_coca(tokenizer: SimpleTokenizer) -> None:
    with pytest.raises(UnsupportedModelError, match="is a CLIP and has no decoder; use ClipTeacher"):
        CoCaTeacher(sharp(CONFIGS["clip"]), tokenizer, name="tiny")


@pytest.mark.slow
def test_the_real_architecture_is_read_as_it_computes(images: Tensor) -> None:
    model = build(open_clip.get_model_config("coca_ViT-B-32"), "coca_ViT-B-32")
    torch.nn.init.normal_(model.text_decoder.text_projection, std=0.05)
    with torch.no_grad():
        for attention in [*cross_attentions(model), pooler_attention(model)]:
            for name, parameter in attention.named_parameters():
                if name.startswith(("in_proj_weight", "q_proj", "k_proj")):
                    parameter *= 3
    teacher = CoCaTeacher(model, SimpleTokenizer(context_length=76), name="coca_ViT-B-32")
    assert (teacher.grid, teacher.image_size, teacher.embed_dim, len(teacher.layers)) == (
        (7, 7),
        224,
        512,
        12,
    )
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    caption = "a photo of a small dog on the grass"
    encoded = teacher.encode(pixels)
    maps = teacher.interactions(encoded, [caption])
    truth = reference(teacher, pixels, [caption])
    assert truth.shape == (1, 12, 8, 75, 50)
    assert encoded.tokens is not None
    assert encoded.tokens.shape == (1, 255, 512)
    assert maps.queries == (("photo", "small", "dog", "grass"),)
    row = truth.mean(2)[0, :, [2, 5, 6, 9]]
    torch.testing.assert_close(maps.outside[0], row[..., 0], atol=1e-5, rtol=0)
    patches = row[..., 1:] / row[..., 1:].sum(-1, keepdim=True)
    torch.testing.assert_close(maps.weights[0].flatten(2), patches, atol=1e-5, rtol=0)
