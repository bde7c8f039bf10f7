"""Loading teachers by name or folder, in either format, and one clear line for all that can go wrong."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import safetensors.torch
import torch
from teacher_models import COLOURS, CONFIGS, as_safetensors, one_line, sharp
from torch import nn

from lfi.errors import (
    CheckpointError,
    ConfigError,
    LFIError,
    UnknownModelError,
    UnknownWordError,
    UnsupportedModelError,
)
from lfi.teachers import ClipTeacher, CoCaTeacher, load_teacher, save_teacher
from lfi.teachers.checkpoints import fetch, fingerprint_of
from lfi.teachers.loading import build

VOCABULARY = ["red", "blue", "circle", "star", "a"]
WORDS = CONFIGS["direct"] | {
    "text_cfg": CONFIGS["direct"]["text_cfg"] | {"vocab_size": 8},
    "multimodal_cfg": CONFIGS["direct"]["multimodal_cfg"] | {"vocab_size": 8},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A teacher with a small vocabulary, saved."""
    path = tmp_path / "teacher"
    save_teacher(
        path,
        sharp(WORDS),
        WORDS,
        **COLOURS,
        card={"name": "words", "vocabulary": VOCABULARY, "default_layers": [1]},
    )
    return path


def as_torch(model: nn.Module, path: Path) -> Path:
    torch.save(model.state_dict(), path.with_suffix(".pt"))
    return path.with_suffix(".pt")


def as_training_checkpoint(model: nn.Module, path: Path) -> Path:
    state = {f"module.{name}": tensor.half() for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, path.with_suffix(".pt"))
    return path.with_suffix(".pt")


@pytest.mark.parametrize("write", [as_safetensors, as_torch])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_checkpoint_of_either_format_comes_back_bit_for_bit(
    kind: str, write: Callable[[nn.Module, Path], Path], tmp_path: Path, architectures: None
) -> None:
    model = sharp(CONFIGS[kind])
    teacher = load_teacher(f"tiny_{kind}", write(model, tmp_path / "weights"))
    assert type(teacher) is (CoCaTeacher if "multimodal_cfg" in CONFIGS[kind] else ClipTeacher)
    assert (teacher.name, teacher.fingerprint) == (f"tiny_{kind}", fingerprint_of(model))
    loaded = teacher.model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())


def test_a_training_checkpoint_is_unwrapped(tmp_path: Path, architectures: None) -> None:
    model = sharp(CONFIGS["direct"])
    teacher = load_teacher("tiny_direct", str(as_training_checkpoint(model, tmp_path / "epoch_3")))
    halved = {name: tensor.half().float() for name, tensor in model.state_dict().items()}
    assert all(torch.equal(teacher.model.state_dict()[name], tensor) for name, tensor in halved.items())


def test_a_text_tower_saved_inline_fits_a_model_that_has_it_apart(tmp_path: Path, architectures: None) -> None:
    model = sharp(CONFIGS["clip"])
    teacher = load_teacher("tiny_custom", as_safetensors(model, tmp_path / "inline"))
    ids = teacher.tokenizer(["a star"])
    assert torch.equal(teacher.model.encode_text(ids), model.encode_text(ids))


def test_a_folder_is_a_whole_teacher(folder: Path) -> None:
    teacher = load_teacher(folder)
    original = CoCaTeacher(sharp(WORDS), teacher.tokenizer, name="words", **COLOURS, default_layers=[1])
    assert isinstance(teacher, CoCaTeacher)
    assert (teacher.label, teacher.default_layers) == (original.label, (1,))
    image = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8))
    pixels = teacher.preprocess([image])
    maps = teacher.interactions_of(pixels, ["Red circle", "star"])
    assert torch.equal(maps.weights, original.interactions_of(pixels, ["Red circle", "star"]).weights)
    assert teacher.interactions(pixels, ["a red circle, a star"]).queries == (("red", "circle", "star"),)


def test_an_unknown_word_is_named_with_the_nearest_known_ones(folder: Path) -> None:
    teacher = load_teacher(folder)
    pixels = torch.zeros(1, 3, 32, 32)
    for ask in (
        lambda: teacher.interactions_of(pixels, ["red cirle"]),
        lambda: teacher.interactions(pixels, ["a red cirle"]),
        lambda: teacher.classify(pixels, ["cirle"]),
        lambda: teacher.check_words(["star", "cirle"]),
    ):
        with pytest.raises(UnknownWordError, match=r"'cirle' \(nearest: circle") as caught:
            ask()
        assert caught.value.words == ["cirle"]


def test_any_word_is_known_to_a_byte_pair_tokeniser(teacher: CoCaTeacher | ClipTeacher) -> None:
    teacher.check_words(["zzyzx", "Größe"])


def test_the_whole_image_is_squashed_and_normalised(folder: Path) -> None:
    teacher = load_teacher(folder)
    stripes = np.zeros((40, 100, 4), dtype=np.uint8)
    stripes[:, 50:, 0] = 255
    stripes[..., 3] = 128
    pixels = teacher.preprocess([PIL.Image.fromarray(stripes, "RGBA"), PIL.Image.new("L", (7, 9), 255)])
    black, red = (127 / 255 - 0.5) / 0.2, (1 - 0.5) / 0.2  # half transparent, on white
    assert (pixels.dtype, pixels.shape) == (torch.float32, (2, 3, 32, 32))
    torch.testing.assert_close(pixels[0, 0, :, :14], torch.full((32, 14), black))
    torch.testing.assert_close(pixels[0, 0, :, 18:], torch.full((32, 14), red))
    torch.testing.assert_close(pixels[1, :, 0, 0], torch.tensor([0.5 / 0.2, 0.6 / 0.3, 0.7 / 0.4]))


def test_fingerprints_tell_weights_apart_and_nothing_else() -> None:
    model, same, other = sharp(WORDS), sharp(WORDS), sharp(WORDS, seed=1)
    print_ = fingerprint_of(model)
    assert len(print_) == 12
    assert print_ == fingerprint_of(same) != fingerprint_of(other)
    with torch.no_grad():
        same.visual.proj[0, 0] += 1e-6
    assert print_ != fingerprint_of(same)


def test_building_a_model_leaves_the_random_stream_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build(WORDS, "words")
    assert torch.equal(torch.rand(3), expected)


def test_unknown_names_are_answered_with_the_nearest(architectures: None) -> None:
    with one_line(UnknownModelError, "'coca_ViT-B32' is neither", "nearest: coca_ViT-B-32"):
        load_teacher("coca_ViT-B32", "laion2b_s13b_b90k")
    with one_line(UnknownModelError, "coca_ViT-B-32 has no pretrained tag 'laion3b'", "laion2b_s13b_b90k"):
        load_teacher("coca_ViT-B-32", "laion3b")
    with one_line(UnknownModelError, "tiny_direct has no pretrained tag 'best' (known: none), nor is it a file"):
        load_teacher("tiny_direct", "best")
    with one_line(UnknownModelError, "'' is neither"):
        load_teacher("")
    with one_line(UnknownModelError, "xxx' is neither"):
        load_teacher("x" * 5000)


def test_an_architecture_without_weights_is_no_teacher(architectures: None) -> None:
    with one_line(CheckpointError, "coca_ViT-B-32 needs weights: pass one of laion2b_s13b_b90k", "or a local file"):
        load_teacher("coca_ViT-B-32")
    with one_line(CheckpointError, "tiny_clip needs weights: pass a local file as pretrained"):
        load_teacher("tiny_clip")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RN50", "its image tower is a ResNet"),
        ("EVA02-B-16", "timm image tower eva02_base_patch16_clip_224 cannot be read"),
        ("coca_roberta-ViT-B-32", "a CoCa whose text side (roberta-base) comes from transformers"),
    ],
)
def test_architectures_that_cannot_be_read_are_refused_at_once(name: str, reason: str) -> None:
    start = time.process_time()
    with one_line(UnsupportedModelError, f"{name}: ", reason):
        load_teacher(name, "anything")
    assert time.process_time() - start < 1


def test_a_pooler_that_open_clip_calls_untested_is_refused() -> None:
    config = CONFIGS["pooled"] | {"vision_cfg": CONFIGS["pooled"]["vision_cfg"] | {"attentional_pool": "cascade"}}
    with one_line(UnsupportedModelError, "odd: attentional_pool = 'cascade' is not supported; use true"):
        build(config, "odd")


class Trap:
    """Pickles into a call that writes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_unreadable_checkpoints_are_one_line_each_and_run_nothing(tmp_path: Path, architectures: None) -> None:
    def refused(path: Path, *parts: str) -> None:
        with one_line(CheckpointError, *parts):
            load_teacher("tiny_direct", path)

    refused(tmp_path / "none.pt", "there is no checkpoint", "none.pt")
    refused(tmp_path / "none", "there is no checkpoint", "none")
    noise = tmp_path / "noise.safetensors"
    noise.write_bytes(b"\xff" * 100)
    refused(noise, "cannot read", "noise.safetensors as safetensors")
    noise.rename(tmp_path / "noise.pt")
    refused(tmp_path / "noise.pt", "cannot read", "noise.pt as torch weights (weights_only)")
    whole = as_safetensors(sharp(CONFIGS["direct"]), tmp_path / "whole")
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:5000])
    refused(tmp_path / "cut.safetensors", "cannot read", "cut.safetensors as safetensors")
    torch.save(["no", "tensors"], tmp_path / "list.pt")
    refused(tmp_path / "list.pt", "list.pt does not hold a state dict", "but a list")
    torch.save({"visual.proj": Trap(tmp_path / "sprung")}, tmp_path / "trap.pt")
    refused(tmp_path / "trap.pt", "cannot read", "trap.pt as torch weights (weights_only)")
    assert not (tmp_path / "sprung").exists()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "script.pt")
    refused(tmp_path / "script.pt", "cannot read", "script.pt as torch weights (weights_only)", "TorchScript")


def test_a_checkpoint_of_another_model_says_what_does_not_fit(tmp_path: Path, architectures: None) -> None:
    path = as_safetensors(sharp(CONFIGS["clip"]), tmp_path / "clip")
    with one_line(CheckpointError, "clip.safetensors does not fit tiny_direct: ", "are missing (such as text.cls_emb)"):
        load_teacher("tiny_direct", path)
    state = sharp(CONFIGS["direct"]).state_dict()
    state["extra"] = state.pop("visual.proj")
    state["visual.positional_embedding"] = torch.zeros(26, 32)
    safetensors.torch.save_file(state, tmp_path / "odd.safetensors")
    with one_line(
        CheckpointError,
        "1 tensors are missing (such as visual.proj), 1 are unknown (such as extra), 1 have another shape "
        "(such as visual.positional_embedding: [26, 32] in the file, [17, 32] in the model)",
    ):
        load_teacher("tiny_direct", tmp_path / "odd.safetensors")


def test_a_broken_folder_is_one_line(folder: Path, tmp_path: Path) -> None:
    def refused(change: Callable[[dict[str, Any]], object], error: type[LFIError], *parts: str) -> None:
        config = json.loads(good)
        change(config)
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        with one_line(error, *parts):
            load_teacher(folder)

    good = (folder / "open_clip_config.json").read_text()
    with one_line(ConfigError, "has its own weights; pretrained='laion2b' cannot be used with it"):
        load_teacher(folder, "laion2b")
    with one_line(ConfigError, "device 'abacus' cannot be used"):
        load_teacher(folder, device="abacus")
    with one_line(UnknownModelError, "has no open_clip_config.json"):
        load_teacher(tmp_path)
    refused(lambda c: c.pop("model_cfg"), CheckpointError, "cannot read", "model_cfg")
    refused(lambda c: c["model_cfg"].pop("vision_cfg"), CheckpointError, "needs vision_cfg and text_cfg")
    refused(lambda c: c["model_cfg"].update(depth=3), CheckpointError, "words does not describe a model", "depth")
    refused(
        lambda c: c["model_cfg"].update(embed_dim=16),
        CheckpointError,
        "does not fit words: ",
        "another shape",
    )
    refused(
        lambda c: c["lfi"].update(default_layers=[7]),
        ConfigError,
        "words has the default layers [7]; 0 to 2 exist",
    )
    refused(
        lambda c: c["lfi"].pop("vocabulary"), CheckpointError, "words knows 8 tokens", "has no vocabulary of its own"
    )
    more = [*VOCABULARY, "moon"]
    refused(lambda c: c["lfi"].update(vocabulary=more), CheckpointError, "for 8 ids, but its vocabulary needs 9")
    (folder / "open_clip_config.json").write_text("{")
    with one_line(CheckpointError, "cannot read", "open_clip_config.json"):
        load_teacher(folder)
    (folder / "open_clip_config.json").write_text(good)
    (folder / "open_clip_model.safetensors").unlink()
    with one_line(CheckpointError, "there is no checkpoint", "open_clip_model.safetensors"):
        load_teacher(folder)


def test_a_small_vocabulary_without_an_end_the_text_tower_can_find_is_refused(tmp_path: Path) -> None:
    config = CONFIGS["clip"] | {"text_cfg": CONFIGS["clip"]["text_cfg"] | {"vocab_size": 8}}
    save_teacher(tmp_path, sharp(config), config, **COLOURS, card={"name": "small", "vocabulary": VOCABULARY})
    with one_line(CheckpointError, "small: a text tower with a vocabulary of words needs embed_cls or pool_type"):
        load_teacher(tmp_path)


def test_a_tag_without_a_network_asks_for_a_local_file(
    no_network: None, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    start = time.perf_counter()
    with one_line(
        CheckpointError,
        "cannot fetch coca_ViT-B-32 with 'laion2b_s13b_b90k' (the model hub cannot be reached)",
        "pass laion2b_s13b_b90k:FILE as pretrained",
    ):
        load_teacher("coca_ViT-B-32", "laion2b_s13b_b90k")
    assert time.perf_counter() - start < 30, "the hub's client alone retries for 46 s"
    assert (capfd.readouterr(), list(recwarn)) == (("", ""), [])


def test_a_file_fetched_before_is_found_without_a_network(no_network: None, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--laion--CoCa-ViT-B-32-laion2B-s13B-b90k"
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    (snapshot / "open_clip_pytorch_model.bin").write_bytes(b"weights")
    assert fetch("coca_ViT-B-32", "laion2b_s13b_b90k").read_bytes() == b"weights"
