"""Fixations in OSIE's layout, written as MATLAB writes them."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from lfi.data.gaze import read_gaze
from lfi.errors import DataError


def cells(values: list) -> np.ndarray:
    """A MATLAB cell array `1 x n`."""
    found = np.empty((1, len(values)), object)
    for number, value in enumerate(values):
        found[0, number] = value
    return found


def observer(x: list, y: list) -> dict:
    return {"fix_x": np.array(x, float), "fix_y": np.array(y, float), "fix_duration": np.full(len(x), 250.0)}


@pytest.fixture
def file(tmp_path):
    looked = [
        {"img": "1001.jpg", "subjects": cells([observer([10.5, 790.0], [20.0, 590.0]), observer([400.0], [300.0])])},
        {"img": "1002.jpg", "subjects": cells([observer([], []), observer([0.0, -3.0, 800.0], [0.0, 5.0, 5.0])])},
    ]
    savemat(tmp_path / "fixations.mat", {"fixations": cells(looked).T})
    return tmp_path / "fixations.mat"


def test_every_observers_fixations_are_read_in_their_order(file):
    one, two = read_gaze(file)
    assert (one.image, two.image) == ("1001.jpg", "1002.jpg")
    assert [each.tolist() for each in one.observers] == [[[10.5, 20, 250], [790, 590, 250]], [[400, 300, 250]]]
    assert [len(each) for each in two.observers] == [0, 3]


def test_the_layout_is_that_of_the_published_file(file):
    """Step by step as others read OSIE's `data/eye/fixations.mat`."""
    first = loadmat(file)["fixations"].flatten()[0][0, 0]
    assert first["img"][0] == "1001.jpg"
    assert first["subjects"].flatten()[0][0, 0]["fix_x"].flatten().tolist() == [10.5, 790.0]


def test_fixations_are_counted_where_they_fell(file):
    one, two = read_gaze(file)
    counts = one.counts((600, 800), 8)
    assert counts.sum() == 3
    assert counts[0, 0] == counts[7, 7] == counts[4, 4] == 1
    assert one.counts((600, 800), 8, [1]).sum() == 1
    assert two.counts((600, 800), 8).sum() == 1, "what fell outside the image is left out"
    assert two.counts((600, 800), 8, [0]).sum() == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"gaze": np.zeros(3)}, "holds gaze; a cell array `fixations` was expected"),
        ({"fixations": np.zeros((2, 2))}, "is not laid out as OSIE's fixations"),
        ({"fixations": cells([{"img": "a.jpg"}])}, "is not laid out as OSIE's fixations"),
    ],
)
def test_another_layout_is_refused(tmp_path, content, message):
    savemat(tmp_path / "x.mat", content)
    with pytest.raises(DataError, match=message):
        read_gaze(tmp_path / "x.mat")


def test_a_file_that_is_no_mat_or_is_not_there_is_refused(tmp_path):
    (tmp_path / "x.mat").write_text("no, this is text " * 40)
    with pytest.raises(DataError, match="cannot be read as MATLAB's format"):
        read_gaze(tmp_path / "x.mat")
    with pytest.raises(DataError, match="is missing"):
        read_gaze(tmp_path / "none.mat")
