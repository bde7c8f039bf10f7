"""Peers: a CLIP or a timm model is what it was, explained as a student is, beside a trio and alone."""

import json
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo
from tiny_peers import clip_folder, peered_trio, timm_folder

from lfi.comparison import MODELS
from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnknownWordError, UnsupportedModelError
from lfi.peers import Classifier, FeaturePeer, check_name, load_peer
from lfi.students.explanations import EXPLANATIONS, WORDLESS
from lfi.teachers import load_teacher
from lfi.trio import Trio

WORDS = ["red square", "a cat"]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clip_folder(tmp_path_factory.mktemp("peers") / "clip")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return timm_folder(tmp_path_factory.mktemp("peers") / "vit")


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_the_tower_of_a_clip_is_the_clips(tmp_path, picture, quick_gelu):
    folder = clip_folder(tmp_path / "clip", quick_gelu)
    peer, teacher = load_peer(str(folder)), load_teacher(folder)
    images = peer.preprocess([picture, picture.rotate(180)])
    assert torch.allclose(images, teacher.preprocess([picture, picture.rotate(180)]), atol=1e-5)
    with torch.no_grad():
        projected = peer.student.project(peer.student(images).features)
    assert torch.allclose(projected, teacher.embed_images(images), atol=1e-5)


def test_a_clip_gives_every_explanation(clip, picture):
    peer, teacher = load_peer(str(clip)), load_teacher(clip)
    assert (peer.explanations, peer.explanation) == (EXPLANATIONS, "dense-similarity")
    images = peer.preprocess([picture])
    for explanation in EXPLANATIONS:
        maps = peer.explain(explanation, images, WORDS, model="m@0")
        assert (maps.kind, maps.layers, maps.model) == (explanation, peer.layers(explanation), "m@0")
        same = torch.allclose(maps.weights[:, :, 0], maps.weights[:, :, 1])
        assert same == (explanation in WORDLESS)
    dense = peer.explain("dense-similarity", images, WORDS, model="m@0")
    assert torch.equal(dense.weights, teacher.dense(images, WORDS).weights)


def test_a_classifier_is_asked_for_its_classes(classifier, picture):
    peer = load_peer(str(classifier))
    assert peer.explanations == tuple(each for each in EXPLANATIONS if each != "dense-similarity")
    assert isinstance(peer.student, Classifier)
    model = timm.create_model(f"local-dir:{classifier}", pretrained=True).eval()
    images = peer.preprocess([picture])
    mean, std = (torch.tensor(model.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    by_hand = np.asarray(picture.resize((40, 40), Image.Resampling.BICUBIC), np.float32) / 255
    assert torch.allclose(images[0], (torch.from_numpy(by_hand).permute(2, 0, 1) - mean) / std, atol=1e-5)
    tabby = ImageNetInfo("imagenet-1k").index_to_description(281).split(", ")
    with torch.no_grad():
        logits = peer.student.project(peer.student(images).features) @ peer.embed([*tabby, "Goldfish"]).T
        expected = model(images)[:, [281] * len(tabby) + [1]]
    assert torch.allclose(logits, expected, atol=1e-4)
    one, other = peer.explain("gradient", images, ["tabby", "goldfish"], model="m@0").weights[0, -1]
    assert not torch.allclose(one, other)
    with pytest.raises(UnknownWordError, match=r"'goldfisch' \(nearest: .*goldfish"):
        peer.explain("grad-cam", images, ["goldfisch"], model="m@0")
    peer.explain("rollout", images, ["goldfisch"], model="m@0")


def test_classes_are_named_by_the_model_where_it_names_them(tmp_path):
    folder = timm_folder(tmp_path / "three", num_classes=3)
    assert load_peer(str(folder)).classes is None
    config = json.loads((folder / "config.json").read_text())
    config |= {"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n1": "red square, tile", "n2": "Star"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_peer(str(folder)).classes == {"red square": 0, "tile": 0, "star": 1, "n3": 2}
    (folder / "config.json").write_text(json.dumps(config | {"label_names": ["n1", "n2"]}))
    with pytest.raises(CheckpointError, match="a model of 3 classes names 2 of them"):
        load_peer(str(folder))


def test_a_model_without_classes_shows_what_needs_no_word(picture):
    peer = load_peer("timm:vit_tiny_patch16_224.augreg_in21k:random")
    assert peer.classes is None or peer.classes
    plain = load_peer("timm:vit_small_patch16_224.dino:random")
    assert (plain.explanations, plain.explanation) == (WORDLESS, "self-attention")
    images = plain.preprocess([picture])
    assert plain.explain("self-attention", images, ["anything"], model="m@0").weights.shape == (1, 12, 1, 14, 14)
    with pytest.raises(UnsupportedModelError, match="cannot be explained by 'legrad'; it can be by self-attention"):
        plain.explain("legrad", images, ["anything"], model="m@0")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("timm:vit_tinny_patch16_224:random", UnknownModelError, "nearest: vit_tiny_patch16_224"),
        ("timm:vit_tiny_patch16_224:gone.pth", CheckpointError, "there is no file gone.pth"),
        ("timm:vit_tiny_patch16_224:pyproject.toml", CheckpointError, "cannot get the weights"),
        ("open_clip:ViT-B-32", CheckpointError, "open_clip:ViT-B-32:TAG or"),
        ("open_clip:ViT-B-33:openai", UnknownModelError, "neither an open_clip architecture"),
        ("nowhere", UnknownModelError, "timm:NAME, open_clip:NAME:TAG or the folder"),
        ("static/models/scenes/teacher", UnsupportedModelError, "is a CoCa, which can teach but not be a peer"),
    ],
)
def test_what_is_no_peer_is_refused(model, error, message):
    with pytest.raises(error, match=message):
        load_peer(model)


def test_a_head_that_reads_another_norm_is_explained_by_the_whole_model(tmp_path):
    peer = load_peer(str(timm_folder(tmp_path / "fc", fc_norm=True, global_pool="token")))
    assert isinstance(peer, FeaturePeer)
    assert peer.explanations == ("self-attention", "rollout", "grad-cam", "layer-cam")


def test_a_tower_of_another_make_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="not a plain ViT"):
        load_peer(str(clip_folder(tmp_path / "scaled", ls_init_value=0.1)))
    with pytest.raises(UnsupportedModelError, match="does not pool its class token alone"):
        load_peer(str(clip_folder(tmp_path / "mean", pool_type="avg")))


@pytest.mark.parametrize("name", ["lfi", "Clip", "a b", "../x", "", "x" * 31])
def test_a_peer_needs_a_name_of_its_own(name):
    with pytest.raises(ConfigError, match="a peer cannot be called"):
        check_name(name, MODELS)


@pytest.fixture(scope="module")
def beside(trio_folder, tmp_path_factory):
    """The tiny trio with both peers in its folder."""
    return peered_trio(tmp_path_factory.mktemp("models") / "peered", trio_folder)


def test_a_trio_asks_its_peers_beside_its_three_models(beside, clip, picture):
    trio = Trio.load(beside)
    assert trio.models == (*MODELS, "clip", "vit")
    assert trio.cards["vit"]["title"] == "A ViT"
    assert trio.cards["clip"]["kind"] == "CLIP"
    assert trio.fingerprints["clip"] == load_teacher(clip).fingerprint
    assert list(trio.layers)[:5] == [*MODELS, "clip", "vit"]
    assert trio.ordered(["vit:legrad", "clip", "teacher"]) == ("teacher", "clip", "vit:legrad")
    found = trio.compare(picture, ["red", "blue"], models=["teacher", "clip", "clip:legrad", "vit"])
    assert [maps.kind for maps in found.maps.values()] == ["cross-attention", "dense-similarity", "legrad", "rollout"]
    peer = load_peer(str(clip))
    direct = peer.explain("legrad", peer.preprocess([picture]), ["red", "blue"], model="m@0")
    assert torch.allclose(found.maps["clip:legrad"].weights, direct.weights, atol=1e-5)
    assert found.maps["clip"].model.endswith(f"clip@{peer.fingerprint}")
    assert found.default_layer == {"teacher": 0, "clip": 0, "clip:legrad": 2, "vit": 2}
    with pytest.raises(UnknownWordError, match="vit does not know 'red' \\(nearest"):
        trio.compare(picture, ["red"], models=["vit:legrad"])
    assert trio.squash(picture) is picture, "peers read other sizes"


def test_a_card_may_not_ask_a_peer_for_what_it_cannot_give(beside, tmp_path):
    folder = shutil.copytree(beside, tmp_path / "wrong")
    card = json.loads((folder / "card.json").read_text())
    card["peers"]["vit"]["explanation"] = "dense-similarity"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(
        CheckpointError, match="explanation of vit is 'dense-similarity'; one of self-attention, rollout"
    ):
        Trio.load(folder)


@pytest.mark.parametrize("peers", [["clip", "vit"], {"clip": None}, {"clip": 3}, "clip"])
def test_peers_that_a_card_names_wrongly_are_one_clear_error(beside, tmp_path, peers):
    folder = shutil.copytree(beside, tmp_path / "wrong")
    card = json.loads((folder / "card.json").read_text()) | {"peers": peers}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises((CheckpointError, UnknownModelError), match=r"card\.json is not a trio's card|is not a peer"):
        Trio.load(folder)


def test_a_clip_may_be_the_teacher(trio_folder, tmp_path, picture):
    """Its maps are dense similarity: one layer, no heads, and nothing else to ask it for."""
    from lfi.students import Student, StudentConfig

    overrides = {"img_size": 40, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}
    teacher = load_teacher(clip_folder(tmp_path / "clip"))
    torch.manual_seed(0)
    lfi = Student(StudentConfig(classes=2, queries=4, text_dim=16, overrides=overrides))
    baseline = Student(StudentConfig(classes=2, queries=0, text_dim=16, embed=True, overrides=overrides))
    card = json.loads((trio_folder / "card.json").read_text())
    card |= {"vocabulary": [], "default_layer": {"teacher": 0, "lfi": 2, "baseline": 2}}
    trio = Trio(teacher, lfi, baseline, card)
    assert "teacher:dense-similarity" not in trio.layers
    found = trio.compare(picture, ["a cat", "red"])
    assert found.maps["teacher"].kind == "dense-similarity"
    assert torch.allclose(
        found.maps["teacher"].weights, teacher.dense(teacher.preprocess([picture]), ["a cat", "red"]).weights, atol=1e-6
    )
    assert [address.word for address in found.addressed] == ["a cat", "red"]
    with pytest.raises(ConfigError, match="tiny-clip has no heads: its maps are dense similarity"):
        trio.compare(picture, ["red"], heads=True)
    assert trio.compare(picture, ["red"], models=["lfi"], heads=True).maps["lfi"].weights.shape[2] == 3
