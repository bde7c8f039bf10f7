"""Training: the loop resumes exactly, targets are the teacher's, controls are what they claim."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lfi.data.scenes import MAX_OBJECTS, Scenes
from lfi.errors import CheckpointError, ConfigError
from lfi.images import normalise
from lfi.students import Student, StudentConfig
from lfi.teachers import CoCaTeacher
from lfi.teachers.explicit import decode, encode_image, encode_text
from lfi.teachers.words import WordTokenizer
from lfi.training import checkpoints, run
from lfi.training.config import DataConfig, LoopConfig, ObjectiveConfig, TeacherSource, TrainConfig
from lfi.training.distributed import Processes
from lfi.training.loop import train
from lfi.training.run import Prepared, train_student
from lfi.training.scene_sentences import VOCABULARY, SceneSentences, statements
from lfi.training.sentences import CONTEXT
from lfi.training.targets import Questions
from lfi.training.teacher import TeacherTask, build_coca
from lfi.training.teacher_config import TeacherConfig
from lfi.training.views import TargetViews, partners

TINY_TEACHER = TeacherConfig(width=32, layers=2, text_layers=1, decoder_layers=2, head_width=16, statements=4)
STUDENT = {"img_size": 64, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
INTERACTION = ObjectiveConfig(interaction=0.1, relation=0.1, naming=0.1, logit_kd=0.1)
EVERYTHING = replace(INTERACTION, feature_kd=0.1, activation_attention=0.1, attention_transfer=0.1)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    torch.manual_seed(0)
    tokenizer = WordTokenizer(VOCABULARY, CONTEXT)
    model = build_coca(TINY_TEACHER, VOCABULARY)
    teacher = CoCaTeacher(model, tokenizer, name="tiny", mean=[0.5] * 3, std=[0.25] * 3)
    scenes = Scenes(64, 0).load()
    config = TrainConfig(
        data=DataConfig(count=64, validation=32),
        student=replace(TrainConfig().student, overrides=STUDENT, queries=4),
        objective=INTERACTION,
        loop=LoopConfig(epochs=3, batch_size=16, checkpoint_every=5, log_every=1, evaluations=1),
    )
    images = scenes.image_set("0")
    source = TeacherSource(layers=(0, 1))
    questions = Questions(teacher, source, images, ("maps", "logits", "latents", "activations", "attentions"))
    config = replace(config, teacher=source)
    return Prepared(config, teacher, images, Scenes(32, 1).load().image_set("1"), questions, questions.all())


def shown(prepared: Prepared, rows) -> torch.Tensor:
    return normalise(torch.from_numpy(prepared.images.images[rows]))


def test_explicit_attention_is_open_clips_own():
    torch.manual_seed(1)
    model = build_coca(TINY_TEACHER, VOCABULARY).eval()
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
    records = train(
        TeacherTask(TINY_TEACHER.for_data(classes=False), VOCABULARY),
        data,
        LoopConfig(epochs=8, batch_size=16, log_every=1, evaluations=0),
    )
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]


def test_answers_are_the_teachers_own_maps(prepared):
    teacher = prepared.teacher
    names = prepared.images.words[0]
    maps = teacher.interactions_of(shown(prepared, [0]), names).weights.flatten(-2)
    own = prepared.answers.rows(torch.tensor([0]))
    assert own["words"][0].sum() == len(names) <= MAX_OBJECTS
    assert [prepared.questions.vocabulary[name] for name in own["names"][0, : len(names)]] == list(names)
    assert torch.allclose(own["maps"][0, :, : len(names)].float(), maps[0], atol=1e-3)
    sums = own["maps"].float().sum(-1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-2)


def test_answers_about_captions_are_maps_within_the_whole_caption(prepared):
    source = TeacherSource(maps="captions", layers=(1,))
    questions = Questions(prepared.teacher, source, prepared.images, ("maps",))
    found = questions.ask([3])
    maps = prepared.teacher.interactions(shown(prepared, [3]), [prepared.images.captions[3]])
    count = int(found["words"].sum())
    assert questions.words[3] == maps.queries[0][:count]
    assert torch.allclose(found["maps"][0, 0, :count], maps.weights[0, 1, :count].flatten(-2), atol=1e-6)


def test_presence_is_the_odds_of_yes_after_the_name(prepared):
    teacher, model = prepared.teacher, prepared.teacher.model
    ids = teacher.tokenizer(["red circle"])
    with torch.no_grad():
        logits = model(shown(prepared, [5]), ids)["logits"][0, 2]
    yes, no = (teacher.tokenizer.encode(word)[1] for word in ("yes", "no"))
    place = prepared.images.classes.index("red circle")
    assert prepared.answers.rows(torch.tensor([5]))["logits"][0, place] == pytest.approx(
        float(logits[yes] - logits[no]), abs=1e-4
    )


def test_attention_transfer_gets_the_image_towers_attention(prepared):
    teacher = prepared.teacher
    images = shown(prepared, [1])
    own = prepared.answers.rows(torch.tensor([1]))
    for index, layer in enumerate(prepared.questions.tower_layers):
        block = teacher.model.visual.transformer.resblocks[layer]
        seen = {}
        handle = block.register_forward_pre_hook(lambda module, args, seen=seen: seen.update(x=args[0]))
        after = block.register_forward_hook(lambda module, args, out, seen=seen: seen.update(y=out))
        with torch.no_grad():
            teacher.model.encode_image(images)
            normed = block.ln_1(seen["x"])
            _, weights = block.attn(normed, normed, normed, need_weights=True, average_attn_weights=True)
        handle.remove()
        after.remove()
        over = weights[0, :, 1:] / weights[0, :, 1:].sum(-1, keepdim=True)
        assert torch.allclose(own["attentions"][0, index].float(), over, atol=1e-3)
        squares = seen["y"][0, 1:].square().sum(-1)
        assert torch.allclose(own["activations"][0, index].float(), squares, rtol=2e-3)


def test_a_mirrored_image_has_mirrored_targets(prepared):
    config = replace(prepared.config, objective=EVERYTHING)
    data = TargetViews(prepared.images, prepared.questions, prepared.answers, config, (8, 8))
    batch = data.batch(0)
    rows = np.sort(np.random.default_rng((0, 0)).permutation(64)[:16])
    plain = prepared.answers.rows(torch.from_numpy(rows))
    maps = plain["maps"].float().unflatten(-1, (8, 8))
    moved = batch["maps"].unflatten(-1, (8, 8))
    mirrored = torch.isclose(moved, maps.flip(-1), atol=1e-4).flatten(1).all(1)
    original = torch.isclose(moved, maps, atol=1e-4).flatten(1).all(1)
    assert (mirrored | original).all()
    assert 0 < mirrored.sum() < 16
    images = shown(prepared, rows)
    assert torch.equal(batch["images"][mirrored], images[mirrored].flip(-1))
    assert torch.equal(batch["images"][~mirrored], images[~mirrored])
    across = plain["activations"].float().unflatten(-1, (8, 8))[mirrored].flip(-1)
    assert torch.allclose(batch["activations"][mirrored].unflatten(-1, (8, 8)), across, rtol=1e-3)


def test_a_crop_shows_only_the_words_it_holds(prepared):
    config = replace(prepared.config, data=replace(prepared.config.data, crop=0.3))
    data = TargetViews(prepared.images, prepared.questions, prepared.answers, config, (8, 8))
    batches = [data.batch(step) for step in range(4)]
    words = torch.cat([batch["words"] for batch in batches])
    assert torch.allclose(torch.cat([batch["maps"] for batch in batches]).sum(-1), torch.ones(1), atol=1e-3)
    assert words.sum() <= sum(len(row) for row in prepared.images.words)
    assert torch.equal(data.batch(2)["images"], batches[2]["images"]), "a batch is a function of its step"


def test_processes_share_a_batch_without_overlap(prepared):
    config = replace(prepared.config, objective=EVERYTHING)
    data = TargetViews(prepared.images, prepared.questions, prepared.answers, config, (8, 8))
    whole = data.batch(1)
    for rank in range(2):
        part = data.batch(1, rank=rank, world=2)
        assert all(torch.equal(part[name], whole[name][rank::2]) for name in whole)
    with pytest.raises(ConfigError, match="a batch has 16 images; a multiple of 3 processes was expected"):
        data.batch(1, rank=0, world=3)


def test_the_teacher_can_be_asked_online_about_every_view(prepared):
    config = replace(prepared.config, data=replace(prepared.config.data, flip=0.0), objective=EVERYTHING)
    cached = TargetViews(prepared.images, prepared.questions, prepared.answers, config, (8, 8)).batch(0)
    online = TargetViews(prepared.images, prepared.questions, None, config, (8, 8)).batch(0)
    for name in cached:
        assert torch.allclose(online[name].float(), cached[name].float(), rtol=5e-3, atol=2e-3), name


def test_a_batch_holds_what_its_losses_need_and_no_more(prepared):
    def held(objective: ObjectiveConfig) -> set[str]:
        config = replace(prepared.config, objective=objective)
        batch = TargetViews(prepared.images, prepared.questions, prepared.answers, config, (8, 8)).batch(0)
        return set(batch) - {"images", "labels"}

    assert held(ObjectiveConfig()) == set()
    assert held(ObjectiveConfig(logit_kd=1.0)) == {"logits"}
    assert held(ObjectiveConfig(naming=1.0)) == {"words", "names"}
    assert held(ObjectiveConfig(naming=1.0, patch_words=1.0)) == {"maps", "words", "names"}
    assert held(INTERACTION) == held(replace(INTERACTION, shuffle=True)) == {"maps", "words", "names", "logits"}


def test_patch_words_need_the_head_that_names():
    with pytest.raises(ConfigError, match=r"patch_words needs the head that names; set objective\.naming above 0, too"):
        ObjectiveConfig(interaction=0.1, patch_words=0.1)


def test_the_shuffled_control_takes_maps_of_another_image_with_as_many_words(prepared):
    counts = np.array([len(row) for row in prepared.images.words])
    partner = partners(counts, seed=0)
    assert (partner != np.arange(len(counts))).all()
    assert (counts[partner] == counts).all()
    assert sorted(partner) == list(range(len(counts)))


@pytest.mark.parametrize("counts", [[1, 1, 2], [1, 2], [3, 1, 1, 1, 5, 4]])
def test_an_image_whose_number_of_words_is_its_own_has_another_image_as_well(counts):
    partner = partners(np.array(counts), seed=0)
    assert sorted(partner) == list(range(len(counts)))
    assert (partner != np.arange(len(counts))).all()


def test_the_maps_of_another_image_are_not_those_of_another_caption():
    counts, pictures = np.tile([2, 2, 3], 10), np.repeat(np.arange(10), 3)
    partner = partners(counts, seed=0, pictures=tuple(map(str, pictures)))
    assert (counts[partner] == counts).all()
    assert (pictures[partner] != pictures).all()


def test_partners_stay_those_of_the_recorded_runs():
    partner = partners(np.array([1, 2, 1, 2, 1, 2, 2]), seed=0)
    assert partner.tolist() == [4, 5, 0, 1, 2, 6, 3]


@pytest.mark.parametrize(
    "objective",
    [
        ObjectiveConfig(interaction=0.1, relation=0.1, naming=0.1, persistent=False),
        ObjectiveConfig(naming=0.1),
        ObjectiveConfig(naming=0.1, patch_words=0.1),
        ObjectiveConfig(interaction=0.1, relation=0.1, naming=0.1, patch_words=0.1),
        ObjectiveConfig(interaction=0.1, shuffle=True),
        ObjectiveConfig(activation_attention=1.0),
        ObjectiveConfig(token_labelling=1.0),
        ObjectiveConfig(attention_transfer=1.0),
        ObjectiveConfig(relational_kd=0.1, dist=1.0, feature_kd=0.1, logit_kd=1.0),
    ],
    ids=lambda objective: "+".join(name for name, value in objective.__dict__.items() if value and name != "task"),
)
def test_every_objective_trains_a_student(prepared, objective):
    config = replace(prepared.config, objective=objective, loop=replace(prepared.config.loop, epochs=2, evaluations=0))
    _, records = train_student(replace(prepared, config=config))
    named = {name for name in records[0] if hasattr(objective, name)}
    assert named == {name for name, value in objective.__dict__.items() if type(value) is float and value} - {
        "temperature"
    }
    assert records[-1]["loss"] < records[0]["loss"]


def test_feedback_into_the_patches_begins_closed():
    torch.manual_seed(0)
    config = StudentConfig(classes=3, queries=2, feedback=True, overrides=STUDENT)
    student = Student(config).eval()
    images = torch.randn(2, 3, 64, 64)
    student.config = config
    fed = student(images)
    student.feedback.gate.data.fill_(1.0)
    changed = student(images)
    feedback, student.feedback = student.feedback, None
    plain = student(images)
    assert torch.allclose(fed.patches, plain.patches, atol=1e-5)
    assert not torch.allclose(changed.patches, plain.patches, atol=1e-3)
    assert feedback is not None


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
    kept = (part / "config.json").read_text()
    other = replace(prepared.config, objective=replace(prepared.config.objective, interaction=0.7))
    with pytest.raises(ConfigError, match=r"begun with objective\.interaction .*, and 0\.7 was asked for; go on with"):
        train_student(replace(prepared, config=other), part, resume=True)
    assert (part / "config.json").read_text() == kept, "it says what the weights were trained for"


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


def test_each_process_loads_the_teacher_onto_its_own_device(monkeypatch):
    """Of several processes with a GPU each; `cuda` alone would be the first one's in all of them."""
    own, asked = torch.device("cuda", 3), []

    def load(name, pretrained, device):
        asked.append(device)
        raise CheckpointError("not wanted")

    monkeypatch.setattr(run, "connect", lambda device: Processes(3, 4, own))
    monkeypatch.setattr(run, "load_teacher", load)
    with pytest.raises(CheckpointError):
        run.prepare(TrainConfig(), "cuda")
    assert asked == [own]
