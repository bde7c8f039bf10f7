"""The trio that ships does what its card says, on scenes that nothing was trained or chosen on."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from evaluation import scenes
from evaluation.pointing import localise
from evaluation.results import Results
from evaluation.scenes import COMPARED, SceneRun, measure_teacher, recipe_of, run_method
from evaluation.trio import KINDS
from lfi.comparison import MODELS
from lfi.data.scenes import Scenes
from lfi.errors import ConfigError
from lfi.students.explanations import EXPLANATIONS
from lfi.training.config import DataConfig, LoopConfig, TrainConfig
from lfi.training.run import Prepared, validate
from lfi.training.targets import Questions
from lfi.trio import Trio

FOLDER = Path(__file__).parents[2] / "static/models/scenes"


@pytest.fixture(scope="module")
def trio() -> Trio:
    return Trio.load(FOLDER)


@pytest.fixture(scope="module")
def held_out():
    return Scenes(80, seed=4242).load()


def test_words_point_in_the_order_teacher_and_lfi_before_baseline(trio, held_out):
    hits = {}
    for model in MODELS:
        found = localise(trio.answerers[model], held_out, KINDS)
        hits[model] = found.hits[trio.default_layer[model]].mean()
        card = trio.cards[model]["figures"]["map peaks in the named object"]
        assert hits[model] == pytest.approx(card, abs=0.1), model
    assert min(hits["teacher"], hits["lfi"]) > 0.75
    assert hits["baseline"] < hits["lfi"] - 0.2


def test_the_students_score_what_their_cards_say(trio):
    drawn = Scenes(500, seed=22).load(masks=False)
    for student, card in ((trio.lfi, trio.cards["lfi"]), (trio.baseline, trio.cards["baseline"])):
        measured = validate(student, drawn.image_set("test"))["mAP"]
        assert measured == pytest.approx(card["figures"]["mAP of 80 classes, %"], abs=0.5)


def test_the_trio_is_small_and_its_cards_are_whole(trio):
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 15e6
    for card in trio.cards.values():
        assert {
            "title",
            "kind",
            "summary",
            "data",
            "steps",
            "seed",
            "figures",
            "limits",
            "parameters",
            "fingerprint",
        } <= set(card)


def test_a_teachers_figures_come_with_intervals_and_goals(trio, held_out):
    results = Results("test", [0], {"scenes": len(held_out)})
    measure_teacher(trio.teacher, held_out, results)
    hit = results.figures["teacher hit, all"]
    assert 0 < hit.low < hit.value < hit.high < 100
    assert results.goals["teacher energy over area, all"].value > 4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["LFI", "shuffled maps", "logit + feature KD"])
def test_a_method_is_trained_and_measured(trio, held_out, method):
    config = TrainConfig(data=DataConfig(count=64, validation=32), loop=LoopConfig(epochs=1, evaluations=2))
    config = replace(
        config, student=replace(config.student, overrides={**config.student.overrides, "depth": 2, "embed_dim": 24})
    )
    images = Scenes(64, 10).load(masks=False).image_set("10")
    questions = Questions(trio.teacher, config.teacher, images, ("maps", "logits", "latents"))
    validation = Scenes(32, 11).load(masks=False).image_set("11")
    prepared = Prepared(config, trio.teacher, images, validation, questions, questions.all())
    run = run_method(method, 1, prepared, held_out)
    assert (run.method, run.seed) == (method, 1)
    assert [step for step, _ in run.curve] == [1, 2]
    assert 0 < run.test < 100
    kinds = {
        "LFI": {"word-addressed query", "floor"},
        "shuffled maps": {"word-addressed query", "floor"},
        "logit + feature KD": {name + floor for name in EXPLANATIONS for floor in ("", ", floor")},
    }
    assert set(run.pointing) == kinds[method]
    assert all(np.isfinite(rate) for rate in run.pointing.values())
    assert method in COMPARED


def test_a_kept_run_of_another_recipe_is_refused(tmp_path, monkeypatch):
    def trained(method, seed, prepared, held_out):
        return SceneRun(method, seed, 10.0, [(1, 10.0)], {}, recipe_of(method))

    monkeypatch.setattr(scenes, "prepare", lambda *_, **__: None)
    monkeypatch.setattr(scenes, "run_method", trained)
    ask = partial(scenes.evaluate_scenes, "scenes", [0], tmp_path, ["feature KD"], test=4)
    ask()
    monkeypatch.setattr(scenes, "run_method", None)  # it is there already
    assert ask().figures["mAP, feature KD"].value == 10
    (path,) = tmp_path.glob("*.json")
    stored = json.loads(path.read_text())
    stored["recipe"]["objective"]["feature_kd"] = 1.0
    path.write_text(json.dumps(stored))
    with pytest.raises(ConfigError, match=r"was made with objective\.feature_kd 1\.0, which is 0\.1 now"):
        ask()
    path.write_text(json.dumps({**stored, "recipe": {}}))
    with pytest.raises(ConfigError, match="does not say how it was made"):
        ask()
