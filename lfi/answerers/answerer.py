"""The contract: images become pixels, pixels are encoded once, and words are answered with maps.

An image always takes the same path, `preprocess`, `encode`, `answer`, whether its map is shown or measured: what is
measured is what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from PIL import Image
from torch import Tensor

from lfi.maps import InteractionMaps


@dataclass(frozen=True)
class Address:
    """Which Interaction Query stands for a word, and how near its name is (cosine, at most 1)."""

    word: str
    query: int
    nearness: float


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer for one image. Whatever an answerer knows about words besides their maps has a field of its own.

    Attributes:
        maps: a batch of one; the query axis holds the words, or words and heads (`star · head 1`).
        queries: the Interaction Queries themselves `[1, layer, query, height, width]`, of a model that has them.
        addressed: per word the query that is shown for it.
        named: per query the phrase nearest to its name, and how near (cosine).
        evidence: of each word's presence in the picture, float32 `[word, feature]`, of answerers that have any;
            `lfi.presence` makes a probability of it.
    """

    maps: InteractionMaps
    queries: InteractionMaps | None = None
    addressed: tuple[Address, ...] = ()
    named: tuple[tuple[str, float], ...] = ()
    evidence: Tensor | None = None


class Encoded(Protocol):
    """One image after its single pass through a model; each word then costs little more."""

    @property
    def bytes(self) -> int:
        """Approximate memory use."""


E = TypeVar("E", bound=Encoded)


class Answerer(Protocol[E]):
    """Something that can say where a word is.

    Answerers whose names begin with the same model (`baseline`, `baseline:rollout`) read what any of them encoded.

    Attributes:
        name: what callers request: a model, or a model and one of its explanations.
        layers: names of the layers of its maps.
        image_size: height and width in pixels that `preprocess` squashes pictures to.
        judges: whether answers include `evidence`, which costs a little.
    """

    name: str
    layers: tuple[str, ...]
    image_size: tuple[int, int]
    judges: bool

    def check(self, words: Sequence[str], heads: bool = False) -> None:
        """Refuse what `answer` could not answer.

        Raises:
            UnknownWordError: words that it does not know; names the nearest.
            WordsError: a text without a word, or one that is too long.
            ConfigError: single heads, where it has none to show.
        """

    def preprocess(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Pictures as the model reads them, float32 `[batch, 3, height, width]`; nothing is cropped."""

    def encode(self, pixels: Tensor) -> Sequence[E]:
        """Run the model once over pixels from `preprocess`; one value per picture."""

    def answer(self, images: Sequence[E], words: Sequence[Sequence[str]], heads: bool = False) -> list[Answer]:
        """Where each picture's own words are in it.

        Args:
            images: from any calls of `encode`.
            words: at least one per picture; already checked.
            heads: one map per head and word instead of the mean over heads, where it has heads.
        """


def ask(
    answerer: Answerer[Any], pictures: Sequence[Image.Image], words: Sequence[Sequence[str]], heads: bool = False
) -> list[InteractionMaps]:
    """Each picture's maps of its own words, a batch of one each. Arguments are those of `Answerer.answer`."""
    images = answerer.encode(answerer.preprocess(pictures))
    return [each.maps for each in answerer.answer(images, words, heads)]
