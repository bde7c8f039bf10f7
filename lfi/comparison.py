"""A question about an image, and what the models of a trio say: the words in which `lfi.trio` is asked and answers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lfi.maps import InteractionMaps
from lfi.students.relevance import Trace
from lfi.teachers import EncodedImages

MODELS = ("teacher", "lfi", "baseline")


def model_of(answer: str) -> str:
    """Which model gives an answer: one of `MODELS`, or a peer."""
    return answer.partition(":")[0]


@dataclass(frozen=True)
class Address:
    """Which Interaction Query stands for a word, and how near its name is (cosine, at most 1)."""

    word: str
    query: int
    nearness: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the models of a trio say of one image.

    Attributes:
        words: as asked, trimmed.
        maps: for each of the answers asked, a batch of one; the query axis holds the words (or words and heads).
        default_layer: for each, the layer that localised best on validation data, as an index into its maps.
        queries: LFI's Interaction Queries themselves `[1, layer, query, height, width]`, if LFI was asked.
        addressed: per word the query that LFI shows for it.
        named: per query the phrase nearest to its name, and how near.
        seconds: time each took.
    """

    words: tuple[str, ...]
    maps: dict[str, InteractionMaps]
    default_layer: dict[str, int]
    queries: InteractionMaps | None
    addressed: tuple[Address, ...]
    named: tuple[tuple[str, float], ...]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Question:
    """What is wanted of one image; `Trio.question` checks it.

    Attributes:
        words: words or short phrases.
        models: which of the trio's answers (`Trio.layers`) to ask for.
        layers: indices of the layers to keep, for every model asked; all when None.
        heads: one map per head and word instead of the mean over heads.
    """

    words: tuple[str, ...]
    models: tuple[str, ...] = MODELS
    layers: tuple[int, ...] | None = None
    heads: bool = False


@dataclass(frozen=True, eq=False)
class EncodedTrio:
    """One image, run once through the three models; words cost little on top.

    Attributes:
        teacher: the teacher's cached image.
        attended: what the LFI queries attend to per layer and head, `[1, layer, head, query, patch]`.
        names: its queries' names in the teacher's text space, unit norm, `[query, text_dim]`.
        pixels: the image as each student and each peer reads it.
        trace: the baseline's forward pass over the images it was encoded with, and which of them it is; None where its
            explanation runs the baseline for the words.
        seconds: time each model took for the image.
    """

    teacher: EncodedImages
    attended: Tensor
    names: Tensor
    pixels: dict[str, Tensor]
    trace: tuple[Trace, int] | None
    seconds: dict[str, float]

    @property
    def bytes(self) -> int:
        """Memory that it holds, about."""
        held = [self.attended, self.names, *self.pixels.values()]
        traced = 0 if self.trace is None else self.trace[0].bytes // len(self.trace[0])
        return traced + self.teacher.bytes + sum(tensor.nbytes for tensor in held)
