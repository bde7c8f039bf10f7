"""A question about an image, and what the models of a trio answer: the types that `lfi.trio` takes and returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lfi.answerers import Address, Answer, Encoded
from lfi.maps import InteractionMaps
from lfi.presence import Presence, absence

MODELS = ("teacher", "lfi", "baseline")


def model_of(answer: str) -> str:
    """Which model gives an answer: one of `MODELS`, or a peer."""
    return answer.partition(":")[0]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the models of a trio say about one image.

    Attributes:
        words: as asked, trimmed.
        maps: for each of the answers asked, a batch of one; the query axis holds the words (or words and heads).
        default_layer: for each, the layer that localised best on validation data, as an index into its maps.
        queries: LFI's Interaction Queries themselves `[1, layer, query, height, width]`, if LFI was asked.
        addressed: per word the query that LFI shows for it.
        named: per query the phrase nearest to its name, and how near.
        seconds: time each took.
        presence: per answer how likely each word is in the image at all, where that was calibrated.
        absent: per answer which words fall below its threshold.
    """

    words: tuple[str, ...]
    maps: dict[str, InteractionMaps]
    default_layer: dict[str, int]
    queries: InteractionMaps | None
    addressed: tuple[Address, ...]
    named: tuple[tuple[str, float], ...]
    seconds: dict[str, float]
    presence: dict[str, tuple[float, ...]] = field(default_factory=dict)
    absent: dict[str, tuple[bool, ...]] = field(default_factory=dict)

    def absence(self, answer: str, word: int) -> str:
        """`finds no dog here (p = .03)` where this answer says so of the word at this place; else empty."""
        absent = answer in self.absent and self.absent[answer][word]
        return absence(self.words[word], self.presence[answer][word]) if absent else ""

    def finding(self, word: int, answers: Sequence[str] = ()) -> list[str]:
        """Those of `answers` (all by default) whose maps of a word set its colour scale: they do not say that it is
        absent. All of them, if all do.

        A map of what a model does not find is drawn faint; its peak would darken the maps that matter.
        """
        asked = list(answers or self.maps)
        return [answer for answer in asked if not self.absence(answer, word)] or asked

    def found(self, answers: Sequence[str] = ()) -> dict[str, list[int]]:
        """By answer (all by default) the words whose maps set a scale that all words share: those that it does not say
        are absent. Every word, if no answer finds any."""
        asked, words = list(answers or self.maps), range(len(self.words))
        found = {answer: [word for word in words if not self.absence(answer, word)] for answer in asked}
        return found if any(found.values()) else {answer: list(words) for answer in asked}

    def absences(self) -> Iterator[tuple[str, str, str]]:
        """Answer, word and sentence of every word that an answer says is absent."""
        for index, word in enumerate(self.words):
            for answer in self.maps:
                if sentence := self.absence(answer, index):
                    yield answer, word, sentence


@dataclass(frozen=True)
class Question:
    """What to ask about one image; `Trio.question` checks it.

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
    """One image after a single pass through every model; each word then costs little more.

    Attributes:
        images: what each model encoded, by its name.
        seconds: time each model took for the image.
    """

    images: dict[str, Encoded]
    seconds: dict[str, float]

    @property
    def bytes(self) -> int:
        """Approximate memory use."""
        return sum(image.bytes for image in self.images.values())


def assemble(
    question: Question,
    answers: Mapping[str, Answer],
    seconds: Mapping[str, float],
    default_layer: Mapping[str, int],
    presence: Mapping[str, Presence],
) -> Comparison:
    """What was answered, in the order asked, with the layers that the question keeps.

    Args:
        answers, seconds: of each of the question's models.
        default_layer: of each answer, as an index into all its layers; where the question drops it, the last one that
            it keeps is shown first.
        presence: calibrations of the models that have one.
    """
    layers = question.layers

    def kept(maps: InteractionMaps) -> InteractionMaps:
        return (maps if layers is None else maps.select(layers=layers)).cpu()

    likely, absent = {}, {}
    for name in question.models:
        calibrated, evidence = presence.get(model_of(name)), answers[name].evidence
        if calibrated is not None and evidence is not None and calibrated.fits(evidence):
            found = calibrated.probability(evidence)
            likely[name], absent[name] = tuple(found.tolist()), tuple((found < calibrated.threshold).tolist())
    queried = next((each for each in answers.values() if each.queries is not None), None)
    return Comparison(
        words=question.words,
        maps={name: kept(answers[name].maps) for name in question.models},
        default_layer={name: _place(default_layer[name], layers) for name in question.models},
        queries=None if queried is None or queried.queries is None else kept(queried.queries),
        addressed=() if queried is None else queried.addressed,
        named=() if queried is None else queried.named,
        seconds={name: seconds[name] for name in question.models},
        presence=likely,
        absent=absent,
    )


def _place(layer: int, kept: Sequence[int] | None) -> int:
    """Where a layer is among those kept; the last of them if it was dropped."""
    if kept is None:
        return layer
    return list(kept).index(layer) if layer in kept else len(kept) - 1
