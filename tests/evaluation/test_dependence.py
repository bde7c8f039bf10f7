"""What the gain depends on is drawn from figures that the records have."""

import shutil
from pathlib import Path

import pytest

from evaluation.dependence import PANELS, draw, gathered
from lfi.errors import DataError

RESULTS = Path(__file__).parents[2] / "results"


def test_every_panel_is_drawn_from_the_records(tmp_path):
    found = gathered(RESULTS)
    assert {title: [label for label, _ in rows] for title, rows in found.items()} == {
        title: [point.label for point in points] for title, points in PANELS.items()
    }
    assert all(each["unit"].startswith("points") for rows in found.values() for _, each in rows)
    draw(found, tmp_path / "dependence.svg")
    drawn = (tmp_path / "dependence.svg").read_text()
    assert all(label in drawn for rows in found.values() for label, _ in rows)


def test_a_record_that_is_missing_or_lacks_a_figure_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*scenes\.json"):
        gathered(tmp_path)
    shutil.copy(RESULTS / "training.json", tmp_path / "scenes.json")
    with pytest.raises(DataError, match="has no figure 'LFI minus best result-oriented"):
        gathered(tmp_path)
