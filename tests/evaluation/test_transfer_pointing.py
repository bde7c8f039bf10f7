"""Where the benchmark's students look: the best layer counts, and only small boxes do."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from evaluation.transfer_pointing import floors, pointing_scores
from lfi.data.imageset import ImageSet


def test_where_a_student_looks_is_measured_at_its_best_layer(monkeypatch):
    rng = np.random.default_rng(0)
    images = ImageSet(
        images=rng.integers(0, 256, (8, 64, 64, 3), np.uint8),
        ids=tuple(map(str, range(8))),
        classes=("cat", "dog"),
        labels=np.arange(8) % 2,
        captions=("",) * 8,
        words=(("cat",), ("dog",)) * 4,
        boxes=np.array([[0, 0, 32, 32]] * 6 + [[0, 0, 64, 64]] * 2, np.float32),
    )

    def peaks(answerer, pictures, words):
        """Layer 1 finds the lower right corner, layer 2 the upper left one; the last picture of all is missed."""
        points = np.tile(np.array([[48.0, 48.0], [16.0, 16.0]])[:, None], (len(pictures), 1, 1, 1))
        points[-1] = 60.0
        return list(points)

    monkeypatch.setattr("evaluation.transfer_pointing.answerers_of", lambda *_: ["any"])
    monkeypatch.setattr("evaluation.transfer_pointing.layer_peaks", peaks)
    monkeypatch.setattr("evaluation.transfer_pointing.found_words", lambda *_: np.array([[1, 0, 0, 0], [1, 1, 1, 0]]))
    named, embedded, both, mute = (
        SimpleNamespace(name=name, embed=embed) for name, embed in ((1, None), (None, 1), (1, 1), (None, None))
    )
    expected = {"boxes": pytest.approx(100 * 5 / 6), "canvases": pytest.approx(75)}
    assert pointing_scores(named, None, images) == expected, "6 small boxes, of which one is missed"
    explained = {f"{name} by explanation": share for name, share in expected.items()}
    assert pointing_scores(embedded, None, images) == expected | explained, "explanations are all that it has"
    monkeypatch.setattr("evaluation.transfer_pointing.explained_answerers", lambda *_: [])
    assert pointing_scores(both, None, images) == expected, "explanations are asked for, too, and there are none"
    monkeypatch.setattr("evaluation.transfer_pointing.answerers_of", lambda *_: [])
    assert pointing_scores(mute, None, images) == {}

    found = floors(replace(images, boxes=np.array([[0, 0, 40, 40]] * 3 + [[0, 0, 16, 16]] * 5, np.float32)))
    assert found["boxes"] == pytest.approx(100 * 3 / 8), "three boxes hold the centre"
    assert 25 <= found["canvases"] <= 60, "canvases have two to four photographs"
