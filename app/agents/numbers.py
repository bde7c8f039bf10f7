"""What an agent is told: numbers with their meaning, as it may be unable to see, and pictures for those that can."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field

from evaluation.scores import REGIONS, WordScores
from lfi.comparison import Comparison
from lfi.rendering import SHORT_TITLES, titled


class LookBody(BaseModel):
    """Where one model looks for one word."""

    peak: float = Field(description="Strongest patch, in multiples of uniform attention; 1 means no preference at all.")
    peak_at: tuple[float, float] = Field(
        description="Centre of that patch: x and y as shares of width and height, from the upper left corner."
    )
    densest_tenth: float = Field(description="Share of the attention on the tenth of patches with most; .1 is even.")
    regions: dict[str, float] = Field(description=f"Share of the attention in each ninth: {', '.join(REGIONS)}.")
    layer: str = Field(description="The layer that was read.")
    presence: float | None = Field(
        None, description="How likely the word is in the image at all; null where the model is not calibrated for it."
    )
    finding: str = Field(
        "",
        description="A note where the model says that the word is absent from the image: its map then means nothing.",
    )
    agrees_with_teacher: dict[str, float | None] | None = Field(
        None, description="How far this map agrees with the teacher's, per metric; 1 is equal."
    )


class WordBody(BaseModel):
    """One word."""

    word: str
    nearness: float | None = Field(
        description="Cosine between the word and the name of the LFI query that stands for it. Low: LFI has no query "
        "for this word, and its map means little."
    )
    models: dict[str, LookBody]


class OverlayBody(BaseModel):
    """Which picture is which."""

    model: str
    word: str


class NumbersBody(BaseModel):
    """Where the models look."""

    trio: str
    width: int
    height: int
    note: str = Field("", description="What of the image file could not be read, such as the last rows of a cut JPEG.")
    words: list[WordBody]
    overlays: list[OverlayBody] = Field(description="What the pictures of this answer show, in their order.")


def word_body(scores: WordScores, comparison: Comparison) -> WordBody:
    """The numbers of one word."""
    looks, place = {}, comparison.words.index(scores.word)
    for model, look in scores.looks.items():
        found = scores.agreement.get(model)
        agreed = None if found is None else {name: _finite(value) for name, value in found.items()}
        looks[model] = LookBody(
            peak=_short(look.peak),
            peak_at=(_short(look.at[0]), _short(look.at[1])),
            densest_tenth=_short(look.densest),
            regions={name: _short(share) for name, share in look.regions.items()},
            layer=comparison.maps[model].layers[comparison.default_layer[model]],
            presence=_short(comparison.presence[model][place]) if model in comparison.presence else None,
            finding=_found(model, comparison.absence(model, place)),
            agrees_with_teacher=agreed,
        )
    nearness = None if scores.nearness is None else _short(scores.nearness)
    return WordBody(word=scores.word, nearness=nearness, models=looks)


def _found(model: str, absence: str) -> str:
    return absence and f"{titled(model, SHORT_TITLES)} {absence}"


def _short(value: float) -> float:
    """Rounded to three digits: an agent pays for every one."""
    return float(f"{value:.3g}")


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else _short(value)
