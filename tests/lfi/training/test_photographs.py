"""What the teacher and the students for photographs learn from: truths, regions, guides, evidence."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lfi.data.canvases import compose, paste
from lfi.data.names import IMAGENET_NAMES
from lfi.errors import ConfigError
from lfi.teachers.names import Names
from lfi.training.photographs import teacher
from lfi.training.photographs.bank import Part, Truth, own_name, single
from lfi.training.photographs.evidence import EvidenceConfig, EvidenceTask, among
from lfi.training.photographs.guides import GRID, visible
from lfi.training.photographs.students import image_set, kept, words_of
from lfi.training.photographs.teacher import PARTS, Sources, images
from lfi.training.targets import InMemory


@pytest.fixture(scope="module")
def names() -> Names:
    return Names.read(IMAGENET_NAMES)


@pytest.fixture(scope="module")
def truth(names) -> Truth:
    return Truth(names)


def numbers(names: Names, *words: str) -> list[int]:
    found = [names.number(word) for word in words]
    assert None not in found
    return [number for number in found if number is not None]


def test_what_an_image_shows_makes_names_true_false_or_unknown(names, truth):
    retriever, dog, terrier, animal, cup = numbers(names, "golden retriever", "dog", "terrier", "animal", "teapot")
    labels = np.array([[retriever, -1, -1, -1], [dog, -1, -1, -1], [retriever, cup, -1, -1]])
    said = truth.of(labels, np.zeros((3, 1000), np.float32))
    assert said[0, [retriever, dog, animal, terrier, cup]].tolist() == [1, 1, 1, 0, 0]
    assert said[1, [dog, animal, cup]].tolist() == [1, 1, 0]
    assert np.isnan(said[1, [retriever, terrier]]).all()  # some dog: nobody said which
    assert said[2, [dog, cup]].tolist() == [1, 1]


def test_what_the_tower_sees_besides_is_true_or_at_least_not_false(names, truth):
    retriever, cup = numbers(names, "golden retriever", "teapot")
    leaf = int(np.flatnonzero(names.covers[cup])[0])
    chances = np.zeros((2, 1000), np.float32)
    chances[:, leaf] = (0.9, 0.2)
    said = truth.of(np.full((2, 4), -1) + np.eye(1, 4, dtype=int) * (retriever + 1), chances)
    assert said[0, cup] != 0
    assert np.isnan(said[1, cup])


def test_people_may_be_in_photographs_of_what_they_wear_but_not_of_fruit(names, truth):
    tie, banana, person = numbers(names, "bow tie", "banana", "person")
    labels = np.array([[tie, -1, -1, -1], [banana, -1, -1, -1]])
    said = truth.of(labels, np.zeros((2, 1000), np.float32))
    assert np.isnan(said[0, person])
    assert said[1, person] == 0


def test_every_leaf_has_a_name_of_its_own(names):
    assert all(names.covers[own_name(names, leaf)][leaf] for leaf in range(len(names.leaves)))
    assert names.names[own_name(names, 207)] == "golden retriever"


def test_pasted_photographs_lie_where_they_are_said_to():
    rng = np.random.default_rng(0)
    photographs = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 80, 160, 240)])
    made = paste(photographs, np.tile(np.arange(4), (20, 1)), rng)
    for image, rows, regions in zip(made.images, made.rows, made.regions, strict=True):
        covered = np.zeros((64, 64), bool)
        for row, (left, top, right, bottom) in zip(rows[1:], regions[1:], strict=True):
            if row >= 0:
                window = np.zeros((64, 64), bool)
                window[top:bottom, left:right] = True
                assert not (covered & window).any()
                covered |= window
                assert (image[window] == photographs[row][0, 0]).all()
        assert covered.any()
        assert (image[~covered] == 0).all()


def test_a_region_is_what_can_be_seen_of_it():
    regions = np.array([[[0, 0, 64, 64], [32, 0, 64, 32], [0, 0, 0, 0], [0, 0, 0, 0]]])
    shares = visible(regions)[0].reshape(4, GRID, GRID)
    assert shares[1, :7, 7:].min() == 1
    assert shares[0, :7, 7:].max() == 0
    assert shares[0].sum() + shares[1].sum() == GRID * GRID
    assert shares[2:].sum() == 0


def test_true_names_compete_with_false_ones_alone():
    logits = torch.tensor([[2.0, 1.0, 5.0, 0.0]])
    truth = torch.tensor([[1.0, 1.0, math.nan, 0.0]])
    expected = (math.log(math.exp(2) + 1) - 2 + math.log(math.exp(1) + 1) - 1) / 2
    assert among(logits, truth).item() == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def task() -> EvidenceTask:
    torch.manual_seed(0)
    return EvidenceTask(EvidenceConfig(ids=40, width=48, context=16))


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    guide = torch.rand(2, 3, GRID * GRID, generator=generator)
    return {
        "fifth": torch.randn(2, 120, 14, 14, generator=generator),
        "seventh": torch.randn(2, 352, 7, 7, generator=generator),
        "last": torch.randn(2, 1280, 7, 7, generator=generator),
        "names": torch.tensor([[1, 20, 2, 0, 0], [1, 21, 2, 0, 0], [1, 22, 2, 0, 0]]),
        "truth": torch.tensor([[1.0, 0.0, math.nan], [0.0, 1.0, 1.0]]),
        "guides": guide / guide.sum(-1, keepdim=True),
        "guided": torch.tensor([[0, -1, -1], [1, 2, -1]]),
        "captions": torch.tensor([[1, 5, 20, 2, 0, 0]]),
    }


def test_the_scores_that_are_trained_are_those_that_the_teacher_shows(task):
    """The cross-attention of the CoCa's own first decoder layer, at a name's last token."""
    given = batch()
    model = task.eval().model
    tokens = model.visual.tokens([given["fifth"], given["seventh"], given["last"]])
    _, states = model.text(torch.nn.functional.pad(given["names"], (0, 11)))
    heard = []
    cross = model.text_decoder.cross_attn[0].attn
    handle = cross.register_forward_pre_hook(
        lambda module, args, kwargs: heard.append((args, kwargs)), with_kwargs=True
    )
    with torch.no_grad():
        model.text_decoder(tokens[:1].expand(3, -1, -1), states)
    handle.remove()
    args, kwargs = heard[0]
    arguments = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
    _, weights = cross(arguments["query"], arguments["key"], arguments["key"], need_weights=True)
    ours = task.scores(states[:, :3], torch.tensor([1, 1, 1]), tokens)
    torch.testing.assert_close(ours[0].softmax(-1), weights[:, 1], atol=1e-5, rtol=1e-4)


def test_unknown_names_teach_nothing_about_presence(task):
    one, other = batch(), batch()
    losses = [task(each) for each in (one, other)]
    assert losses[0]["presence"] == losses[1]["presence"]
    changed = batch()
    changed["truth"][0, 2] = 0
    assert task(changed)["presence"] != losses[0]["presence"]


def test_a_guide_is_followed_by_the_name_that_it_is_of(task):
    given = batch()
    model = task.model
    tokens = model.visual.tokens([given["fifth"], given["seventh"], given["last"]])
    _, states = model.text(torch.nn.functional.pad(given["names"], (0, 11)))
    scores = task.scores(states[:, :3], torch.tensor([1, 1, 1]), tokens)
    found = task.guide(scores, given["guides"], given["guided"])
    pairs = [(0, 0, 0), (1, 0, 1), (1, 1, 2)]
    expected = [
        torch.nn.functional.kl_div(scores[i, name].log_softmax(-1), given["guides"][i, k], reduction="sum")
        for i, k, name in pairs
    ]
    torch.testing.assert_close(found, torch.stack(expected).mean(), atol=1e-5, rtol=1e-5)


def test_training_on_evidence_moves_everything_but_the_tower(task):
    task.train()
    task.zero_grad()
    task(batch())["loss"].backward()
    still = [name for name, parameter in task.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert still == []
    assert all(parameter.grad is None for parameter in task.model.visual.trunk.parameters())


def test_an_image_is_asked_for_its_names_and_for_what_is_above_one_of_them_alone(names, truth):
    dog, cup, animal = numbers(names, "golden retriever", "teapot", "animal")
    cat = numbers(names, "tabby")[0]
    asked = words_of(np.array([dog, cup, -1, -1]), truth, np.random.default_rng(0))
    assert asked[:2] == ("golden retriever", "teapot")
    both = {
        name
        for seed in range(20)
        for name in words_of(np.array([dog, cat, -1, -1]), truth, np.random.default_rng(seed))
    }
    assert names.names[animal] not in both  # both are animals: it would not say which


def test_images_of_several_photographs_have_the_labels_of_all(names, truth):
    dog, cup = numbers(names, "golden retriever", "teapot")
    photographs = single("tiny", np.zeros((2, 64, 64, 3), np.uint8), np.array([dog, cup]))
    rng = np.random.default_rng(0)
    canvases = compose(np.zeros((2, 64, 64, 3), np.uint8), np.array([[0, 1, 0, 1]]), rng)
    labels = np.where(canvases.rows >= 0, np.array([dog, cup])[canvases.rows], -1)
    several = Part("canvases", canvases.images, labels, canvases.regions)
    images = image_set([photographs, several], truth, [min(dog, cup), max(dog, cup)])
    assert [images.classes[label] for label in images.labels[:2, 0]] == ["golden retriever", "teapot"]
    assert (images.labels[:2, 1:] == -1).all()
    named = [{images.classes[label] for label in row if label >= 0} for row in images.labels]
    assert named == [set(words[: len(names)]) for words, names in zip(images.words, named, strict=True)]
    assert len(named[2]) == 2


@pytest.fixture
def sources(tmp_path, monkeypatch) -> Sources:
    """Folders of one file each, of which a bank of black images is made."""
    folders = {name: tmp_path / name for name in ("tiny", "pacs", "samples", "runs")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "a.jpg").touch()
    black = {name: single(name, np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, int)) for name in PARTS}
    monkeypatch.setattr(teacher, "assemble", lambda *_: black)
    monkeypatch.setattr(teacher, "USED", {})
    return Sources(**folders)


def test_a_bank_is_not_taken_for_that_of_other_data(sources, names, tmp_path):
    images(sources, names)
    assert set(images(sources, names)) == set(PARTS)
    (tmp_path / "other").mkdir()
    other = replace(sources, pacs=tmp_path / "other")
    with pytest.raises(ConfigError, match=r"begun with --pacs .*pacs \(files: 1\), and it is .*other \(files: 0\) now"):
        images(other, names)
    (sources.runs / "bank" / "sources.json").unlink()  # as earlier versions left it
    images(other, names)
    with pytest.raises(ConfigError, match="--runs, or start over with --fresh"):
        images(sources, names)


def test_what_is_written_when_a_run_is_killed_is_written_again(sources, names, monkeypatch):
    def killed(file, **arrays):
        if "pasted" not in Path(file.name).name:
            return whole(file, **arrays)
        file.write(b"half")
        raise KeyboardInterrupt

    whole = np.savez
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            images(sources, names)
    assert len(images(sources, names)["pasted"]) == 2


def test_answers_are_kept_whole_or_not_at_all(tmp_path, monkeypatch):
    def killed(fields, file):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    answers = InMemory({"latents": torch.ones(2, 3)})
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            kept(tmp_path / "answers-0.pt", lambda: answers)
    for _ in range(2):
        assert torch.equal(kept(tmp_path / "answers-0.pt", lambda: answers).fields["latents"], torch.ones(2, 3))
