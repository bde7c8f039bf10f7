"""Training: the loop resumes exactly, configurations say what is wrong with them, controls are what they claim."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lfi.data.scenes import MAX_OBJECTS, Scenes
from lfi.errors import CheckpointError, ConfigError
from lfi.teachers import CoCaTeacher
from lfi.teachers.explicit import decode, encode_image, encode_text
from lfi.teachers.words import WordTokenizer
from lfi.training import checkpoints
from lfi.training.config import DataConfig, LoopConfig, ObjectiveConfig, TrainConfig, load_config
from lfi.training.loop import train
from lfi.training.run import Prepared, train_student
from lfi.training.student import SceneTargets, partners
from lfi.training.targets import scene_targets
from lfi.training.teacher import CONTEXT, VOCABULARY, SceneSentences, TeacherConfig, TeacherTask, statements

TINY_TEACHER = TeacherConfig(width=32, layers=2, text_layers=1, decoder_layers=2, head_width=16, statements=4)
STUDENT = {"img_size": 64, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
INTERACTION = ObjectiveConfig(interaction=0.1, relation=0.1, naming=0.1, logit_kd=0.1)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    torch.manual_seed(0)
    tokenizer = WordTokenizer(VOCABULARY, CONTEXT)
    model = TINY_TEACHER.build()
    teacher = CoCaTeacher(model, tokenizer, name="tiny", mean=[0.5] * 3, std=[0.25] * 3)
    scenes = Scenes(64, 0).load()
    config = TrainConfig(
        data=DataConfig(count=64, validation=32),
        student=replace(TrainConfig().student, overrides=STUDENT, queries=4),
        objective=INTERACTION,
        loop=LoopConfig(epochs=3, batch_size=16, checkpoint_every=5, log_every=1, evaluations=1),
    )
    return Prepared(config, teacher, scenes, Scenes(32, 1).load(), scene_targets(teacher, scenes, layers=(0, 1)))


def test_explicit_attention_is_open_clips_own():
    torch.manual_seed(1)
    model = TINY_TEACHER.build().eval()
    tokenizer = WordTokenizer(VOCABULARY, CONTEXT)
    ids = tokenizer(["a photo of a red circle", "blue star"])
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        own = model(images, ids)
        latent, patches = encode_image(model, images)
        text, states = encode_text(model, ids[:, :9])
        final, scores = decode(model, states[:, None], patches)
    words = final[:, 0] @ model.text_decoder.text_projection
    assert torch.allclose(torch.nn.functional.normalize(latent, dim=-1), own["image_features"], atol=1e-5)
    assert torch.allclose(torch.nn.functional.normalize(text, dim=-1), own["text_features"], atol=1e-5)
    assert torch.allclose(words[0, :8], own["logits"][0, :8], atol=1e-4)
    assert [layer.shape for layer in scores] == [(2, 2, 1, 9, 64)] * 2


def test_statements_are_about_half_true_and_truly_so():
    scenes = Scenes(200, 3).load(masks=False)
    phrases, truth = statements(scenes.attributes, 8, np.random.default_rng(0))
    assert 0.4 < truth.mean() < 0.6
    assert (phrases >= 0).any(-1).all(), "no statement is empty"
    for scene, row, holds in zip(scenes.attributes, phrases, truth, strict=True):
        for phrase, true in zip(row, holds, strict=True):
            said = phrase >= 0
            fits = [bool((thing[said] == phrase[said]).all()) for thing in scene if thing[3] >= 0]
            assert any(fits) == bool(true)


def test_a_teacher_learns_and_its_batches_depend_on_the_step_alone():
    data = SceneSentences(Scenes(64, 0).load(masks=False), 16, 0, TINY_TEACHER.statements)
    one, other = data.batch(7), data.batch(7)
    assert all(torch.equal(one[name], other[name]) for name in one)
    torch.manual_seed(0)
    records = train(TeacherTask(TINY_TEACHER), data, LoopConfig(epochs=8, batch_size=16, log_every=1, evaluations=0))
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]


def test_targets_are_the_teachers_own_maps(prepared):
    targets, teacher = prepared.targets, prepared.teacher
    image = torch.from_numpy(prepared.scenes.images[:1])
    from lfi.images import normalise
    from lfi.training.targets import names_of

    names = names_of(prepared.scenes, 0)
    maps = teacher.interactions_of(normalise(image), names).weights.flatten(-2)
    assert targets.words[0].sum() == len(names) <= MAX_OBJECTS
    assert torch.allclose(targets.maps[0, :, : len(names)].float(), maps[0], atol=1e-3)
    sums = targets.maps.float().sum(-1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-2)


def test_caption_targets_are_read_at_the_nouns(prepared):
    targets = scene_targets(prepared.teacher, prepared.scenes, maps="captions")
    from lfi.images import normalise

    maps = prepared.teacher.interactions(
        normalise(torch.from_numpy(prepared.scenes.images[:1])), [prepared.scenes.captions[0]]
    )
    noun = prepared.scenes.captions[0].split()[-1]
    last = [index for index, name in enumerate(maps.queries[0]) if name == noun][-1]
    count = int(targets.words[0].sum())
    assert torch.allclose(targets.maps[0, 0, count - 1].float(), maps.weights[0, 0, last].flatten(), atol=1e-3)


def test_a_mirrored_image_has_mirrored_maps(prepared):
    data = SceneTargets(prepared.scenes, prepared.targets, prepared.config, (8, 8))
    batch = data.batch(0)
    order = np.random.default_rng((0, 0)).permutation(64)
    rows = np.sort(order[:16])
    plain = prepared.targets.maps[rows].unflatten(-1, (8, 8))
    mirrored = (batch["maps"].unflatten(-1, (8, 8)) == plain.flip(-1)).flatten(1).all(1)
    original = (batch["maps"].unflatten(-1, (8, 8)) == plain).flatten(1).all(1)
    assert (mirrored | original).all()
    assert 0 < mirrored.sum() < 16
    from lfi.images import normalise

    images = normalise(torch.from_numpy(prepared.scenes.images[rows]))
    assert torch.equal(batch["images"][mirrored], images[mirrored].flip(-1))


def test_the_shuffled_control_takes_maps_of_another_image_with_as_many_words(prepared):
    counts = prepared.targets.words.sum(1).numpy()
    partner = partners(counts, seed=0)
    assert (partner != np.arange(len(counts))).all()
    assert (counts[partner] == counts).all()
    assert sorted(partner) == list(range(len(counts)))


def test_resuming_gives_the_same_weights_bit_for_bit(prepared, tmp_path):
    whole, _ = train_student(prepared, tmp_path / "whole")
    part = tmp_path / "part"

    class Killed(Exception):
        pass

    original, written = checkpoints.save, []

    def save_then_die(path, tensors, meta):
        original(path, tensors, meta)
        written.append(meta["step"])
        raise Killed

    checkpoints.save = save_then_die
    try:
        with pytest.raises(Killed):
            train_student(prepared, part)
    finally:
        checkpoints.save = original
    assert written == [5]
    torch.manual_seed(99)
    resumed, _ = train_student(prepared, part, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_run_folder_tells_how_it_was_made(prepared, tmp_path):
    train_student(prepared, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["objective"]["naming"] == 0.1
    assert json.loads((tmp_path / "environment.json").read_text())["teacher"].startswith("tiny@")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {"interaction", "relation", "naming", "logit_kd", "task", "loss"} <= set(lines[0])
    assert any("mAP" in line for line in lines)


def test_a_truncated_checkpoint_gives_way_to_the_one_before(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    for step in (1, 2):
        checkpoints.save(path, {"x": torch.full((100,), float(step))}, {"step": step})
    path.write_bytes(path.read_bytes()[:200])
    tensors, meta, warning = checkpoints.load_latest(path)
    assert (meta["step"], tensors["x"][0].item()) == (1, 1.0)
    assert "going on from the one before" in warning
    checkpoints.previous(path).unlink()
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoints.load_latest(path)


RECIPES = sorted((Path(__file__).parents[3] / "lfi/training/recipes").glob("*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_a_configuration(recipe):
    assert isinstance(load_config(recipe), TrainConfig)


def test_there_are_recipes_for_the_method_and_its_controls():
    assert {"lfi", "logit-kd", "feature-kd", "no-distillation", "queries-only", "shuffled-maps"} <= {
        p.stem for p in RECIPES
    }


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("[loop]\nepoch = 3", [], "unknown key loop.epoch; did you mean loop.epochs"),
        ("[loop]\nepochs = 'three'", [], "loop.epochs is 'three'; int was expected"),
        ("[loop", [], "cannot read the configuration"),
        ("[teacher]\nmaps = 'best'", [], "teacher.maps is 'best'"),
        ("", ["loop.epochs"], "section.key=value was expected"),
        ("", ["loop.epochs=true"], "int was expected"),
        ("loop = 3", [], "a section was expected"),
    ],
)
def test_a_wrong_configuration_is_answered_with_what_would_be_right(tmp_path, text, overrides, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path, overrides)


def test_overrides_go_over_the_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[loop]\nepochs = 3\n[student]\ntaps = [0, 1]")
    config = load_config(path, ["loop.epochs=7", "objective.shuffle=true", "teacher.maps=captions"])
    assert (config.loop.epochs, config.objective.shuffle, config.student.taps) == (7, True, (0, 1))
    assert config.teacher.maps == "captions"
