"""Scores of an image's maps: where they look, and how far they agree with the teacher's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.scores import REGIONS, columns, row, score
from lfi.answerers import Address
from lfi.comparison import MODELS, Comparison
from lfi.maps import InteractionMaps
from lfi.trio import Trio


def maps(*weights: torch.Tensor) -> InteractionMaps:
    stacked = torch.stack([each / each.sum() for each in weights]).float()
    return InteractionMaps.from_scores(
        stacked.flatten(1)[None, None],
        grid=tuple(weights[0].shape),
        queries=[["one", "two"][: len(weights)]],
        layers=["only"],
        kind="cross-attention",
        model="drawn@0",
    )


def spot(row: int, column: int, side: int = 6) -> torch.Tensor:
    drawn = torch.zeros(side, side)
    drawn[row, column] = 1
    return drawn


def comparison(**by_model: InteractionMaps) -> Comparison:
    words = next(iter(by_model.values())).queries[0]
    addressed = tuple(Address(word, 2, 0.5) for word in words) if "lfi" in by_model else ()
    return Comparison(words, by_model, dict.fromkeys(by_model, 0), None, addressed, (), {})


def test_a_spot_is_found_where_it_is():
    (found,) = score(comparison(lfi=maps(spot(5, 0))))
    look = found.looks["lfi"]
    assert (look.peak, look.at, look.densest) == (pytest.approx(36), (0.5 / 6, 5.5 / 6), pytest.approx(1))
    assert look.regions == pytest.approx(dict.fromkeys(REGIONS, 0) | {"bottom left": 1})


def test_even_attention_has_a_ninth_in_every_region_on_any_grid():
    for side in (4, 7, 8):
        (found,) = score(comparison(teacher=maps(torch.ones(side, side))))
        assert found.looks["teacher"].regions == pytest.approx(dict.fromkeys(REGIONS, 1 / 9))
        assert found.looks["teacher"].peak == pytest.approx(1)


def test_equal_maps_agree_and_apart_they_do_not():
    found = score(
        comparison(
            teacher=maps(spot(0, 0), spot(0, 0)),
            lfi=maps(spot(0, 0), spot(3, 3)),
            baseline=maps(spot(0, 0, 12), torch.ones(12, 12)),
        )
    )
    assert found[0].agreement["lfi"] == pytest.approx({"shared mass": 1, "correlation": 1})
    assert found[0].agreement["baseline"]["shared mass"] == pytest.approx(1)  # on the coarser grid
    assert found[1].agreement["lfi"]["shared mass"] == 0
    assert row(found[1])["baseline teacher correlation"] is None  # even maps correlate with nothing


def test_a_row_fills_the_columns_of_its_models_and_no_others(trio_folder):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))
    trio = Trio.load(trio_folder)
    for models in (MODELS, ("lfi",), ("teacher", "baseline")):
        rows = [row(each) for each in score(trio.compare(image, ["star", "red circle"], models=models))]
        assert [each["word"] for each in rows] == ["star", "red circle"]
        assert [tuple(sorted(each)) for each in rows] == [tuple(sorted(columns(models)))] * 2
        assert all((each["query"] in (1, 2, 3, 4)) == ("lfi" in models) for each in rows)


def test_maps_of_heads_have_no_scores(trio_folder):
    trio = Trio.load(trio_folder)
    with pytest.raises(ValueError, match="without heads"):
        score(trio.compare(Image.new("RGB", (32, 32)), ["star"], heads=True))
