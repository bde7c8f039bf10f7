"""Batches for `EvidenceTask`: features of images with the names that are true of them. A function of `(seed, step)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lfi.data.prompts import article
from lfi.teachers.names import NameTokenizer
from lfi.teachers.words import PAD
from lfi.training.photographs.bank import Part, Truth
from lfi.training.photographs.guides import visible
from lfi.training.photographs.trunk import Stages
from lfi.training.sentences import portion

NAMES = 400
"""Names that a step asks about: those true of its images, then drawn ones."""
LENGTH, CAPTION, CAPTIONED = 5, 24, 32


@dataclass(frozen=True, eq=False)
class PartFeatures:
    """A part with what the tower and its explanation say of it.

    Attributes:
        fifth, sixth: float16 features, `[n, 14, 14, 120]` and `[n, 7, 7, 208]`.
        chances: float16 `[n, 1000]`, 0 where nobody asked.
        guides: float16 `[n, guide, cell]`, 0 where there is none.
    """

    part: Part
    fifth: Sequence[np.ndarray]
    sixth: Sequence[np.ndarray]
    chances: np.ndarray
    guides: np.ndarray


class NamedImages:
    """Batches of some parts.

    Args:
        parts: what is trained on; shares: images of each in a batch.
        stages: of the tower: what follows its sixth stage is computed here.
        truth: what is true of what.
    """

    shared = frozenset({"names"})

    def __init__(
        self,
        parts: Mapping[str, PartFeatures],
        shares: Mapping[str, int],
        stages: Stages,
        tokenizer: NameTokenizer,
        truth: Truth,
        steps: int,
        seed: int = 0,
    ):
        self.parts, self.shares, self.stages, self.truth = parts, shares, stages, truth
        self.tokenizer, self.steps_per_epoch, self.seed = tokenizer, steps, seed
        names = tokenizer.names
        self.ids = np.full((len(names.names), LENGTH), PAD)
        for number, name in enumerate(names.names):
            self.ids[number, :3] = tokenizer.encode(name)
        sizes = names.covers.sum(1)
        # a true name is drawn about as often whether it covers one leaf or a hundred
        self.weight = 1 / np.sqrt(sizes)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        rng = np.random.default_rng((self.seed, 5, step))
        fifth, sixth, labels, chances, guides, regions = [], [], [], [], [], []
        for name, share in self.shares.items():
            learnt = self.parts[name]
            rows = np.sort(portion((self.seed, len(name)), len(learnt.part), share, step))
            fifth.append(gathered(learnt.fifth, rows))
            sixth.append(gathered(learnt.sixth, rows))
            labels.append(learnt.part.labels[rows])
            regions.append(learnt.part.regions[rows])
            chances.append(learnt.chances[rows])
            guides.append(learnt.guides[rows])
        own, there = np.concatenate(labels), np.concatenate(regions)
        truth = self.truth.of(own, np.concatenate(chances).astype(np.float32))
        guide, guided = self.guided(np.concatenate(guides).astype(np.float32), own, there, rng)
        asked = self.names(truth, own, guided, rng)
        place = np.full(len(self.ids), -1)
        place[asked] = np.arange(len(asked))
        features = torch.from_numpy(np.concatenate(sixth)).float().permute(0, 3, 1, 2)
        features = features.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            seventh, last = self.stages.last(features)
        return {
            "fifth": torch.from_numpy(np.concatenate(fifth)).float().permute(0, 3, 1, 2),
            "seventh": seventh,
            "last": last,
            "names": torch.from_numpy(self.ids[asked]),
            "truth": torch.from_numpy(truth[:, asked]),
            "guides": torch.from_numpy(guide),
            "guided": torch.from_numpy(np.where(guided >= 0, place[guided], -1)),
            "captions": self.captions(own[:CAPTIONED], rng),
        }

    def guided(
        self, guides: np.ndarray, labels: np.ndarray, regions: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Maps to follow, and for each the name it is followed by: the photograph's own, or one above it.

        Where no explanation was computed, a photograph on a canvas has its region instead.
        """
        count = guides.shape[1]
        shares = visible(regions)[:, :count]
        alone = (labels >= 0).sum(1) == 1
        given = guides.sum(-1) > 0.5
        spread = shares / shares.sum(-1, keepdims=True).clip(1e-9)
        maps = np.where(given[..., None], guides, spread).astype(np.float32)
        usable = (labels[:, :count] >= 0) & (given | (~alone[:, None] & (shares.sum(-1) > 1)))
        named = np.where(usable, labels[:, :count], -1)
        for image, place in zip(*np.nonzero(usable), strict=True):
            if rng.random() < 0.4:
                above = np.flatnonzero(self.truth.above[labels[image, place]])
                others = labels[image][labels[image] >= 0]
                only = above[self.truth.above[others][:, above].sum(0) == 1]  # true of no other photograph there
                if len(only):
                    named[image, place] = rng.choice(only)
        return maps, named

    def names(self, truth: np.ndarray, labels: np.ndarray, guided: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the names that are asked about: own ones, some of those above, and drawn ones."""
        chosen = dict.fromkeys((*labels[labels >= 0].tolist(), *guided[guided >= 0].tolist()))
        true = np.flatnonzero((truth == 1).any(0))
        chance = self.weight[true] / self.weight[true].sum()
        chosen |= dict.fromkeys(rng.choice(true, min(len(true), NAMES // 4), replace=False, p=chance).tolist())
        drawn = rng.permutation(len(self.ids))
        for number in drawn:
            if len(chosen) >= NAMES:
                break
            chosen.setdefault(int(number))
        return np.array(list(chosen))

    def captions(self, labels: np.ndarray, rng: np.random.Generator) -> Tensor:
        """`a photo of a dog and an orange`, names in reading order, some of them plainer than the class."""
        texts = []
        for row in labels:
            said = []
            for label in row[row >= 0]:
                above = np.flatnonzero(self.truth.above[label])
                name = self.tokenizer.names.names[rng.choice(above) if rng.random() < 0.3 else label]
                said.append(f"{article(name)} {name}")
            texts.append(f"a photo of {' and '.join(said)}")
        return self.tokenizer(texts, CAPTION)


def gathered(chunks: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Rows of arrays that follow one another, all but the last of one length."""
    size = len(chunks[0])
    return np.stack([chunks[row // size][row % size] for row in rows])
