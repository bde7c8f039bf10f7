"""What a teacher reads of any images with captions: the captions, and presence statements made from their words.

Nothing but the caption (and the words that a data set lists) is known of an image. Its own words are true of it. A
word of another image is false of it unless the caption says it as well; a caption does not say everything, so some of
these are wrong, as in any data of this kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lfi.data.augment import Views
from lfi.data.imageset import ImageSet
from lfi.data.notes import Note, announce
from lfi.data.prompts import fill
from lfi.errors import DataError
from lfi.images import normalise
from lfi.teachers.content import Tokenizer, Word, align, content_words
from lfi.teachers.words import WordTokenizer
from lfi.training.sentences import ANSWERS, SHARED, answer_ids, judged, portion, reader, tensors, trimmed

_LOOKS = 20  # words of other images to try, to find one that is false of this one
_SIDES = frozenset(("left", "right"))


def vocabulary_of(images: ImageSet, prompt: str, least: int = 1) -> tuple[str, ...]:
    """Words of a tokeniser for these images, the most frequent first.

    Args:
        prompt: in which class names are read; these are kept however rare they are.
        least: how often a word occurs in captions and listed words, to be kept.
    """
    split = WordTokenizer((), 0).words
    texts = (*images.captions, *(word for row in images.words for word in row))
    counts = Counter(word for text in texts for word in split(text))
    always = {*ANSWERS, *(word for name in images.classes for word in split(fill(prompt, name)))}
    frequent = (word for word, count in counts.items() if count >= least and word not in always)
    return tuple(sorted((*always, *frequent), key=lambda word: (-counts[word], word)))


@dataclass(frozen=True, eq=False)
class ImagePhrases:
    """What is read about one image: the indices of its phrases, and every word said about its picture."""

    own: tuple[int, ...]
    said: frozenset[str]


class CaptionSentences:
    """Batches of images, captions, presence statements and class names. Batch `step` depends on `(seed, step)` alone.

    Images whose caption contains no word that the tokeniser knows are left out and reported.

    Args:
        images: with captions; `words` of an image are asked about, or the content words of its caption where it lists
            none. Labels, single or several, are class names to tell apart; there may be none.
        tokenizer: words that it does not know are left out of captions.
        context: ids of a caption; longer ones are cut.
        statements: per image; 0 for none.
        prompt: in which class names are read.
        crop: the smallest share of an image's area that is shown, 1 for whole images.
        flip: how often an image is mirrored; never where its caption says left or right.

    Raises:
        DataError: if there are fewer images with captions than a batch holds, or no words to make statements of.
    """

    shared = SHARED

    def __init__(
        self,
        images: ImageSet,
        tokenizer: Tokenizer,
        context: int,
        batch_size: int,
        seed: int,
        statements: int = 0,
        prompt: str = "{}",
        crop: float = 1.0,
        flip: float = 0.0,
    ):
        self.images, self.batch_size, self.seed, self.count = images, batch_size, seed, statements
        self.tokenizer = tokenizer
        self.crop, self.flip = crop, flip
        captions = list(map(reader(tokenizer, context), images.captions))
        self.kept = np.flatnonzero([caption != "" for caption in captions])
        wordless = tuple((images.ids[row], 1) for row, caption in enumerate(captions) if caption == "")
        if wordless:
            announce([Note("images left out, of whose caption no word can be read", wordless)], "captions")
        if len(self.kept) < batch_size:
            raise DataError(
                f"{len(self.kept)} of {len(images)} images have a caption that can be read; a batch of {batch_size} "
                "was asked for"
            )
        self.captions = tokenizer([captions[row] for row in self.kept], context).numpy()
        self.answers = answer_ids(tokenizer)
        self.bank = torch.from_numpy(bank_of(images.classes, tokenizer, prompt, context))
        self.named = _shares(images)[self.kept]
        words = [align(tokenizer, images.captions[row]) for row in self.kept]
        self.sided = np.array([any(word.text in _SIDES for word in row) for row in words])
        if statements:
            self._ask(tokenizer, context, words)

    @property
    def classes(self) -> bool:
        """Whether any image has one."""
        return bool(self.named.any())

    @property
    def steps_per_epoch(self) -> int:
        return len(self.kept) // self.batch_size

    def batch(self, step: int) -> dict[str, Tensor]:
        """Images `[b, 3, s, s]`, caption ids, statements (see `judged`), and `bank`, `named`, `open` of classes."""
        rows = portion((self.seed,), len(self.kept), self.batch_size, step)
        rng = np.random.default_rng((self.seed, 4, step))
        views = Views.draw(len(rows), rng, self.crop, flip=self.flip)
        views.flipped[torch.from_numpy(self.sided[rows])] = False
        pictures = normalise(torch.from_numpy(self.images.images[self.kept[rows]]))
        batch = {
            "images": views.images(pictures) if self.crop < 1 or self.flip else pictures,
            "captions": torch.from_numpy(trimmed(self.captions[rows])),
        }
        if self.count:
            words, truth = self.statements(rows, rng)
            batch |= judged(self.phrases[words], truth, self.answers)
        if len(self.bank):
            named = self.named[rows]
            batch |= {"bank": self.bank, **tensors(named=named, open=np.zeros(named.shape, bool))}
        return batch

    def statements(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Phrases `[n, count]` and whether they are true of the images, float32: half of them, about."""
        words = np.zeros((len(rows), self.count), np.int64)
        truth = np.zeros((len(rows), self.count), np.float32)
        for image, row in enumerate(rows):
            reading = self.readings[row]
            for place, draw in enumerate(rng.random(self.count)):
                if draw < 0.5 and reading.own:
                    word, true = reading.own[rng.integers(len(reading.own))], True
                else:
                    word, true = self._absent(reading, rng)
                words[image, place], truth[image, place] = word, true
        return words, truth

    def _absent(self, reading: ImagePhrases, rng: np.random.Generator) -> tuple[int, bool]:
        """A phrase that is not said of an image, as frequent as it is among the true ones; else one that is."""
        for look in rng.integers(len(self.said), size=_LOOKS):
            word = int(self.said[look])
            if not self.parts[word] <= reading.said:
                return word, False
        return word, True

    def _ask(self, tokenizer: Tokenizer, context: int, captions: Sequence[Sequence[Word]]) -> None:
        """What can be asked: `readings` of the images, `phrases`, their `parts`; in `said`, each as often as said."""
        at: dict[str, int] = {}
        phrases: list[tuple[int, ...]] = []
        pictures = [self.images.keys[row] for row in self.kept]
        said: dict[str, set[str]] = {picture: set() for picture in pictures}  # by all of a picture's captions
        for row, caption, picture in zip(self.kept, captions, pictures, strict=True):
            listed = self.images.words[row]
            said[picture].update(word.text for text in listed for word in align(tokenizer, text))
            said[picture].update(word.text for word in caption)
            own: dict[int, None] = {}
            for phrase in listed or [word.text for word in content_words(caption)]:
                if phrase in at or _fits(tokenizer, phrase, context):
                    own[at.setdefault(phrase, len(at))] = None
            phrases.append(tuple(own))
        known = {picture: frozenset(words) for picture, words in said.items()}
        self.readings = [ImagePhrases(own, known[picture]) for own, picture in zip(phrases, pictures, strict=True)]
        if not at:
            raise DataError("the captions hold no content words to make statements of; set pretraining.statements to 0")
        self.said = np.array([word for reading in self.readings for word in reading.own])
        self.parts = [frozenset(word.text for word in align(tokenizer, phrase)) for phrase in at]
        self.phrases = trimmed(tokenizer(list(at), context).numpy())


def _fits(tokenizer: Tokenizer, phrase: str, context: int) -> bool:
    """Whether a phrase can be asked: it holds a word, all of them known, and leaves a place for padding."""
    words = align(tokenizer, phrase)
    if not words or words[-1].position > context - 3:
        return False
    return not isinstance(tokenizer, WordTokenizer) or {word.text for word in words} <= set(tokenizer.vocabulary)


def bank_of(classes: Sequence[str], tokenizer: Tokenizer, prompt: str, context: int) -> np.ndarray:
    """Ids of all class names in the prompt, `[class, length]`.

    Raises:
        UnknownWordError: for a name with a word that the tokeniser does not know.
    """
    if not classes:
        return np.zeros((0, context), np.int64)
    return trimmed(tokenizer([fill(prompt, name) for name in classes], context).numpy())


def _shares(images: ImageSet) -> np.ndarray:
    """Shares of the classes that an image shows, float32 `[n, class]`, a sum of 1; 0 where nothing is known."""
    if images.multilabel:
        return images.labels / np.maximum(images.labels.sum(1, keepdims=True), 1)
    shares = np.zeros((len(images), len(images.classes)), np.float32)
    known = np.flatnonzero(images.labels >= 0)
    shares[known, images.labels[known]] = 1
    return shares
