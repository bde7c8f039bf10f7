"""What the teacher for photographs reads: names that are true, open or near, captions and statements that hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lfi.data.imageset import ImageSet
from lfi.data.scenes import Scenes
from lfi.training.groups import GROUPS
from lfi.training.photographs import Names, PhotoSentences
from lfi.training.teacher import TeacherConfig, TeacherTask

CLASSES = ("Chihuahua", "golden retriever", "tabby", "Persian cat", "bee", "monarch", "umbrella", "goldfish")
DRAWN = ("dog", "house")
SIZE = 32


def photographs(classes: tuple[str, ...], each: int, value: int, domains: tuple[str, ...] = ()) -> ImageSet:
    """`each` images of every class, all pixels of class `c` being `value + c`."""
    labels = np.repeat(np.arange(len(classes)), each)
    images = np.broadcast_to((value + labels)[:, None, None, None], (len(labels), SIZE, SIZE, 3)).astype(np.uint8)
    return ImageSet(
        images=images,
        ids=tuple(f"{classes[label]}/{index}" for index, label in enumerate(labels)),
        classes=classes,
        labels=labels,
        captions=("",) * len(labels),
        words=((),) * len(labels),
        domains=domains and tuple(domains[index % len(domains)] for index in range(len(labels))),
    )


@pytest.fixture(scope="module")
def names() -> Names:
    return Names((*CLASSES, *DRAWN))


@pytest.fixture(scope="module")
def sentences(names: Names) -> PhotoSentences:
    parts = [photographs(CLASSES, 6, 100), photographs(DRAWN, 4, 200, ("sketch", "art painting"))]
    scenes = Scenes(8, 0, size=SIZE).load(masks=False)
    return PhotoSentences(parts, scenes, names, (8, 2, 6, 4), 0, statements=12)


def read(sentences: PhotoSentences, ids: torch.Tensor) -> str:
    return " ".join(sentences.tokenizer.vocabulary[i - 3] for i in ids.tolist() if i > 2)


def relation(names: Names, word: str, name: str) -> str:
    """`true`, `open`, `near` or `false`: what a word is of an image of a class."""
    at = names.words.index(word), names.classes.index(name)
    held = [kind for kind in ("true", "open", "near") if getattr(names, kind)[at]]
    assert len(held) <= 1, "a word is only one of these"
    return held[0] if held else "false"


@pytest.mark.parametrize(
    ("word", "name", "expected"),
    [
        ("Chihuahua", "Chihuahua", "true"),
        ("dog", "Chihuahua", "true"),  # a breed is a dog,
        ("Chihuahua", "dog", "open"),  # and a drawn dog may be of any breed
        ("cat", "tabby", "true"),
        ("tabby", "Persian cat", "near"),  # another cat
        ("monarch", "bee", "near"),  # another insect
        ("butterfly", "bee", "near"),  # of what shares a group with a bee
        ("insect", "monarch", "true"),
        ("butterfly", "monarch", "true"),
        ("bee", "tabby", "false"),
        ("cat", "Chihuahua", "false"),
        ("golden retriever", "Chihuahua", "near"),  # another dog, though "dog" is a class as well
        ("house", "dog", "false"),
    ],
)
def test_what_a_word_is_of_a_class(names: Names, word: str, name: str, expected: str) -> None:
    assert relation(names, word, name) == expected


def test_a_plain_word_is_known_only_where_one_of_its_classes_is(names: Names) -> None:
    assert set(names.words) - set(names.classes) == {"cat", "insect", "butterfly", "fish"}
    assert Names(("umbrella",)).words == ("umbrella",)
    assert set(GROUPS["dog"]) - set(CLASSES)


def test_statements_are_true_or_false_of_every_photograph_on_the_image(names: Names, sentences: PhotoSentences) -> None:
    rows = np.array([[0, -1, -1, -1], [14, 20, -1, -1], [48, 40, 13, -1], [52, -1, -1, -1]])
    shown = [[names.classes[sentences.labels[row]] for row in image if row >= 0] for image in rows]
    assert shown == [["Chihuahua"], ["tabby", "Persian cat"], ["dog", "umbrella", "tabby"], ["house"]]
    seen: dict[tuple[str, ...], set[str]] = {}
    rng = np.random.default_rng(0)
    for _ in range(40):
        words, truth = sentences.statements(rows, rng)
        for classes, own, holds in zip(shown, words, truth, strict=True):
            for word, true in zip(own, holds, strict=True):
                kinds = {relation(names, names.words[word], name) for name in classes}
                assert bool(true) == ("true" in kinds)
                assert true or "open" not in kinds, "what nobody said is not asked"
                seen.setdefault(tuple(classes), set()).add(names.words[word])
    assert {"Chihuahua", "dog", "bee"} <= seen[("Chihuahua",)]
    assert not {"golden retriever", "Chihuahua"} & seen[("dog", "umbrella", "tabby")], "the dog may be one"


def test_half_of_the_statements_are_true_and_two_fifths_of_the_false_ones_near(
    names: Names, sentences: PhotoSentences
) -> None:
    rows = np.full((300, 4), -1)
    rows[:, 0] = 12  # a tabby: only the other cat is near
    words, truth = sentences.statements(rows, np.random.default_rng(0))
    assert truth.mean() == pytest.approx(0.5, abs=0.03)
    near = (words == names.words.index("Persian cat"))[truth == 0].mean()
    # drawn as near, or else as any of the absent words
    absent = (~names.true[:, 2] & ~names.open[:, 2]).sum()
    assert near == pytest.approx(0.4 + 0.6 / absent, abs=0.05)


def test_targets_share_what_is_shown_and_leave_open_what_nobody_said(sentences: PhotoSentences) -> None:
    classes = sentences.names.classes
    named, unsaid = sentences.targets(np.array([[0, -1, -1, -1], [48, 12, 13, -1], [40, -1, -1, -1]]))

    def share(row: int) -> dict[str, float]:
        return {classes[at]: float(named[row, at]) for at in np.flatnonzero(named[row])}

    assert [share(row) for row in range(3)] == [{"Chihuahua": 1.0}, {"dog": 0.5, "tabby": 0.5}, {"umbrella": 1.0}]
    opened = [{classes[at] for at in np.flatnonzero(row)} for row in unsaid]
    assert opened == [{"dog"}, {"Chihuahua", "golden retriever"}, set()]


def test_captions_name_what_is_shown_in_reading_order_with_the_right_article(sentences: PhotoSentences) -> None:
    rng = np.random.default_rng(0)
    rows = np.array([40, 0, -1, -1])
    captions = [sentences.caption(rows, rng) for _ in range(200)]
    assert set(captions) == {"a photo of an umbrella and a Chihuahua", "a photo of an umbrella and a dog"}
    assert 0.15 < np.mean([caption.endswith("dog") for caption in captions]) < 0.35
    assert sentences.caption(np.array([48, -1, -1, -1]), rng) == "a sketch of a dog"
    assert sentences.caption(np.array([49, -1, -1, -1]), rng) == "an art painting of a dog"
    assert sentences.caption(np.array([48, 49, -1, -1]), rng) == "a photo of a dog and a dog", "styles that differ"


def test_a_class_is_called_by_its_own_name_first_wherever_it_stands_among_the_classes() -> None:
    data = PhotoSentences(
        [photographs(("dog", "Chihuahua"), 2, 0)],
        Scenes(1, 0, size=SIZE).load(masks=False),
        Names(("dog", "Chihuahua")),
        (2, 0, 0),
        0,
    )
    rng = np.random.default_rng(0)
    said = [data.caption(np.array([2, -1, -1, -1]), rng) for _ in range(100)]
    assert 0.6 < np.mean([caption == "a photo of a Chihuahua" for caption in said]) < 0.9


def test_captions_and_targets_are_of_the_pixels_that_are_shown(sentences: PhotoSentences) -> None:
    """Every class has a colour of its own, so that a batch tells what it shows."""
    classes = sentences.names.classes
    colours = [*range(100, 100 + len(CLASSES)), *range(200, 202)]
    for step in range(4):
        batch = sentences.batch(step)
        shades = (batch["images"] * 0.25 + 0.5).mul(255).round()[:, 0]
        for image in range(10):  # single photographs: the first 8 of the one part, 2 of the other
            label = colours.index(int(shades[image].unique().item()))
            assert (image >= 8) == (classes[label] in DRAWN)
            plain = {
                word for word, true in zip(sentences.names.words, sentences.names.true[:, label], strict=True) if true
            }
            caption = read(sentences, batch["captions"][image])
            assert any(caption.endswith(word.lower()) for word in plain)
            assert batch["named"][image, label] == 1
        for image in range(10, 16):  # canvases
            present = {colours.index(int(shade)) for shade in shades[image].unique() if int(shade) in colours}
            named = set(np.flatnonzero(batch["named"][image]))
            assert named <= present
            assert batch["named"][image].sum() == pytest.approx(1)
        assert not batch["named"][16:].any(), "scenes name no class"


def test_a_batch_depends_on_the_step_alone_and_trains_the_task(sentences: PhotoSentences) -> None:
    one, other = sentences.batch(5), sentences.batch(5)
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = len(one["images"])
    assert {name for name, value in one.items() if len(value) != rows} == {"bank", "yes_no"} == set(sentences.shared)
    config = TeacherConfig(
        image_size=SIZE,
        width=32,
        layers=1,
        text_layers=1,
        decoder_layers=1,
        head_width=16,
        words=sentences.names.vocabulary,
        vocabulary=1.0,
    )
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        losses = TeacherTask(config)(one)
        found.append(losses["vocabulary"].item())
    total = sum(losses[name] * getattr(config, name) for name in losses if hasattr(config, name))
    assert losses["loss"].item() == pytest.approx(total.item(), rel=1e-6)
    chance = np.log(len(sentences.names.classes))
    assert 0.9 * chance < np.mean(found) < 1.6 * chance, "untrained, it knows no more than chance"
