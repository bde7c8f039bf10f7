"""A third-party model as an answerer, seen through one of its explanations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from lfi.answerers.answerer import Answer
from lfi.answerers.explained import StudentImage
from lfi.errors import UnknownWordError
from lfi.peers import Peer
from lfi.students.explanations import WORDLESS


class PeerAnswerer:
    """A peer, explained. It scores words itself: in its own text space, or by its classes.

    Args:
        name: what callers request: the peer's name, or its name and the explanation.
        explanation: one of the peer's.
        label: `name@fingerprint` of its maps.
    """

    judges = False

    def __init__(self, name: str, peer: Peer, explanation: str, label: str = "peer"):
        self.name, self.peer, self.explanation, self.label = name, peer, explanation, label
        self.layers, self.image_size = peer.layers(explanation), peer.image_size

    def check(self, words: Sequence[str], heads: bool = False) -> None:
        """As `Answerer.check`; any words will do where the explanation does not depend on them."""
        if self.explanation in WORDLESS:
            return
        try:
            self.peer.check(words)
        except UnknownWordError as error:
            raise UnknownWordError(error.nearest, peer=self.name.partition(":")[0]) from None

    def preprocess(self, pictures: Sequence[Image.Image]) -> Tensor:
        """As `Answerer.preprocess`."""
        return self.peer.preprocess(pictures)

    def encode(self, pixels: Tensor) -> list[StudentImage]:
        """The pixels: every explanation runs the peer for the words."""
        return [StudentImage(each) for each in pixels.to(self.peer.device).split(1)]

    @torch.no_grad()
    def answer(
        self, images: Sequence[StudentImage], words: Sequence[Sequence[str]], heads: bool = False
    ) -> list[Answer]:
        """One picture at a time."""
        return [
            Answer(self.peer.explain(self.explanation, image.pixels, own, heads=heads, model=self.label))
            for image, own in zip(images, words, strict=True)
        ]
