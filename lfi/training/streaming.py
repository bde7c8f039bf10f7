"""Views of samples that are read while training: for WebDataset shards that do not fit one machine.

A batch is a function of the step, as `feeding.Data` wants it: the stream's order is that of `(data.seed, epoch)`, and
where another step is asked for than the next one (after a crash), the stream passes over what was given before. Whole
shards are dealt out to processes and their workers, so the order also depends on how many there are of either.

Nothing is known of a sample before it comes. So classes and vocabulary are those of the validation shards, words that
are not in it do not count, and the teacher is asked about every view, online.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lfi.data.augment import Views
from lfi.data.imageset import ImageSet
from lfi.data.shards import ShardStream
from lfi.errors import ConfigError, DataError
from lfi.images import normalise
from lfi.training.config import TrainConfig
from lfi.training.sources import presence_of, said
from lfi.training.targets import Questions
from lfi.training.views import check_questions, moved, resized, shown


class StreamViews:
    """Views of a stream's samples with the teacher's targets; as `TargetViews`, of which it is the counterpart.

    Args:
        questions: about the validation images, whose classes and vocabulary the stream has.
        grid: rows and columns of the student's patches.
        device: where views are made and the teacher is asked.
        size: height and width of what the student sees.

    Raises:
        ConfigError: an epoch that is shorter than a batch.
    """

    def __init__(
        self,
        questions: Questions,
        config: TrainConfig,
        grid: tuple[int, int],
        device: str | torch.device,
        size: tuple[int, int],
    ):
        self.questions, self.grid, self.device, self.size = questions, grid, device, size
        self.data, self.batch_size, self.seed = config.data, config.loop.batch_size, config.loop.seed
        self.wanted = config.objective.targets
        if self.data.length < self.batch_size:
            raise ConfigError(
                f"data.length is {self.data.length}; at least a batch of {self.batch_size} images was expected"
            )
        check_questions(questions, self.wanted)
        self._stream: ShardStream | None = None
        self._batches: Iterator[list[Any]] = iter(())
        self._next = -1

    @property
    def steps_per_epoch(self) -> int:
        return self.data.length // self.batch_size

    def batch(self, step: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """This process's share of a step's batch, with the fields of `TargetViews.batch`."""
        images = labelled_samples(self._samples(step, rank, world), self.questions.images)
        rng = np.random.default_rng((self.seed, step, rank))
        views = Views.draw(len(images), rng, self.data.crop, flip=self.data.flip)
        pictures = shown(normalise(torch.from_numpy(images.images).to(self.device)), views)
        targets: dict[str, Tensor] = {}
        if self.wanted:
            asked = self.questions.about(images).ask(np.arange(len(images)), pictures)
            targets = moved(asked, Views.whole(len(images)), self.questions.teacher.grid, self.grid)
        return {"images": resized(pictures, self.size), "labels": torch.from_numpy(images.labels), **targets}

    def _samples(self, step: int, rank: int, world: int) -> list[dict[str, Any]]:
        epoch, position = divmod(step, self.steps_per_epoch)
        if step != self._next or position == 0:
            self._batches = self._open(epoch, position, rank, world)
        self._next = step + 1
        samples = next(self._batches)
        for sample in samples:
            if isinstance(sample, DataError):
                raise sample
        return samples

    def _open(self, epoch: int, position: int, rank: int, world: int) -> Iterator[list[Any]]:
        """This process's batches of an epoch, from a position on, as `_Reported` gives them."""
        share, rest = divmod(self.batch_size, world)
        if rest:
            raise ConfigError(f"loop.batch_size is {self.batch_size}; a multiple of {world} processes was expected")
        workers = self.data.workers
        if self._stream is None:
            turns = -(-self.steps_per_epoch // max(1, workers))  # every worker gives as many whole batches
            self._stream = ShardStream(
                self.data.root,
                size=self.data.size,
                seed=self.data.seed,
                length=turns * max(1, workers) * share * world,
                limit=self.data.limit,
                rank=rank,
                world=world,
                facts=True,
            )
        self._stream.set_epoch(epoch, position * share, share)
        own = torch.Generator()  # a loader draws a seed: not from the run's generators
        return iter(DataLoader(_Reported(self._stream), share, num_workers=workers, collate_fn=list, generator=own))


class _Reported(IterableDataset):
    """The samples of a stream, and an error in the place of what it ends: a loader would wrap it in its traceback."""

    def __init__(self, stream: ShardStream):
        super().__init__()
        self.stream = stream

    def __iter__(self) -> Iterator[dict[str, Any] | DataError]:
        try:
            yield from self.stream
        except DataError as error:
            yield error


def labelled_samples(samples: list[dict[str, Any]], like: ImageSet) -> ImageSet:
    """Samples as a set with the classes of another one.

    Words are those of a sample's `json`, or its classes, or, where classes are words, the content words of its caption.

    Raises:
        DataError: a sample has no class, or one that is not among the classes.
    """
    classes, words, labels = like.classes, [], []
    for sample in samples:
        facts, label = sample["facts"], sample["label"]
        listed = tuple(facts.get("words", ()))
        if like.by_words:
            words.append(listed or said(sample["caption"]))
            labels.append(presence_of(words[-1], classes))
            continue
        present = facts.get("labels", (label,)) if like.multilabel else (label,)
        if any(not 0 <= each < len(classes) for each in present):
            found = f"the class {max(present)}" if max(present) >= 0 else "no class"
            raise DataError(f"{sample['key']} has {found}; 0 to {len(classes) - 1} were expected")
        words.append(listed or tuple(classes[each] for each in present))
        several = np.isin(np.arange(len(classes)), present).astype(np.float32)
        labels.append(several if like.multilabel else np.array(label, np.int64))
    return ImageSet(
        images=np.stack([sample["image"] for sample in samples]),
        ids=tuple(map(str, range(len(samples)))),  # a small stream may give a sample twice in a batch
        classes=classes,
        labels=np.stack(labels),
        captions=tuple(sample["caption"] for sample in samples),
        words=tuple(words),
    )
