"""Words that the teacher chooses itself: likely enough, with the names above them, as certain as what is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lfi.data.imageset import ImageSet
from lfi.data.names import IMAGENET_NAMES
from lfi.errors import ConfigError, DataError, UnsupportedModelError
from lfi.objectives import interaction_loss
from lfi.teachers import CoCaTeacher
from lfi.teachers.names import Names
from lfi.teachers.words import WordTokenizer
from lfi.training.config import DataConfig, LoopConfig, ObjectiveConfig, TeacherSource, TrainConfig
from lfi.training.run import Prepared, cached_answers, prepare, train_student
from lfi.training.seen import SeenWords
from lfi.training.student import present
from lfi.training.targets import InMemory, Questions
from lfi.training.teacher import build_coca
from lfi.training.teacher_config import TeacherConfig
from lfi.training.views import TargetViews

CLASSES = ("golden retriever", "Labrador retriever", "school bus")
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def seen() -> SeenWords:
    return SeenWords(CLASSES, Names.read(IMAGENET_NAMES), most=4, sure=0.25)


def named(seen: SeenWords, chances: list[float]) -> dict[str, float]:
    words, likely = seen.choose(torch.tensor([chances]))
    return {seen.vocabulary[word]: round(value, 4) for word, value in zip(words[0], likely[0], strict=True)}


def test_a_name_above_classes_is_as_likely_as_all_of_them_together(seen):
    assert seen.vocabulary[:3] == CLASSES
    found = named(seen, [0.2, 0.3, 0.1])
    assert found == {"retriever": 0.5, "sporting dog": 0.5, "hunting dog": 0.5, "Labrador retriever": 0.3}
    assert named(seen, [0.1, 0.1, 0.3]) == {"school bus": 0.3, "bus": 0.3, "public transport": 0.3}
    assert named(seen, [0.1, 0.1, 0.1]) == {}


def test_names_above_count_all_that_they_cover_and_only_likely_ones_are_asked_about(seen):
    seen = SeenWords((*CLASSES, "king penguin", "black stork"), Names.read(IMAGENET_NAMES), most=8, sure=0.25)
    found = named(seen, [0.0, 0.0, 0.0, 0.6, 0.3])
    assert found["king penguin"] == 0.6
    assert found["bird"] == pytest.approx(0.9), "the stork is a bird, although wading bird and stork are nearer to it"
    assert found["black stork"] == 0.3
    found = named(seen, [0.0, 0.0, 0.0, 0.6, 0.2])
    assert "stork" not in found
    assert found["bird"] == pytest.approx(0.8)


def test_without_a_hierarchy_classes_alone_are_words():
    seen = SeenWords(("red", "green"), None, most=4, sure=0.25)
    assert seen.vocabulary == ("red", "green")
    assert seen.covers.tolist() == [[1, 0], [0, 1]]


def test_a_share_of_every_class_keeps_what_is_known_of_it():
    images = coloured(30)
    some = images.labelled(0.2, seed=3)
    known = some.labels >= 0
    assert np.bincount(some.labels[known]).tolist() == [2, 2, 2]
    assert [some.words[row] for row in np.flatnonzero(~known)] == [()] * 24
    assert {some.captions[row] for row in np.flatnonzero(~known)} == {""}
    assert (some.labels[known] == images.labels[known]).all()
    assert len(some) == len(images)
    assert images.labelled(1.0) is images
    with pytest.raises(DataError, match="images have several classes each"):
        replace(images, labels=np.ones((30, 3), np.float32)).labelled(0.5)
    with pytest.raises(ConfigError, match=r"data\.labelled is 0"):
        DataConfig(labelled=0.0)


def coloured(count: int) -> ImageSet:
    """Images of one colour each, whose class is the colour."""
    labels = np.arange(count) % 3
    pixels = np.zeros((count, 64, 64, 3), np.uint8)
    pixels[np.arange(count), :, :, labels] = 200
    pixels[:, :16] = np.random.default_rng(0).integers(0, 255, (count, 16, 64, 3))
    return ImageSet(
        images=pixels,
        ids=tuple(map(str, range(count))),
        classes=COLOURS,
        labels=labels,
        captions=tuple(COLOURS[label] for label in labels),
        words=tuple((COLOURS[label],) for label in labels),
    )


@pytest.fixture(scope="module")
def teacher() -> CoCaTeacher:
    torch.manual_seed(0)
    config = TeacherConfig(width=32, layers=1, text_layers=1, decoder_layers=1, head_width=16)
    model = build_coca(config, COLOURS)
    return CoCaTeacher(model, WordTokenizer(COLOURS, 8), name="tiny", mean=[0.5] * 3, std=[0.25] * 3)


@pytest.fixture(scope="module")
def questions(teacher) -> Questions:
    source = TeacherSource(maps="seen", sure=0.34)
    return Questions(teacher, source, coloured(24).labelled(0.25), ("maps", "logits", "latents"))


def test_the_teacher_is_asked_about_the_words_that_it_chose(questions):
    found = questions.ask(np.arange(24))
    chances = found["logits"].softmax(-1)
    for row in range(24):
        words = found["words"][row]
        assert set(found["names"][row][words].tolist()) == set((chances[row] >= 0.34).nonzero().flatten().tolist())
        for name, presence in zip(found["names"][row][words], found["presence"][row][words], strict=True):
            assert float(presence) == pytest.approx(float(chances[row, name]), abs=1e-6)
        own = questions.teacher.interactions_for(
            questions.teacher.encode(questions.teacher.from_pixels(pixels(questions, row))),
            [[questions.vocabulary[name] for name in found["names"][row][words]] or ["red"]],
        ).weights.flatten(-2)
        if bool(words.any()):
            assert torch.allclose(found["maps"][row][:, words], own[0], atol=1e-6)
    assert float(found["presence"][~found["words"]].abs().max()) == 0


def pixels(questions: Questions, row: int) -> torch.Tensor:
    return torch.from_numpy(questions.images.images[row : row + 1]).permute(0, 3, 1, 2).float() / 255


def test_a_cache_keeps_the_words_and_refuses_those_of_another_threshold(questions, teacher, tmp_path):
    store, direct = cached_answers(questions, tmp_path), questions.all()
    rows = torch.arange(24)
    for name in ("words", "names", "presence"):
        assert torch.equal(store.rows(rows)[name], direct.rows(rows)[name])
    other = replace(questions.source, sure=0.5)
    with pytest.raises(ConfigError, match=r"maps is 'seen, at least 0\.34' there and 'seen, at least 0\.5'"):
        cached_answers(Questions(teacher, other, questions.images, questions.wanted), tmp_path)
    known = Questions(teacher, questions.source, coloured(24), questions.wanted)
    assert torch.equal(cached_answers(known, tmp_path).rows(rows)["names"], direct.rows(rows)["names"]), "any labels"


def test_a_word_counts_as_much_as_it_is_likely():
    torch.manual_seed(2)
    maps = torch.rand(3, 2, 4, 9).softmax(-1)
    log_student = torch.rand(3, 2, 4, 9).log_softmax(-1)
    likely = torch.rand(3, 4) * (torch.rand(3, 4) > 0.3)
    wanted = weight = 0.0
    for image in range(3):
        for layer in range(2):
            for word in range(4):
                teacher, student = maps[image, layer, word].double(), log_student[image, layer, word].double()
                wanted += float(likely[image, word].double() * (teacher * (teacher.log() - student)).sum())
                weight += float(likely[image, word])
    assert float(interaction_loss(maps, log_student, likely)) == pytest.approx(wanted / weight, rel=1e-5)
    sums = present({"maps": maps, "presence": likely}).sum(-1)
    assert torch.allclose(sums, likely[:, None].expand_as(sums), atol=1e-6)


@pytest.mark.parametrize(("shuffle", "own_words"), [(False, False), (True, False), (True, True)])
def test_students_learn_from_images_of_which_nothing_is_said(questions, teacher, shuffle, own_words):
    answers = questions.all()
    for row, names in enumerate(answers.fields["names"]):  # no two neighbours say the same
        names[0] = row % len(questions.vocabulary)
    config = TrainConfig(
        data=DataConfig(crop=0.6),
        teacher=questions.source,
        objective=ObjectiveConfig(
            **dict.fromkeys(("relation", "naming", "patch_words", "token_labelling"), 0.1),
            interaction=1.0,
            dist=1.0,
            shuffle=shuffle,
            own_words=own_words,
        ),
        loop=LoopConfig(epochs=1, batch_size=8, evaluations=0, tensorboard=False),
    )
    config = replace(config, student=replace(config.student, queries=4))
    views = TargetViews(questions.images, questions, answers, config, (8, 8))
    batch = views.batch(0)
    assert {"presence", "words", "names"} <= batch.keys()
    if shuffle:  # words and their presence come from the same other image as maps, or are the image's own
        order = np.random.default_rng((0, 0)).permutation(24)
        rows = torch.from_numpy(np.sort(order[:8]))
        said = answers.rows(rows if own_words else views.source[rows])
        assert all(torch.equal(batch[name], said[name]) for name in ("presence", "names"))
        assert not torch.equal(answers.rows(rows)["names"], answers.rows(views.source[rows])["names"])
        whole = TargetViews(questions.images, questions, answers, replace(config, data=DataConfig(flip=0.0)), (8, 8))
        wrong = answers.rows(views.source[rows])["maps"].float()
        assert torch.allclose(whole.batch(0)["maps"], wrong, atol=1e-3)
        counts = answers.fields["words"].sum(1)
        assert torch.equal(counts[views.source], counts)
    prepared = Prepared(config, teacher, questions.images, coloured(6), questions, answers)
    _, records = train_student(prepared)
    assert all(np.isfinite(value) for record in records for value in record.values())


def test_answers_without_presence_weigh_all_words_alike(questions):
    answers = questions.all()
    plain = InMemory({name: values for name, values in answers.fields.items() if name != "presence"})
    config = TrainConfig(objective=ObjectiveConfig(interaction=1.0), loop=LoopConfig(batch_size=8))
    assert "presence" not in TargetViews(questions.images, questions, plain, config, (8, 8)).batch(0)


def test_words_cannot_be_chosen_without_classes(teacher):
    bare = replace(coloured(3), classes=(), labels=np.full(3, -1))
    with pytest.raises(UnsupportedModelError, match="needs classes"):
        Questions(teacher, TeacherSource(maps="seen"), bare, ("maps",))
    several = replace(coloured(3), labels=np.eye(3, dtype=np.float32))
    with pytest.raises(UnsupportedModelError, match="was not trained on presence statements and cannot say which"):
        Questions(teacher, TeacherSource(maps="seen"), several, ("maps",))
    with pytest.raises(ConfigError, match=r"teacher\.sure is 0"):
        TeacherSource(sure=0.0)


def test_likelihoods_are_not_rounded_where_a_teacher_is_asked_in_bfloat16(seen):
    plain = named(seen, [0.2003, 0.3002, 0.1])
    with torch.autocast("cpu", torch.bfloat16):
        assert named(seen, [0.2003, 0.3002, 0.1]) == plain
    assert plain["retriever"] == pytest.approx(0.5005, abs=1e-6)


def test_the_teacher_is_asked_only_for_what_a_loss_reads(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr("lfi.training.run.load_teacher", lambda *_, **__: teacher)
    sets = (coloured(6).labelled(0.5), coloured(3))
    plain = TrainConfig(teacher=TeacherSource(maps="seen", cache=str(tmp_path / "none")), objective=ObjectiveConfig())
    ready = prepare(plain, sets=sets)
    assert ready.answers is None
    assert not (tmp_path / "none").exists()
    views = TargetViews(ready.images, ready.questions, None, replace(plain, loop=LoopConfig(batch_size=2)), (8, 8))
    assert views.batch(0).keys() == {"images", "labels"}
    named = replace(plain, teacher=replace(plain.teacher, sure=0.34), objective=ObjectiveConfig(naming=1.0))
    assert {"words", "names", "presence"} <= set(prepare(named, sets=sets).answers.fields)


def test_settings_that_cannot_work_together_are_refused():
    with pytest.raises(ConfigError, match=r"data\.labelled is 0\.5 and task is 'detection'"):
        TrainConfig(task="detection", data=DataConfig(labelled=0.5))
    without = replace(TrainConfig().student, queries=0)
    with pytest.raises(ConfigError, match=r"objective\.naming is 0\.1 and student\.queries is 0"):
        TrainConfig(student=without, objective=ObjectiveConfig(naming=0.1))
