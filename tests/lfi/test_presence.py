"""Words that are not in the picture: evidence becomes a probability, and a card says how often it errs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_trio import write_tiny_trio

from evaluation.presence import Statements, calibrate
from lfi.errors import CheckpointError
from lfi.presence import Presence, read_presence
from lfi.trio import Trio

ENTRY = {"weights": [2.0], "bias": -1.0, "threshold": 0.5, "false_alarms": 0.1, "misses": 0.2, "auc": 0.9, "words": 10}


def test_a_probability_is_the_logistic_of_weighted_evidence():
    presence = Presence(**{**ENTRY, "weights": (2.0, 3.0)})
    likely = presence.probability(torch.tensor([[0.5, 1 / 3], [0.0, 0.0]]))
    torch.testing.assert_close(likely, torch.tensor([1.0, -1.0]).sigmoid())


@pytest.mark.parametrize(
    ("entry", "said"),
    [({**ENTRY, "threshold": 1.0}, "between 0 and 1"), ({"bias": 0}, "cannot be read"), ({**ENTRY, "more": 1}, "read")],
)
def test_a_card_that_is_not_complete_is_refused(entry, said):
    with pytest.raises(CheckpointError, match=said):
        read_presence({"name": "mine", "presence": {"lfi": entry}})


def test_a_trio_says_which_words_are_absent(tmp_path):
    folder = write_tiny_trio(tmp_path / "tiny")
    card = json.loads((folder / "card.json").read_text())
    card["presence"] = {
        "teacher": {**ENTRY, "weights": [4.0, 0.0], "bias": 0.0},
        "lfi": ENTRY,
        "baseline": {**ENTRY, "weights": [0.0], "bias": -5.0},
    }
    (folder / "card.json").write_text(json.dumps(card))
    trio = Trio.load(folder)
    picture = Image.effect_noise((48, 48), 80).convert("RGB")
    found = trio.compare(picture, ["red", "star"], ("teacher", "lfi", "baseline", "baseline:rollout"))
    assert set(found.presence) == {"teacher", "lfi", "baseline", "baseline:rollout"}
    encoded = trio.teacher.encode(trio.teacher.preprocess([trio.squash(picture)]))
    cosine = trio.teacher.embed_texts(["red", "star"]) @ encoded.latent[0]
    np.testing.assert_allclose(found.presence["teacher"], (4 * cosine).sigmoid().numpy(), atol=1e-5)
    near = torch.tensor([address.nearness for address in found.addressed])
    np.testing.assert_allclose(found.presence["lfi"], (2 * near - 1).sigmoid().numpy(), atol=1e-5)
    assert found.absent["baseline"] == (True, True)
    assert found.absent["lfi"] == tuple((near < 0.5).tolist())


def test_a_trio_without_calibration_says_nothing_of_presence(tmp_path):
    trio = Trio.load(write_tiny_trio(tmp_path / "tiny"))
    found = trio.compare(Image.new("RGB", (32, 32), "red"), ["red"])
    assert (found.presence, found.absent) == ({}, {})


def test_calibration_finds_the_threshold_where_both_errors_are_alike():
    rng = np.random.default_rng(0)
    truth = rng.random((500, 4)) < 0.5
    evidence = (rng.normal(size=(500, 4)) + 2 * truth)[..., None]
    found = calibrate([evidence], [Statements(np.zeros((500, 1, 1, 3)), (("a",) * 4,) * 500, truth)])
    assert abs(found.false_alarms - found.misses) < 0.03
    assert abs(found.auc - 0.921) < 0.02  # of two normal distributions that lie two deviations apart
    likely = found.probability(torch.from_numpy(evidence[..., 0].reshape(-1, 1))).numpy()
    sure = likely > 0.8
    assert abs(truth.ravel()[sure].mean() - likely[sure].mean()) < 0.05
