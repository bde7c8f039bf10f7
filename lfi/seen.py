"""Which of all the words that it knows a teacher sees in a picture: for people who do not know what to ask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lfi.presence import Presence
from lfi.teachers.base import BaseTeacher
from lfi.teachers.names import NameTokenizer
from lfi.teachers.teacher import EncodedImages

_NEAR = 96
"""How many words to gather evidence for: those whose texts are nearest to the picture."""


class Sightings:
    """The words of a vocabulary that a teacher sees most.

    Args:
        words: those that people can type; where the teacher knows names, words that are not names are left out.
        presence: turns the teacher's evidence into probabilities.
    """

    def __init__(self, teacher: BaseTeacher, words: Sequence[str], presence: Presence):
        names = teacher.tokenizer.names if isinstance(teacher.tokenizer, NameTokenizer) else None
        self.teacher, self.presence = teacher, presence
        self.words = [word for word in words if names is None or names.number(word) is not None]
        self.covers: Tensor | None = None
        if names is not None:
            known = [number for word in self.words if (number := names.number(word)) is not None]
            self.covers = torch.from_numpy(names.covers[known])

    @torch.inference_mode()
    def of(self, image: EncodedImages, count: int) -> tuple[tuple[str, float], ...]:
        """At most `count` words, with the probability that each is in a picture.

        Likely words come first, the likeliest ahead; then hypernyms of other likely words (animal, where there is a
        dog); then unlikely ones.
        """
        if not self.words:
            return ()
        cosines = self.teacher.embed_texts(self.words) @ image.latent[0].float()
        near = cosines.topk(min(_NEAR, len(self.words))).indices.cpu()
        words = [self.words[index] for index in near.tolist()]
        evidence = self.teacher.evidence(image, [words])[0].cpu()
        if not self.presence.fits(evidence):
            return ()
        likely = self.presence.probability(evidence)
        group = (likely < self.presence.threshold).long() * 2
        if self.covers is not None:
            group += _above_any(self.covers[near], likely >= self.presence.threshold).long() * (group == 0)
        order = sorted(range(len(words)), key=lambda at: (int(group[at]), -float(likely[at])))
        return tuple((words[at], float(likely[at])) for at in order[:count])


def _above_any(covers: Tensor, likely: Tensor) -> Tensor:
    """Which names, bool `[name]`, cover all that a likely other one does and more; `covers` is bool `[name, leaf]`."""
    sizes = covers.sum(1)
    shared = covers.float() @ covers.float().T
    above = (shared == sizes[None]) & (sizes[:, None] > sizes[None])
    return (above & likely[None]).any(1)
