"""An exported student gives what the student gives, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pictures import pictures
from PIL import Image

from lfi.errors import UnsupportedModelError
from lfi.students import Student, StudentConfig
from lfi.trio import Trio

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from lfi.exporting.runner import OnnxStudent, main
from lfi.exporting.student import export

SMALL = {"img_size": 40, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


@pytest.fixture(scope="module")
def trio(trio_folder) -> Trio:
    return Trio.load(trio_folder)


@pytest.fixture(scope="module")
def folder(trio, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "student"
    export(trio.lfi, out, trio.teacher, trio.vocabulary, "tiny lfi")
    return out


def test_maps_names_and_logits_are_the_students(folder, trio, picture):
    runner = OnnxStudent(folder)
    images = trio.lfi.preprocess([picture, picture.rotate(90), picture.rotate(180)])
    assert np.allclose(runner.preprocess([picture]), images[:1].numpy(), atol=1e-5)
    kinds = list(pictures().values())
    assert np.allclose(runner.preprocess(kinds), trio.lfi.preprocess(kinds).numpy(), atol=1e-5)
    found = runner.run(images.numpy())
    with torch.no_grad():
        out = trio.lfi(images)
    assert np.abs(found["maps"].reshape(out.attention.shape) - out.attention.numpy()).max() < 1e-4
    assert np.abs(found["names"] - F.normalize(out.names, dim=-1).numpy()).max() < 1e-4
    assert np.abs(found["logits"] - out.logits.numpy()).max() < 1e-4
    assert np.allclose(found["maps"].sum((-2, -1)), 1, atol=1e-4)
    assert runner.run(images[:1].numpy())["maps"].shape[0] == 1, "any number of images"


def test_words_are_addressed_as_in_the_trio(folder, trio, picture):
    words = list(trio.vocabulary[:3])
    maps, queries, nearness = OnnxStudent(folder).maps(picture, words)
    expected = trio.compare(picture, words, models=["lfi"])
    assert queries == [each.query for each in expected.addressed]
    assert np.allclose(nearness, [each.nearness for each in expected.addressed], atol=1e-4)
    assert np.abs(maps - expected.maps["lfi"].weights[0].numpy()).max() < 1e-4


def test_a_student_whose_patches_have_names_is_read_both_ways_as_in_the_trio(trio, picture, tmp_path):
    student = Student(replace(trio.lfi.config, patch_words=True)).eval()
    student.load_state_dict(trio.lfi.state_dict())
    words = list(trio.vocabulary[:5])
    export(student, tmp_path / "out", trio.teacher, trio.vocabulary, phrases=trio.phrases)
    runner = OnnxStudent(tmp_path / "out")
    for phrases in (trio.phrases, ()):
        runner.phrases = runner.phrases[: len(phrases)]
        both = Trio(trio.teacher, student, trio.baseline, trio.card | {"phrases": phrases})
        expected = both.compare(picture, words, models=["lfi"])
        maps, queries, nearness = runner.maps(picture, words)
        assert np.abs(maps - expected.maps["lfi"].weights[0].numpy()).max() < 1e-5
        assert queries == [each.query for each in expected.addressed]
        assert np.allclose(nearness, [each.nearness for each in expected.addressed], atol=1e-5)
    rows = trio.compare(picture, words, models=["lfi"]).maps["lfi"].weights[0].numpy()
    assert np.abs(maps - rows).max() > 0.01, "of one direction alone they would be others"


@pytest.mark.slow
def test_an_embedding_is_exported_where_there_is_one(picture, tmp_path):
    torch.manual_seed(0)
    student = Student(StudentConfig(classes=5, queries=4, text_dim=16, embed=True, taps=(1, 2), overrides=SMALL)).eval()
    export(student, tmp_path / "out")
    runner = OnnxStudent(tmp_path / "out")
    images = student.preprocess([picture])
    with torch.no_grad():
        expected = F.normalize(student(images).embedding, dim=-1)
    assert np.abs(runner.run(images.numpy())["embedding"] - expected.numpy()).max() < 1e-4
    assert runner.about["layers"] == ["block 2", "block 3"]
    with pytest.raises(KeyError, match="it is empty"):
        runner.maps(picture, ["red"])


def test_a_student_without_names_is_refused(trio, tmp_path):
    with pytest.raises(UnsupportedModelError, match="only a student with named Interaction Queries"):
        export(trio.baseline, tmp_path / "out")


def test_the_command_writes_maps_and_needs_no_torch(folder, trio, picture, tmp_path):
    picture.save(tmp_path / "a.png")
    word = trio.vocabulary[0]
    lfi = Path(__file__).parents[3] / "lfi"
    lone = (lfi / "exporting" / "runner.py").read_text().replace("from __future__ import annotations\n", "")
    (tmp_path / "runner.py").write_text("import sys\nsys.modules['torch'] = sys.modules['lfi'] = None\n" + lone)
    shutil.copy(lfi / "upright.py", tmp_path)
    command = [sys.executable, "runner.py", str(folder), "a.png", "--word", word, "--out", "maps.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{word}: query ")
    with np.load(tmp_path / "maps.npz") as arrays:
        assert arrays["words"].tolist() == [word]
        assert arrays["maps"].shape[:2] == (len(trio.layers["lfi"]), 1)


def test_the_command_names_what_is_wrong_in_one_line(folder, tmp_path, picture, capsys):
    picture.save(tmp_path / "a.png")
    with pytest.raises(SystemExit) as stop:
        main([str(folder), str(tmp_path / "a.png"), "--word", "zzz"])
    assert stop.value.code == 2
    assert "no 'zzz' (nearest: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(tmp_path / "a.png"), "--word", "zzz"])
    assert "student.json" in capsys.readouterr().err


def test_the_graph_says_what_it_is(folder):
    import onnx

    said = {each.key: each.value for each in onnx.load(folder / "student.onnx").metadata_props}
    assert json.loads(said["lfi"]) == json.loads((folder / "student.json").read_text())
