"""The colour scale is set by the models that find a word: a map of what is not there does not darken the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from app.engine.downloads import comparison_scale
from app.ui.depths import film_scales, positions
from lfi.comparison import Comparison
from lfi.maps import InteractionMaps
from lfi.rendering import Scale, figure


def maps(*peaks: float) -> InteractionMaps:
    """One map of four patches a word, with this share at its first patch."""
    rows = [[peak, *[(1 - peak) / 3] * 3] for peak in peaks]
    words = [f"word {number}" for number in range(len(peaks))]
    scores = torch.tensor(rows)[None, None]
    return InteractionMaps.from_scores(
        scores, grid=(2, 2), queries=[words], layers=["last"], kind="gradient", model="m@0"
    )


def comparison(**absent: tuple[bool, bool]) -> Comparison:
    found = {"teacher": maps(0.6, 0.6), "lfi": maps(0.7, 0.7), "baseline": maps(0.9, 0.9)}
    return Comparison(
        words=("word 0", "word 1"),
        maps=found,
        queries=None,
        addressed=(),
        named=(),
        seconds={},
        default_layer=dict.fromkeys(found, 0),
        presence={model: tuple(0.1 if each else 0.9 for each in words) for model, words in absent.items()},
        absent=dict(absent),
    )


def scales(shown: Comparison) -> dict[str, Scale | None]:
    return {"of the figure": None, "of the page": comparison_scale(shown)}


COLUMNS = ("teacher", "lfi", "baseline")


def tops(shown: Comparison) -> list[float]:
    (first, *_) = positions(shown, COLUMNS)
    films = [scale.high for scale in film_scales(shown, COLUMNS)]
    assert films == [scale.high for scale in first.word_scales]
    assert comparison_scale(shown) == first.scale  # of files and answers, as on the page
    return [first.scale.high, *films]


def test_a_model_that_finds_nothing_does_not_set_the_scale_of_that_word():
    assert tops(comparison(baseline=(True, False))) == pytest.approx([3.6, 2.8, 3.6])
    assert tops(comparison(baseline=(True, True))) == pytest.approx([2.8, 2.8, 2.8])


def test_a_word_that_nobody_finds_does_not_set_the_scale_of_all_words():
    nobody = comparison(teacher=(True, False), lfi=(True, False), baseline=(True, True))
    assert tops(nobody) == pytest.approx([2.8, 3.6, 2.8])
    photo = Image.new("RGB", (40, 30))
    drawn = {name: figure(nobody, photo, format="svg", scale=scale) for name, scale in scales(nobody).items()}
    assert drawn["of the figure"] == drawn["of the page"]


def test_without_judgement_or_where_nobody_finds_it_all_count():
    assert tops(comparison()) == pytest.approx([3.6, 3.6, 3.6])
    nobody = dict.fromkeys(COLUMNS, (True, True))
    assert tops(comparison(**nobody)) == pytest.approx([3.6, 3.6, 3.6])


def test_heads_of_a_word_that_is_not_there_do_not_set_the_scale_either():
    heads = maps(0.6, 0.6, 0.9, 0.9)
    shown = replace(comparison(baseline=(False, True)), maps={"teacher": maps(0.5, 0.5, 0.5, 0.5), "baseline": heads})
    assert comparison_scale(shown).high == pytest.approx(2.4)
