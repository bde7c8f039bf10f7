"""`lfi train` with a detection task and `lfi evaluate detection`, typed as a user types them."""

import json
from pathlib import Path

import pytest
from commandline import lfi

from lfi.detection import load_detector

RECIPE = Path(__file__).parents[2] / "lfi/training/recipes/detection-scenes.toml"
TINY = [
    "student.overrides={img_size=64, patch_size=8, embed_dim=24, depth=4, num_heads=3}",
    "detection.width=8",
    "detection.regions=8",
    "detection.proposals=20",
    "loop.epochs=1",
    "loop.evaluations=1",
    "loop.batch_size=4",
    "loop.tensorboard=false",
]


def test_scenes_are_written_a_detector_trained_and_measured(tmp_path, capsys):
    for name, seed in (("train", "1"), ("val", "2")):
        assert lfi("scenes", "write", str(tmp_path / name), "--count", "8", "--seed", seed) == 0
    train, validation = tmp_path / "train", tmp_path / "val"
    settings = [
        *TINY,
        f"data.root={train / 'images'}",
        f"data.annotations={train / 'instances.json'}",
        f"data.validation_root={validation / 'images'}",
        f"data.validation_annotations={validation / 'instances.json'}",
    ]
    out, record, picture = tmp_path / "run", tmp_path / "ap.json", tmp_path / "ap.png"
    command = ["train", str(RECIPE), "--out", str(out), "--device", "cpu"]
    assert lfi(*command, *(part for each in settings for part in ("--set", each))) == 0
    assert "detector.safetensors: box mAP 0.0 %, mask AP 0.0 % on validation images" in capsys.readouterr().out
    assert len(load_detector(out)[1].categories) == 80

    truth = ["--root", str(validation / "images"), "--annotations", str(validation / "instances.json")]
    options = ["--draws", "2", "--json", str(record), "--plot", str(picture), "--device", "cpu"]
    assert lfi("evaluate", "detection", str(out), *truth, *options) == 0
    found = json.loads(record.read_text())
    assert found["n"]["images"] == 8
    assert {f"boxes, {out}: AP", f"masks, {out}: AR, 100 detections"} <= set(found["figures"])
    assert picture.stat().st_size > 5_000

    other = tmp_path / "other.json"
    content = json.loads((validation / "instances.json").read_text())
    content["categories"][0]["name"] = "dog"
    other.write_text(json.dumps(content))
    capsys.readouterr()
    assert (
        lfi("evaluate", "detection", str(out), "--root", str(validation / "images"), "--annotations", str(other)) == 2
    )
    assert f"other.json has other categories than {out} was trained on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("typo.json", "typo.json cannot be read as COCO's instances: there is no such file"),
        ("other.json", "other.json has other categories than {0}: 1, 'dog', is not among these"),
    ],
)
def test_validation_images_that_cannot_be_measured_are_refused_before_training(file, said, tmp_path, capsys):
    assert lfi("scenes", "write", str(tmp_path / "train"), "--count", "4") == 0
    annotations = tmp_path / "train" / "instances.json"
    content = json.loads(annotations.read_text())
    content["categories"][0]["name"] = "dog"
    (tmp_path / "other.json").write_text(json.dumps(content))
    settings = [
        *TINY,
        f"data.root={tmp_path / 'train' / 'images'}",
        f"data.annotations={annotations}",
        f"data.validation_root={tmp_path / 'train' / 'images'}",
        f"data.validation_annotations={tmp_path / file}",
    ]
    command = ["train", str(RECIPE), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert lfi(*command, *(part for each in settings for part in ("--set", each))) == 2
    assert said.format(annotations) in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_detector_is_one_line_and_exit_2(tmp_path, capsys):
    where = ["--root", str(tmp_path), "--annotations", str(tmp_path / "none.json")]
    assert lfi("evaluate", "detection", str(tmp_path), *where) == 2
    error = capsys.readouterr().err
    assert "cannot read the detector" in error
    assert error.count("\n") == 1
