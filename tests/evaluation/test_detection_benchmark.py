"""The benchmark of detection: real students and detectors on tiny data, resumed; its table says what the runs say."""

import json
from dataclasses import asdict, replace

import pytest
from commandline import lfi

from evaluation.detection_benchmark import DetectionRun, DetectionSetup, detection, recipe_of, record_of
from evaluation.detection_table import plot, summarise
from evaluation.report import markdown
from evaluation.results import Results
from evaluation.runs import keep
from lfi.data.coco_writer import IMAGES, INSTANCES, write_coco
from lfi.data.scenes import Scenes
from lfi.errors import ConfigError

TEACHER = "static/models/scenes/teacher"


def run(method, seed, box, way="fine-tuned", mask=0.0):
    return DetectionRun(method, seed, way, "tiny", {"box mAP": box, "mask AP": mask}, 10.0)


@pytest.mark.slow
def test_what_is_missing_is_trained_and_what_is_there_is_read(tmp_path):
    setup = DetectionSetup("tiny", TEACHER, str(tmp_path))
    recipe = json.loads(json.dumps(recipe_of(setup, "no distillation")))
    done = replace(run("no distillation", 0, 12.0, "frozen", 3.0), recipe=recipe)
    keep(record_of(setup, "no distillation", 0, "frozen"), asdict(done))
    runs = detection(setup, [0], ["no distillation"], ["fine-tuned", "frozen"], 1)
    assert runs[1] == done
    assert (runs[0].method, runs[0].way, runs[0].scale) == ("no distillation", "fine-tuned", "tiny")
    assert set(runs[0].scores) == {"box mAP", "mask AP"}
    assert all(0 <= score <= 100 for score in (*runs[0].scores.values(), runs[0].classification))
    assert (tmp_path / "tiny/students/no_distillation-0/student.safetensors").is_file()
    assert detection(setup, [0], ["no distillation"], ["fine-tuned", "frozen"], 1) == runs, "nothing is left to do"
    student = tmp_path / "tiny/students/no_distillation-0/student.json"
    student.write_text(student.read_text().replace('"batch_size": 32', '"batch_size": 64'))
    with pytest.raises(ConfigError, match=r"student\.json was made with students\.batch_size 64, which is 32 now"):
        detection(setup, [0], ["no distillation"], ["frozen"], 1)
    student.write_text(student.read_text().replace('"batch_size": 64', '"batch_size": 32'))
    for change, said in (({"teacher": "another@0123"}, "made with teacher 'another@0123'"), ({}, "does not say how")):
        keep(record_of(setup, "no distillation", 0, "frozen"), asdict(replace(done, recipe=change)))
        with pytest.raises(ConfigError, match=said):
            detection(setup, [0], ["no distillation"], ["frozen"], 1)


@pytest.mark.slow
def test_on_coco_students_and_detectors_learn_from_its_images(tmp_path):
    """COCO's stock layout, here with drawn scenes; a teacher that cannot say what is absent is asked for no logits."""
    for part, count in (("train2017", 24), ("val2017", 8)):
        written = tmp_path / part
        write_coco(Scenes(count, 7 + count), written, "shape")
        (tmp_path / "coco/annotations").mkdir(parents=True, exist_ok=True)
        (written / INSTANCES).rename(tmp_path / "coco/annotations" / f"instances_{part}.json")
        (written / IMAGES).rename(tmp_path / "coco" / part)
    setup = DetectionSetup("tiny", TEACHER, str(tmp_path / "runs"), coco=str(tmp_path / "coco"))
    assert "logit KD" in setup.known
    (found,) = detection(setup, [0], ["LFI + patch words"], ["frozen"], 1)
    assert set(found.scores) == {"box mAP", "mask AP"}
    assert found.classification > 0
    assert setup.folder.name.startswith("tiny-coco-")

    silent = replace(setup, teacher="photographs")
    assert silent.fields == ("maps", "latents")
    assert {"feature KD", "LFI"} <= set(silent.known)
    assert not {"logit KD", "DIST + feature KD"} & set(silent.known)


def test_coco_needs_a_teacher_that_knows_its_classes(tmp_path, capsys):
    assert lfi("benchmark", "detection", "--coco", tmp_path) == 2
    assert "--coco needs a --teacher that knows COCO's classes" in capsys.readouterr().err


def test_gains_are_paired_and_against_the_best_result_oriented(tmp_path):
    runs = [
        *(run("LFI", seed, 10.0 + seed, mask=8.0) for seed in range(3)),
        *(run("feature KD", seed, 7.0 + seed, mask=7.0) for seed in range(3)),
        *(run("logit + feature KD", seed, 6.0 + seed, mask=7.5) for seed in range(3)),
        *(run("shuffled maps", seed, 12.0 + seed) for seed in range(3)),
        *(replace(run("LFI", seed, 1.0), way="frozen") for seed in range(3)),
        *(replace(run("feature KD", seed, 4.0), way="frozen") for seed in range(3)),
    ]
    results = Results("lfi benchmark detection", [0, 1, 2], {"detectors": len(runs)})
    summarise(runs, results)
    gain = results.figures["LFI minus best result-oriented (feature KD), box mAP, fine-tuned"]
    assert (gain.value, gain.low, gain.high) == pytest.approx((3, 3, 3))
    assert results.figures["LFI minus shuffled maps, box mAP, fine-tuned"].value == pytest.approx(-2)
    assert results.figures["LFI minus best result-oriented (feature KD), box mAP, frozen"].value == pytest.approx(-3)
    goals = {name: (goal.value, goal.goal, goal.holds) for name, goal in results.goals.items()}
    assert goals == {
        "LFI minus best result-oriented, box mAP": (pytest.approx(3), 1.6, True),
        "LFI minus best result-oriented, mask AP": (pytest.approx(0.5), 2.4, False),
    }
    text = markdown(results.record())
    assert "box mAP, fine-tuned" in text
    assert "**missed**" in text
    plot(runs, tmp_path / "ap.png", "tiny")
    assert (tmp_path / "ap.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("scale", "method", "way", "message"),
    [
        ("huge", "LFI", "frozen", "unknown scale 'huge'"),
        ("tiny", "magic", "frozen", "unknown method 'magic'"),
        ("tiny", "LFI", "thawed", "unknown way 'thawed'; one of fine-tuned, frozen was expected"),
    ],
)
def test_what_there_is_not_is_named(tmp_path, scale, method, way, message):
    with pytest.raises(ConfigError, match=message):
        detection(DetectionSetup(scale, TEACHER, str(tmp_path)), [0], [method], [way], 1)


def test_a_detector_that_failed_to_learn_shows_beside_the_median_of_seeds():
    runs = [*(run("LFI", seed, 10.0) for seed in range(3)), *(run("feature KD", seed, 7.0) for seed in range(2))]
    results = Results("lfi benchmark detection", [0, 1, 2], {"detectors": 6})
    summarise([*runs, run("feature KD", 2, -11.0)], results)
    title = "LFI minus best result-oriented (feature KD), box mAP, fine-tuned"
    assert results.figures[title].value == pytest.approx(9)
    assert results.figures[f"{title}, median of seeds"].value == pytest.approx(3)
    goal = results.goals["LFI minus best result-oriented, box mAP"]
    assert goal.value == pytest.approx(3), "judged by the median"


def test_the_rival_is_the_best_by_the_median_even_if_one_of_its_detectors_failed():
    scores = {"LFI": (10, 10, 10), "feature KD": (9, 9, -20), "logit KD": (7, 7, 7)}
    runs = [run(method, seed, float(score)) for method, row in scores.items() for seed, score in enumerate(row)]
    results = Results("lfi benchmark detection", [0, 1, 2], {"detectors": 9})
    summarise(runs, results)
    assert results.goals["LFI minus best result-oriented, box mAP"].value == pytest.approx(1)
    assert not any("(logit KD)" in name for name in results.figures)
