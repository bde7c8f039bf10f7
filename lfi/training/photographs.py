"""What the teacher for photographs reads: single photographs, canvases of several, and generated scenes.

The class of a photograph is all that is known of it. So the words that stand for something are the class names and the
plain words people have for them (`groups.py`); captions name what an image shows in reading order, and presence
statements ask for words that are there and words that are not, some of the latter from the same group (another cat).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lfi.data.augment import Views
from lfi.data.canvases import MOST, compose
from lfi.data.imageset import ImageSet
from lfi.data.prompts import article
from lfi.data.scenes import SceneBatch, phrase_of
from lfi.images import normalise
from lfi.teachers.words import PAD, WordTokenizer
from lfi.training.groups import GROUPS
from lfi.training.scene_sentences import PHRASE, VOCABULARY, SceneSentences
from lfi.training.sentences import CONTEXT, SHARED, answer_ids, judged, portion, tensors, trimmed

_STYLES = ("art painting",)


class Names:
    """Every name that photographs of some classes can be called by, and what is known of it.

    Attributes:
        words: the classes, then the groups that are no class themselves.
        true: bool `[word, class]`: the word is true of an image of the class.
        open: bool `[word, class]`: it may be, nobody said (any breed, of a drawing of a dog).
        near: bool `[word, class]`: it is false, but true of a class with which this one shares a group.
    """

    def __init__(self, classes: Sequence[str]):
        groups = {group: [name for name in members if name in classes] for group, members in GROUPS.items()}
        groups = {group: members for group, members in groups.items() if members}
        self.classes = tuple(classes)
        self.words = (*classes, *(group for group in groups if group not in classes))
        at = {word: index for index, word in enumerate(self.words)}
        self.true = np.zeros((len(self.words), len(classes)), bool)
        self.true[np.arange(len(classes)), np.arange(len(classes))] = True
        self.open = np.zeros_like(self.true)
        together = np.zeros((len(classes), len(classes)), bool)  # of one group
        for group, members in groups.items():
            inside = [at[name] for name in members]
            self.true[at[group], inside] = True
            together[np.ix_(inside, inside)] = True
            if group in classes:
                self.open[inside, at[group]] = True
        # words true of some class that shares a group with this class: what it is mistaken for
        self.near = (self.true @ together > 0) & ~self.true & ~self.open

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words of a tokenizer that reads them, captions and generated scenes."""
        split = WordTokenizer((), CONTEXT).words
        own = [word for name in (*self.words, *_STYLES) for word in split(name)]
        return tuple(dict.fromkeys((*VOCABULARY, "an", "and", *own)))


class PhotoSentences:
    """Batches for `TeacherTask`. Batch `step` depends on `(seed, step)` alone.

    Args:
        parts: sets of single-label photographs of one size; their classes are joined by name.
        scenes: generated scenes, mixed in so that colours and shapes are words, too.
        shares: photographs of every part, canvases and scenes in a batch.
    """

    shared = SHARED

    def __init__(
        self,
        parts: Sequence[ImageSet],
        scenes: SceneBatch,
        names: Names,
        shares: tuple[int, ...],
        seed: int,
        statements: int = 6,
        crop: float = 0.5,
    ):
        at = {name: index for index, name in enumerate(names.classes)}
        self.labels = np.concatenate([np.array([at[name] for name in part.classes])[part.labels] for part in parts])
        self.styles = [style for part in parts for style in (part.domains or ("photo",) * len(part))]
        self.images = np.concatenate([part.images for part in parts])
        sizes = [len(part) for part in parts]
        self.spans = list(zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True))
        self.names, self.shares, self.seed, self.count, self.crop = names, shares, seed, statements, crop
        self.tokenizer = WordTokenizer(names.vocabulary, CONTEXT)
        self.phrases = np.stack([self._ids(word, PHRASE + 3) for word in names.words])
        self.bank = torch.from_numpy(self.phrases[: len(names.classes)])
        self.answers = answer_ids(self.tokenizer)
        self.scenes = SceneSentences(scenes, shares[-1], seed, statements, self.tokenizer) if shares[-1] else None

    @property
    def steps_per_epoch(self) -> int:
        """An epoch is once through the first part."""
        return self.spans[0][1] // self.shares[0]

    def _ids(self, text: str, length: int) -> np.ndarray:
        ids = self.tokenizer.encode(text)
        return np.array(ids + [PAD] * (length - len(ids)))

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step, as `SceneSentences.batch`, with `bank`, `named` and `open`."""
        rng = np.random.default_rng((self.seed, 3, step))
        singles = [self._rows(part, step) for part in range(len(self.spans))]
        alone = np.concatenate(singles)
        mixed = rng.integers(len(self.images), size=(self.shares[-2], MOST))
        views = Views.draw(len(alone), rng, self.crop)
        pictures = [views.images(normalise(torch.from_numpy(self.images[alone])))]
        rows = np.full((len(alone), MOST), -1)
        rows[:, 0] = alone
        if len(mixed):
            canvases = compose(self.images, mixed, rng)
            pictures.append(normalise(torch.from_numpy(canvases.images)))
            rows = np.concatenate([rows, canvases.rows])
        captions = [self.caption(row, rng) for row in rows]
        words, truth = self.statements(rows, rng)
        phrases = self.phrases[words]
        named, unsaid = self.targets(rows)
        if self.scenes:
            drawn = self.scenes.batch(step)
            pictures.append(drawn["images"])
            captions += [self.drawn_caption(row) for row in self.scenes.rows(step)]
            phrases = np.concatenate([phrases, drawn["statements"].numpy()])
            truth = np.concatenate([truth, drawn["truth"].numpy()])
            nothing = np.zeros((len(drawn["images"]), named.shape[1]))
            named, unsaid = np.concatenate([named, nothing]), np.concatenate([unsaid, nothing.astype(bool)])
        return {
            "images": torch.cat(pictures),
            "captions": torch.from_numpy(trimmed(self.tokenizer(captions).numpy())),
            "bank": self.bank,
            **judged(phrases, truth, self.answers),
            **tensors(named=named.astype(np.float32), open=unsaid),
        }

    def drawn_caption(self, row: int) -> str:
        """A scene in short: style, colours and shapes in reading order."""
        assert self.scenes is not None
        drawn = self.scenes.scenes
        said = [phrase_of(thing, (False, False, True, True)) for thing in drawn.attributes[row] if thing[3] >= 0]
        return f"a {drawn.domains[row]} of {' and '.join('a ' + name for name in said)}"

    def _rows(self, part: int, step: int) -> np.ndarray:
        """This step's photographs of a part: its own shuffled epochs, one after the other."""
        (start, size), share = self.spans[part], self.shares[part]
        if not share:
            return np.zeros(0, np.int64)
        return start + portion((self.seed, part), size, share, step)

    def caption(self, rows: np.ndarray, rng: np.random.Generator) -> str:
        """`a sketch of a dog and an orange`: classes in reading order, a quarter by a plain word if there is one."""
        said = []
        for row in rows[rows >= 0]:
            label = self.labels[row]
            plain = np.setdiff1d(np.flatnonzero(self.names.true[:, label]), label)
            name = self.names.words[rng.choice(plain) if len(plain) and rng.random() < 0.25 else label]
            said.append(f"{article(name)} {name}")
        styles = {self.styles[row] for row in rows[rows >= 0]}
        style = styles.pop() if len(styles) == 1 else "photo"
        return f"{article(style)} {style} of {' and '.join(said)}"

    def targets(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the classes that an image shows, `[n, class]`, and which others it might show as well."""
        count = len(self.names.classes)
        named, unsaid = np.zeros((len(rows), count), np.float32), np.zeros((len(rows), count), bool)
        for image, row in enumerate(rows):
            labels = self.labels[row[row >= 0]]
            true = (self.names.true | self.names.open)[:count, labels].any(1)
            named[image, labels] = 1 / len(set(labels))
            unsaid[image] = true & (named[image] == 0)
        return named, unsaid

    def statements(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Words `[n, count]` and whether they are true of the image, float32."""
        names = self.names
        words, truth = np.zeros((len(rows), self.count), np.int64), np.zeros((len(rows), self.count), np.float32)
        for image, row in enumerate(rows):
            labels = self.labels[row[row >= 0]]
            true, unsaid = names.true[:, labels].any(1), names.open[:, labels].any(1)
            there, near = np.flatnonzero(true), np.flatnonzero(names.near[:, labels].any(1) & ~true & ~unsaid)
            absent = np.flatnonzero(~true & ~unsaid)
            for place, draw in enumerate(rng.random(self.count)):
                pool = there if draw < 0.5 else near if draw < 0.7 and len(near) else absent
                words[image, place] = pool[rng.integers(len(pool))]
                truth[image, place] = float(draw < 0.5)
        return words, truth
