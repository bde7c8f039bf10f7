"""What the teacher for generated scenes reads: captions of all objects in reading order, and presence statements."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lfi.data.objects import COLOURS, SIZES, TEXTURES
from lfi.data.scenes import DOMAINS, RELATIONS, SceneBatch
from lfi.data.shapes import SHAPES
from lfi.images import normalise
from lfi.teachers.words import END, PAD, START, WordTokenizer
from lfi.training.sentences import ANSWERS, CONTEXT, SHARED, answer_ids, judged, portion

VOCABULARY = (
    *(word for word in (*SIZES, *TEXTURES) if word),
    *COLOURS,
    *SHAPES,
    *DOMAINS,
    *dict.fromkeys(word for relation in RELATIONS for word in relation.split()),
    "a",
    *ANSWERS,
)
PHRASE = 4
"""Words in the longest phrase."""
_ATTRIBUTES = (SIZES, TEXTURES, tuple(COLOURS), SHAPES)


def statements(attributes: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Presence statements about scenes, about half of them true.

    Args:
        attributes: int64 `[scene, object, 4]`, -1 where there is no object.
        count: statements per scene.

    Returns:
        Phrases, int64 `[scene, count, 4]`: attribute values, or -1 where the phrase does not mention that attribute;
        and whether they hold, float32 `[scene, count]`.
    """
    scenes = len(attributes)
    present = attributes[..., 3] >= 0
    rows = np.arange(scenes)[:, None]

    def some_object() -> np.ndarray:
        return attributes[rows, (rng.random((scenes, count)) * present.sum(1)[:, None]).astype(int)]

    phrase = some_object()
    style = rng.choice(4, (scenes, count), p=(0.3, 0.1, 0.4, 0.2))  # shape, colour, both, all that is said of it
    shown = np.stack([style == 3, style == 3, style != 0, style != 1], -1)
    shown[..., :2] &= phrase[..., :2] > 0  # size and texture have an unnamed value
    false = rng.random((scenes, count)) < 0.8  # some of these turn out true
    # a wrong attribute: another object's where that makes a hard case, else any
    part = (rng.random((scenes, count, 4)) * shown).argmax(-1)
    low = np.array([1, 1, 0, 0])[part]
    high = np.array([len(values) for values in _ATTRIBUTES])[part]
    anything = low + (rng.random((scenes, count)) * (high - low)).astype(int)
    borrowed = np.take_along_axis(some_object(), part[..., None], -1)[..., 0]
    wrong = np.where((rng.random((scenes, count)) < 0.5) & (borrowed >= low), borrowed, anything)
    swapped = phrase.copy()
    np.put_along_axis(swapped, part[..., None], wrong[..., None], -1)
    phrase = np.where(false[..., None], swapped, phrase)
    fits = (~shown[:, :, None] | (phrase[:, :, None] == attributes[:, None])).all(-1) & present[:, None]
    return np.where(shown, phrase, -1), fits.any(-1).astype(np.float32)


class SceneSentences:
    """Batches of scenes, captions and statements. Batch `step` depends on `(seed, step)` alone.

    Args:
        count: statements per scene.
        context: ids of a caption.
    """

    shared = SHARED
    classes = False

    def __init__(self, scenes: SceneBatch, batch_size: int, seed: int, count: int, context: int = CONTEXT):
        self.scenes, self.batch_size, self.seed, self.count = scenes, batch_size, seed, count
        self.tokenizer = WordTokenizer(VOCABULARY, context)
        self.captions = self.tokenizer(scenes.captions).numpy()
        self.answers = answer_ids(self.tokenizer)
        ids = {word: int(self.tokenizer.encode(word)[1]) for word in VOCABULARY}
        self.words = np.full((4, max(len(values) for values in _ATTRIBUTES)), PAD)
        for part, values in enumerate(_ATTRIBUTES):
            self.words[part, : len(values)] = [ids.get(value, PAD) for value in values]

    @property
    def steps_per_epoch(self) -> int:
        return len(self.scenes) // self.batch_size

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step: images `[b, 3, s, s]`, caption ids `[b, context]`, and statements (see `judged`)."""
        rows = self.rows(step)
        rng = np.random.default_rng((self.seed, *divmod(step, self.steps_per_epoch)))
        batch = {
            "images": normalise(torch.from_numpy(self.scenes.images[rows])),
            "captions": torch.from_numpy(self.captions[rows]),
        }
        if self.count:
            phrases, truth = statements(self.scenes.attributes[rows], self.count, rng)
            batch |= judged(self.phrase_ids(phrases), truth, self.answers)
        return batch

    def rows(self, step: int) -> np.ndarray:
        """The scenes of a step's batch."""
        return np.sort(portion((self.seed,), len(self.scenes), self.batch_size, step))

    def phrase_ids(self, phrases: np.ndarray) -> np.ndarray:
        """Ids `[..., 7]` of phrases `[..., 4]`: start, words, end, padding."""
        said = phrases >= 0
        words = self.words[np.arange(4), np.maximum(phrases, 0)]
        ids = np.full((*phrases.shape[:-1], PHRASE + 3), PAD)
        ids[..., 0] = START
        place = np.cumsum(said, -1)
        for part in range(4):
            where = np.nonzero(said[..., part])
            ids[(*where, place[..., part][where])] = words[..., part][where]
        np.put_along_axis(ids, place[..., -1:] + 1, END, -1)
        return ids
