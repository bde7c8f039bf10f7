"""What a teacher reads of images with captions: the same at every asking, and true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer

from lfi.data.imageset import ImageSet
from lfi.errors import DataError
from lfi.images import normalise
from lfi.teachers.content import Tokenizer
from lfi.teachers.words import WordTokenizer
from lfi.training.caption_sentences import CaptionSentences, vocabulary_of
from lfi.training.sentences import answer_ids, judged, portion, tokenizer_of, trimmed

CONTEXT = 12
CAPTIONS = (
    "A black dog on the left of a sofa",
    "two cats; a red ball!",
    "a dog and a red car",
    "sky",
    "the of and",
    "",
)


def captioned(**others: object) -> ImageSet:
    count = len(CAPTIONS)
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    given = {
        "images": images,
        "ids": tuple(map(str, range(count))),
        "classes": (),
        "labels": np.full(count, -1),
        "captions": CAPTIONS,
        "words": ((),) * count,
    }
    return ImageSet(**{**given, **others})


def sentences(images: ImageSet, tokenizer: Tokenizer | None = None, **options: object) -> CaptionSentences:
    tokenizer = tokenizer or tokenizer_of(vocabulary_of(images, "{}"), CONTEXT)
    return CaptionSentences(images, tokenizer, CONTEXT, **{"batch_size": 4, "seed": 0, **options})


def read(tokenizer: Tokenizer, ids: torch.Tensor) -> str:
    """The text that ids stand for, without start, end and padding."""
    if isinstance(tokenizer, WordTokenizer):
        return " ".join(tokenizer.vocabulary[i - 3] for i in ids.tolist() if i > 2)
    return tokenizer.decode([i for i in ids.tolist() if i not in (0, 49406, 49407)]).strip()


@pytest.fixture(params=["words", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    words = vocabulary_of(captioned(), "{}") if request.param == "words" else ()
    return tokenizer_of(words, CONTEXT)


def test_statements_are_true_of_their_own_image_or_of_nothing_in_it(tokenizer: Tokenizer) -> None:
    data = sentences(captioned(), tokenizer, statements=40)
    images = [normalise(torch.from_numpy(data.images.images[[row]]))[0] for row in range(len(CAPTIONS))]
    said = [set(caption.lower().replace(";", "").replace("!", "").split()) for caption in CAPTIONS]
    content = {"black", "dog", "sofa", "left", "two", "cats", "red", "ball", "car", "sky"}
    asked, shares = set(), []
    for step in range(20):
        batch = data.batch(step)
        for image, ids, last, truth, answers in zip(
            *(batch[name] for name in ("images", "statements", "last", "truth", "answers")), strict=True
        ):
            row = next(row for row, other in enumerate(images) if torch.equal(image, other))
            for phrase, at, true, answer in zip(ids, last, truth, answers, strict=True):
                word = read(tokenizer, phrase)
                asked.add(word)
                assert bool(true) == (word in said[row])
                assert word == read(tokenizer, phrase[at : at + 1]), "it is judged at its last token"
                assert read(tokenizer, answer[None]) == ("yes" if true else "no")
            if said[row] & content:  # of the others nothing is true
                shares.append(float(truth.mean()))
    assert asked == content
    assert 0.4 < np.mean(shares) < 0.55


def test_listed_words_are_asked_instead_of_the_captions() -> None:
    words = (("black dog", "sofa"), ("cats",), ("dog",), ("sky",), (), ())
    data = sentences(captioned(words=words), statements=30, batch_size=4)
    asked = {}
    for step in range(10):
        batch = data.batch(step)
        for ids, last, truth in zip(batch["statements"], batch["last"], batch["truth"], strict=True):
            for phrase, at, true in zip(ids, last, truth, strict=True):
                text = read(tokenizer_of(vocabulary_of(data.images, "{}"), CONTEXT), phrase)
                asked.setdefault(text, set()).add(bool(true))
                assert at == len(text.split())
    assert asked.keys() >= {"black dog", "sofa", "cats", "dog"}
    assert asked["black dog"] == asked["dog"] == {True, False}


def test_a_word_of_a_longer_phrase_is_never_said_to_be_absent() -> None:
    """An image of a `black dog` also shows a `dog`, though another image lists that word."""
    images = captioned(words=(("black dog",), ("dog",), ("dog",), ("dog",), (), ())).take([0, 1, 2, 3])
    images = replace(images, captions=("an animal",) * 4)
    data = sentences(images, statements=20)
    dog, black = data.parts.index(frozenset({"dog"})), data.parts.index(frozenset({"black", "dog"}))
    words, truth = data.statements(np.arange(4), np.random.default_rng(0))
    assert set(zip(words[0].tolist(), truth[0].tolist(), strict=True)) <= {(black, 1.0), (dog, 1.0)}
    assert (black, 0.0) in set(zip(words[1].tolist(), truth[1].tolist(), strict=True))


def test_what_another_caption_of_the_picture_says_is_never_said_to_be_absent() -> None:
    asked = sentences(captioned(pictures=("one", "one", "two", "three", "four", "five")), statements=200)
    words, truth = asked.statements(np.array([0, 1]), np.random.default_rng(0))
    denied = {word for index in words[truth == 0] for word in asked.parts[index]}
    assert denied == {"car", "sky"}  # of neither a black dog, left of a sofa, nor two cats and a red ball


def test_a_batch_depends_on_the_step_alone_and_an_epoch_shows_every_image_once() -> None:
    images = captioned().take(range(4))
    data = sentences(images, batch_size=2, statements=3, crop=0.5, flip=0.5)
    again = sentences(images, batch_size=2, statements=3, crop=0.5, flip=0.5)
    again.batch(0)
    one, other = data.batch(5), again.batch(5)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = [portion((0,), 4, 2, step).tolist() for step in (2, 3)]
    assert sorted(rows[0] + rows[1]) == [0, 1, 2, 3]


def test_images_without_a_readable_caption_are_left_out() -> None:
    tokenizer = WordTokenizer(("dog", "cats", "yes", "no"), CONTEXT)
    data = sentences(captioned(), tokenizer, batch_size=3)
    assert data.kept.tolist() == [0, 1, 2]
    texts = {read(tokenizer, torch.from_numpy(ids)) for ids in data.captions}
    assert texts == {"dog", "cats"}, "and of a caption the words that are known are read"


def test_a_caption_longer_than_the_context_is_cut(tokenizer: Tokenizer) -> None:
    long = captioned(captions=(" ".join(["dog"] * 50), *CAPTIONS[1:]))
    ids = sentences(long, tokenizer).captions[0]
    assert (ids != 0).all()
    assert read(tokenizer, torch.from_numpy(ids)) == " ".join(["dog"] * (CONTEXT - 2))


def test_left_and_right_are_never_mirrored() -> None:
    data = sentences(captioned(), batch_size=5, flip=1.0)
    images = normalise(torch.from_numpy(data.images.images))
    shown = data.batch(0)["images"]
    for row in range(5):
        expected = images[row] if row == 0 else images[row].flip(-1)
        assert any(torch.allclose(expected, image, atol=1e-5) for image in shown), row


def test_classes_are_named_in_their_prompt_and_shared_by_several_labels() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    data = sentences(
        captioned(classes=("dog", "cats", "ball"), labels=labels),
        SimpleTokenizer(context_length=CONTEXT),
        prompt="a {}",
    )
    assert [read(SimpleTokenizer(), ids) for ids in data.bank] == ["a dog", "a cats", "a ball"]
    assert data.named.tolist() == [[1, 0, 0], [0, 0.5, 0.5], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    single = sentences(captioned(classes=("dog", "cats", "ball"), labels=np.array([0, 1, 2, -1, -1, -1])))
    assert single.named.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_captions_of_stop_words_alone_make_no_statements() -> None:
    with pytest.raises(DataError, match=r"no content words.*set pretraining.statements to 0"):
        sentences(captioned(captions=("of the",) * 6), statements=2)


def test_the_vocabulary_has_frequent_words_first_and_keeps_what_must_be_said() -> None:
    images = captioned(classes=("umbrella",), labels=np.full(6, -1))
    assert vocabulary_of(images, "a {}")[:6] == ("a", "and", "dog", "of", "red", "the")
    kept = set(vocabulary_of(images, "a {}", least=2))
    assert kept == {"a", "an", "dog", "red", "of", "the", "and", "yes", "no", "umbrella"}


def test_the_end_of_a_text_is_found_where_a_byte_pair_has_the_id_of_padding() -> None:
    tokenizer = SimpleTokenizer(context_length=CONTEXT)
    ids = np.array([[49406, 320, 0, 256, 49407, 0, 0, 0], [49406, 1929, 49407, 0, 0, 0, 0, 0]])
    assert trimmed(ids).shape == (2, 6)
    batch = judged(ids[None], np.array([[1.0, 0.0]], np.float32), answer_ids(tokenizer))
    assert batch["last"].tolist() == [[3, 1]]
    assert batch["answers"].tolist() == [[1958, 871]]
    assert batch["yes_no"].tolist() == [1958, 871]
