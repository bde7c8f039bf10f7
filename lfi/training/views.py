"""Batches of augmented images with the teacher's targets moved along."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.data.augment import Views
from lfi.data.imageset import ImageSet
from lfi.images import normalise
from lfi.training.config import TrainConfig
from lfi.training.distributed import check_shares
from lfi.training.objective_config import WORD_FIELDS
from lfi.training.sources import check_names
from lfi.training.targets import Answers, InMemory, Questions

RESIDENT = 8 << 30
"""Bytes of images and targets that may live on a GPU; larger sets stay in main memory."""
_SEEN = 0.1  # of a word's map; a crop that holds less does not show the word


class TargetViews:
    """Views of a set's images with the teacher's targets. Batch `step` depends on `(seed, step)` alone.

    Crops and flips move the maps with the image; logits and latents are those of the whole image. With
    `objective.shuffle`, every image has the maps and words of another image with as many words, always the same one:
    as much structure, and the wrong structure (see `partners`). With `objective.own_words` it keeps its words and has
    the other's maps.

    Args:
        answers: of every image; None to ask the teacher about every view (`teacher.online`).
        grid: rows and columns of the student's patches.
        device: where small sets live and are augmented.
        size: height and width of what the student sees; that of the images without it.
    """

    def __init__(
        self,
        images: ImageSet,
        questions: Questions,
        answers: Answers | None,
        config: TrainConfig,
        grid: tuple[int, int],
        device: str | torch.device = "cpu",
        size: tuple[int, int] | None = None,
    ):
        self.questions, self.answers, self.grid = questions, answers, grid
        self.data, self.batch_size, self.seed = config.data, config.loop.batch_size, config.loop.seed
        self.source: Tensor | None = None
        self.own_words = config.objective.own_words
        self.wanted = config.objective.targets
        if answers is not None:
            self.wanted = tuple(name for name in self.wanted if name != "presence" or name in answers.fields)
        if config.objective.shuffle and self.wanted:
            assert answers is not None
            counts = answers.rows(torch.arange(len(answers)), ("words",))["words"].sum(1).numpy()
            self.source = torch.from_numpy(partners(counts, self.seed, images.pictures))
        check_questions(questions, self.wanted)
        self.images = torch.from_numpy(np.ascontiguousarray(images.images))
        self.labels = torch.from_numpy(images.labels)
        if torch.device(device).type == "cuda" and self.images.nbytes < RESIDENT:
            self.images, self.labels = self.images.to(device), self.labels.to(device)
            if isinstance(answers, InMemory) and sum(each.nbytes for each in answers.fields.values()) < RESIDENT:
                self.answers = answers.to(device)
        self.teacher_grid = questions.teacher.grid
        self.size: tuple[int, int] = size or (self.images.shape[1], self.images.shape[2])

    @property
    def steps_per_epoch(self) -> int:
        """The last few images of an epoch's order wait for another one."""
        return max(1, len(self.images) // self.batch_size)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """This process's rows of a step's batch: images `[b, 3, s, s]`, labels, and the fields of `Questions.ask`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.images))
        chosen = np.sort(order[position * self.batch_size : (position + 1) * self.batch_size])
        check_shares(len(chosen), world)
        rng = np.random.default_rng((self.seed, epoch, position))
        every = Views.draw(len(chosen), rng, self.data.crop, flip=self.data.flip)
        views = Views(every.boxes[rank::world], every.flipped[rank::world])
        rows = torch.from_numpy(chosen[rank::world])
        images = normalise(self.images[rows.to(self.images.device)])
        images = shown(images, views)
        batch = {"images": resized(images, self.size), "labels": self.labels[rows.to(self.labels.device)]}
        if not self.wanted:
            return batch
        if self.answers is None:
            asked = self.questions.ask(rows.numpy(), images)
            return batch | moved(asked, Views.whole(len(rows)), self.teacher_grid, self.grid)
        others = () if self.source is None else ("maps",) if self.own_words else ("maps", *WORD_FIELDS)
        found = self.answers.rows(rows, [name for name in self.wanted if name not in others])
        if self.source is not None:
            found |= self.answers.rows(self.source[rows], [name for name in self.wanted if name in others])
        return batch | moved(found, views, self.teacher_grid, self.grid)


def check_questions(questions: Questions, wanted: Sequence[str]) -> None:
    """Raises DataError where the teacher is asked about classes that have numbers for names."""
    about, maps = "words" in wanted, questions.source.maps
    chooses = about and maps == "seen"
    check_names(questions.images, words=about and maps == "statements", classes="logits" in wanted or chooses)


def moved(found: dict[str, Tensor], views: Views, source: tuple[int, int], grid: tuple[int, int]) -> dict[str, Tensor]:
    """The teacher's targets on the student's grid, as the views have them.

    Args:
        found: as from `Questions.ask`.
        source: rows and columns of the teacher's grid; grid: of the student's.
    """
    found = {name: value.float() if value.dtype == torch.float16 else value for name, value in found.items()}
    if "maps" in found:
        maps, held = views.maps(found["maps"].unflatten(-1, source), grid)
        found["maps"] = maps.flatten(-2)
        found["words"] = found["words"].to(held.device) & (held.amin(1) >= _SEEN)
    if "activations" in found:
        strong = found["activations"].unflatten(-1, source)
        total = strong.sum((-2, -1), keepdim=True)
        maps, held = views.maps(strong / total, grid)
        found["activations"] = (maps * held[..., None, None] * total).flatten(-2)
    if "attentions" in found:
        found["attentions"] = views.self_attention(found["attentions"], source, grid)
    return found


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Float images `[n, 3, h, w]` at another size, antialiased."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def shown(images: Tensor, views: Views) -> Tensor:
    """The views of float images `[n, 3, h, w]`; without crops no pixel is interpolated."""
    whole = bool((views.boxes == views.boxes.new_tensor((0, 0, 1, 1))).all())
    return flipped(images, views.flipped) if whole else views.images(images)


def flipped(images: Tensor, which: Tensor) -> Tensor:
    """Images `[n, 3, h, w]`, those of `which` mirrored left to right."""
    return torch.where(which.to(images.device)[:, None, None, None], images.flip(-1), images)


def partners(counts: np.ndarray, seed: int, pictures: Sequence[str] = ()) -> np.ndarray:
    """For every image another one with as many words: a random cycle within each group.

    One that is left with its own picture trades partners with an image of as many words or, where there is none, of
    nearly as many. (Where an image keeps its words and its partner has fewer, the maps of the rest are even.)

    Args:
        counts: words of every image, `[n]`.
        pictures: what every image shows, where several show the same.
    """
    rng = np.random.default_rng((seed, 7))
    partner = np.arange(len(counts))
    for count in np.unique(counts):
        group = rng.permutation(np.flatnonzero(counts == count))
        partner[group] = np.roll(group, 1)
    shown = np.unique(pictures, return_inverse=True)[1] if pictures else np.arange(len(counts))
    for row in np.flatnonzero(shown[partner] == shown):
        others = np.flatnonzero((shown != shown[row]) & (shown[partner] != shown[row]))
        if len(others) and shown[partner[row]] == shown[row]:
            other = others[np.abs(counts[others] - counts[row]).argmin()]
            partner[[row, other]] = partner[[other, row]]
    return partner
