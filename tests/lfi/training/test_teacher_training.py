"""`task = "teacher"`: from a list of images and captions to a teacher that LFI and open_clip load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from caption_data import COLOURS, TINY, read_captions, write_captions

from lfi.data.imageset import ImageSet
from lfi.errors import CheckpointError, ConfigError, DataError, UnknownWordError, UnsupportedModelError
from lfi.images import normalise
from lfi.revision import revision
from lfi.shipped import RECIPES
from lfi.teachers import ClipTeacher, CoCaTeacher, load_teacher
from lfi.training import default
from lfi.training.caption_sentences import CaptionSentences
from lfi.training.config import DataConfig, LoopConfig, TrainConfig
from lfi.training.config_file import load_config
from lfi.training.pretraining import captions_to_read, pretrain, train_teacher
from lfi.training.scene_sentences import VOCABULARY, SceneSentences
from lfi.training.sentences import CONTEXT, tokenizer_of
from lfi.training.teacher import TeacherTask
from lfi.training.teacher_config import TeacherConfig
from lfi.training.zeroshot import zero_shot

LOOP = LoopConfig(epochs=2, batch_size=8, learning_rate=3e-3, log_every=1, evaluations=1, tensorboard=False)
ARCHITECTURES = [(arch, tokenizer) for arch in ("coca", "clip") for tokenizer in ("words", "bpe")]


def learn(
    images: ImageSet, validation: ImageSet, config: TeacherConfig, loop: LoopConfig, folder: Path | None = None, **more
) -> list[dict[str, float]]:
    return pretrain(captions_to_read(images, config, loop), validation, config, loop, folder, **more)


@pytest.fixture
def captioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    return read_captions(tmp_path, monkeypatch)


@pytest.fixture
def classed(captioned: ImageSet) -> ImageSet:
    """The same images with one label each: the colour on the left."""
    labels = [list(COLOURS).index(caption.split()[1]) for caption in captioned.captions]
    return replace(captioned, classes=tuple(COLOURS), labels=np.array(labels))


@pytest.mark.parametrize(("arch", "tokenizer"), ARCHITECTURES)
def test_a_trained_teacher_is_the_same_model_in_open_clip(
    arch: str, tokenizer: str, captioned: ImageSet, tmp_path: Path
) -> None:
    config = replace(TINY, arch=arch, tokenizer=tokenizer)
    records = learn(captioned, captioned.take(range(8)), config, LOOP, tmp_path / "run")
    assert [record["step"] for record in records if "loss" in record] == list(range(1, 9))
    assert {"recall@1", "recall@5"} <= records[-1].keys()

    teacher = load_teacher(tmp_path / "run/teacher")
    assert type(teacher) is (CoCaTeacher if arch == "coca" else ClipTeacher)
    theirs = open_clip.create_model(f"local-dir:{tmp_path / 'run/teacher'}").eval()
    images = normalise(torch.from_numpy(captioned.images[[0, 1, 2]]))
    ids = teacher.tokenizer(["a red wall", "blue", "a door beside a green wall"], teacher.context_length)
    with torch.no_grad():
        image, text = theirs.encode_image(images, normalize=True), theirs.encode_text(ids, normalize=True)
    torch.testing.assert_close(teacher.embed_images(images), image, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        teacher.embed_texts(["a red wall", "blue", "a door beside a green wall"]), text, atol=1e-5, rtol=0
    )
    if tokenizer == "bpe":
        assert torch.equal(open_clip.get_tokenizer(f"local-dir:{tmp_path / 'run/teacher'}")(["blue"]), ids[1:2])
    maps = teacher.interactions_of(images, ["red", "white door"])
    assert maps.weights.shape == (3, 2 if arch == "coca" else 1, 2, 4, 4)


def test_what_is_saved_is_what_was_trained_and_not_what_it_began_with(captioned: ImageSet, tmp_path: Path) -> None:
    prints = {}
    for epochs in (1, 2):
        learn(captioned, captioned, TINY, replace(LOOP, epochs=epochs), tmp_path / str(epochs))
        prints[epochs] = load_teacher(tmp_path / str(epochs) / "teacher").fingerprint
    assert prints[1] != prints[2]
    learn(captioned, captioned, TINY, LOOP, tmp_path / "2", resume=True)  # nothing is left to do
    assert load_teacher(tmp_path / "2/teacher").fingerprint == prints[2]


@pytest.mark.parametrize("arch", ["coca", "clip"])
def test_a_teacher_learns_its_captions(arch: str, captioned: ImageSet) -> None:
    loop = replace(LOOP, epochs=12, autocast=False)
    records = [r for r in learn(captioned, captioned, replace(TINY, arch=arch), loop) if "loss" in r]
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    expected = {"caption", "answer", "dense", "interaction", "answers right"} if arch == "coca" else set()
    assert {"contrast"} | expected <= records[-1].keys()
    assert "vocabulary" not in records[-1], "there are no classes"


def test_classes_are_told_apart_and_validated_by_name(classed: ImageSet, tmp_path: Path) -> None:
    config = replace(TINY, arch="clip", prompt="a {} wall", least=100)
    records = learn(classed, classed, config, replace(LOOP, epochs=12, autocast=False), tmp_path)
    losses = [record for record in records if "loss" in record]
    assert losses[-1]["vocabulary"] < 0.5 * losses[0]["vocabulary"]
    teacher = load_teacher(tmp_path / "teacher")
    names = [f"a {name} wall" for name in COLOURS]
    right = teacher.classify(normalise(torch.tensor(classed.images)), names).argmax(1).numpy() == classed.labels
    assert records[-1]["top-1"] == pytest.approx(100 * right.mean())
    assert records[-1]["top-1"] > 60
    vocabulary = json.loads((tmp_path / "teacher/open_clip_config.json").read_text())["lfi"]["vocabulary"]
    assert set(vocabulary) == {"a", "wall", "yes", "no", *COLOURS}, "rare words are left out, but not those of classes"


def test_a_plain_coca_reads_no_statements(captioned: ImageSet) -> None:
    records = learn(captioned, captioned, replace(TINY, statements=0), replace(LOOP, epochs=1, evaluations=0))
    assert {"caption", "contrast"} <= records[-1].keys()
    assert not {"answer", "dense", "interaction", "answers right"} & records[-1].keys()


def test_retrieval_is_counted_by_image_whatever_the_captions_of_one_image(captioned: ImageSet) -> None:
    """The reference: cosines in float64, one at a time, against distinct images."""
    single = captioned.take(range(8))
    images = np.concatenate([single.images, single.images[:2]])
    captions = (*single.captions, "a door", "a wall")
    both = ImageSet(images, tuple(map(str, range(10))), (), np.full(10, -1), captions, ((),) * 10)
    torch.manual_seed(0)
    words = tuple(sorted({"a", "wall", "beside", "door", *COLOURS}))
    model = TeacherTask(TINY.for_data(classes=False), words).model.eval()
    tokenizer = tokenizer_of(words, TINY.context)
    found = zero_shot(model, both, tokenizer, TINY.context)()
    with torch.no_grad():
        texts = model.encode_text(tokenizer(captions)).double().numpy()
        pictures = model.encode_image(normalise(torch.from_numpy(single.images))).double().numpy()
    hits = {1: 0, 5: 0}
    for row, text in enumerate(texts):
        scores = [text @ picture / np.linalg.norm(text) / np.linalg.norm(picture) for picture in pictures]
        rank = sorted(scores, reverse=True).index(scores[row % 8])
        hits = {k: count + (rank < k) for k, count in hits.items()}
    assert found == pytest.approx({f"recall@{k}": 10 * count for k, count in hits.items()})


def test_a_teacher_begins_with_the_weights_of_another_and_new_words_begin_afresh(
    captioned: ImageSet, tmp_path: Path
) -> None:
    learn(captioned, captioned, TINY, replace(LOOP, epochs=1, evaluations=0), tmp_path)
    begun = load_teacher(tmp_path / "teacher")
    config = replace(TINY, start_from=str(tmp_path / "teacher"))
    more = replace(captioned, captions=tuple(f"{caption} outdoors" for caption in captioned.captions))
    still = replace(LOOP, epochs=1, evaluations=0, learning_rate=0.0)
    learn(more, more, config, still, tmp_path / "more")
    teacher = load_teacher(tmp_path / "more/teacher")
    assert set(teacher.tokenizer.vocabulary) - set(begun.tokenizer.vocabulary) == {"outdoors"}
    assert torch.equal(teacher.embed_texts(["a red wall"]), begun.embed_texts(["a red wall"]))
    images = normalise(torch.from_numpy(captioned.images[:2]))
    maps = [each.interactions_of(images, ["red", "blue door"]).weights for each in (teacher, begun)]
    assert torch.equal(*maps)
    for change, message in (
        ({"width": 64}, r"\(64,.*has \(32,"),
        ({"tokenizer": "bpe"}, "reads a vocabulary of words; byte pairs was expected"),
        ({"arch": "clip"}, "positional_embedding is"),
    ):
        with pytest.raises(UnsupportedModelError, match=message):
            learn(captioned, captioned, replace(config, **change), LOOP)


def test_a_run_that_is_taken_up_again_ends_where_it_would_have(captioned: ImageSet, tmp_path: Path) -> None:
    loop = replace(LOOP, checkpoint_every=3, evaluations=0)
    learn(captioned, captioned, TINY, loop, tmp_path / "whole")
    whole = load_teacher(tmp_path / "whole/teacher").fingerprint

    class Stopped(Exception):
        pass

    original = CaptionSentences.batch

    def until_5(self: CaptionSentences, step: int) -> dict[str, torch.Tensor]:
        if step == 5:
            raise Stopped
        return original(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CaptionSentences, "batch", until_5)
        with pytest.raises(Stopped):
            learn(captioned, captioned, TINY, loop, tmp_path / "half")
    learn(captioned, captioned, TINY, loop, tmp_path / "half", resume=True)
    assert load_teacher(tmp_path / "half/teacher").fingerprint == whole


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pretraining": {"image_size": 64}}, ConfigError, "pretraining.image_size is 64, but the images have 32 px"),
        ({"loop": {"parallel": "fsdp"}}, ConfigError, "a CoCa or CLIP is trained with 'ddp'"),
        ({"loop": {"batch_size": 64}}, DataError, "32 of 32 images have a caption.*a batch of 64"),
        ({"pretraining": {"least": 99}}, DataError, "0 of 32 images have a caption that can be read"),
        ({"pretraining": {"arch": "clip", "contrast": 0.0}}, DataError, "the images have no classes"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_starts(
    change: dict, error: type[Exception], message: str, captioned: ImageSet
) -> None:
    with pytest.raises(error, match=message):
        learn(
            captioned,
            captioned,
            replace(TINY, **change.get("pretraining", {})),
            replace(LOOP, **change.get("loop", {})),
        )


def test_a_class_that_the_captions_never_name_cannot_be_validated_on(captioned: ImageSet, classed: ImageSet) -> None:
    strange = replace(classed, classes=("reddish", "green", "blue", "white"))
    with pytest.raises(UnknownWordError, match=r"reddish.*nearest: red"):
        learn(captioned, strange, TINY, LOOP)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "blip"}, "pretraining.arch is 'blip'; 'coca' or 'clip' was expected"),
        ({"tokenizer": "chars"}, "pretraining.tokenizer is 'chars'"),
        ({"patch_size": 7}, r"pretraining.image_size is 64; a multiple of pretraining.patch_size \(7\)"),
        ({"head_width": 0}, "pretraining.head_width is 0; at least 1"),
        ({"dense": -1.0}, "pretraining.dense is -1.0; 0 or more"),
        ({"crop": 0.0}, "pretraining.crop is 0.0"),
        ({"flip": 2.0}, "pretraining.flip is 2.0"),
        ({"prompt": "a photo"}, "pretraining.prompt is 'a photo'"),
        ({"context": 2}, "pretraining.context is 2"),
        ({"arch": "clip", "contrast": 0.0, "vocabulary": 0.0}, "every loss of pretraining.arch = 'clip' has weight 0"),
    ],
)
def test_a_wrong_configuration_says_what_would_be_right(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TeacherConfig(**change)


def test_a_teachers_run_folder_tells_how_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)  # the revision is that of the code, not of where one stands
    data = DataConfig(source="captions", root=str(write_captions(tmp_path)), size=TINY.image_size)
    config = TrainConfig(task="teacher", data=data, pretraining=TINY, loop=replace(LOOP, epochs=1, evaluations=0))
    train_teacher(config, tmp_path / "run")
    assert json.loads((tmp_path / "run/config.json").read_text())["pretraining"]["statements"] == TINY.statements
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert environment["starts from"] == "random weights"
    assert environment["revision"] == revision(Path(__file__).parent)
    assert (tmp_path / "run/teacher").is_dir()


SCENES = TrainConfig(
    task="teacher",
    data=DataConfig(count=32, seed=1, validation=8),
    pretraining=replace(TINY, image_size=64, context=CONTEXT, crop=1.0, flip=0.0, name="drawn"),
    loop=replace(LOOP, checkpoint_every=3),
)


def test_a_teacher_of_scenes_reads_hard_statements_and_goes_on_exactly(tmp_path: Path) -> None:
    records = train_teacher(SCENES, tmp_path / "whole")
    assert {"answer", "dense", "interaction", "answers right"} <= records[-2].keys()
    assert {"recall@1", "recall@5"} <= records[-1].keys()
    teacher = load_teacher(tmp_path / "whole/teacher")
    assert (teacher.name, teacher.tokenizer.vocabulary) == ("drawn", VOCABULARY)

    original = SceneSentences.batch

    def until_5(self: SceneSentences, step: int) -> dict[str, torch.Tensor]:
        if step == 5:
            raise InterruptedError
        return original(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SceneSentences, "batch", until_5)
        with pytest.raises(InterruptedError):
            train_teacher(SCENES, tmp_path / "half")
    train_teacher(SCENES, tmp_path / "half", resume=True)
    assert load_teacher(tmp_path / "half/teacher").fingerprint == teacher.fingerprint


def test_a_run_that_read_scenes_as_captions_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"task": "teacher", "vlm": {"arch": "coca"}}')
    with pytest.raises(CheckpointError, match="learned other sentences of scenes than are read now; train it again"):
        train_teacher(SCENES, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 0.5}, "pretraining.crop is 0.5; 1 was expected, as scenes are never cropped or flipped"),
        ({"flip": 0.5}, "pretraining.flip is 0.5; 0 was expected"),
        ({"tokenizer": "bpe"}, "scenes are described in 'words'"),
        ({"image_size": 32}, "pretraining.image_size is 32, but the images have 64 px a side"),
    ],
)
def test_what_does_not_fit_scenes_is_refused(change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        train_teacher(replace(SCENES, pretraining=replace(SCENES.pretraining, **change)), tmp_path)


def test_fewer_scenes_than_a_batch_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.count is 4; at least a batch of 8 was expected"):
        train_teacher(replace(SCENES, data=replace(SCENES.data, count=4)), tmp_path)


def test_the_recipe_for_scenes_trains_what_train_default_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = default.teacher_recipe()
    assert recipe == load_config(RECIPES / "teacher-scenes.toml")
    shipped = json.loads(Path("static/models/scenes/teacher/open_clip_config.json").read_text())
    assert recipe.pretraining.coca(VOCABULARY) == shipped["model_cfg"]
    assert shipped["lfi"]["vocabulary"] == list(VOCABULARY)
    monkeypatch.setattr(default, "teacher_recipe", lambda: SCENES)
    trained = default.train_teacher(tmp_path)
    monkeypatch.setattr(default.pretraining, "train_teacher", None)  # what is finished is not done again
    assert default.train_teacher(tmp_path) == trained
    default.save_scenes_teacher(trained, tmp_path / "trio/teacher", (1,))
    teacher = load_teacher(tmp_path / "trio/teacher")
    assert (teacher.name, teacher.default_layers) == ("drawn", (1,))
