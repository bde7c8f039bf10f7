"""`lfi distil`: from a few images to a trio that answers, killed on the way and gone on with."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from caption_data import COLOURS
from commandline import lfi
from PIL import Image
from safetensors.torch import load_file
from teacher_models import CONFIGS, sharp
from torch import equal

from lfi.data.scenes import Scenes
from lfi.shipped import MODELS
from lfi.teachers import save_teacher
from lfi.trio import Trio

SMALL = ["--student", "least", "--epochs", "8"]
BASELINES = {"DIST-feature-KD", "logit-feature-KD"}


def write_teacher(folder: Path, kind: str) -> Path:
    """An untrained teacher in the files in which open_clip keeps one."""
    config = CONFIGS[kind]
    save_teacher(folder, sharp(config), config, mean=[0.5] * 3, std=[0.25] * 3, card={"name": f"tiny-{kind}"})
    return folder


@pytest.fixture(scope="module", autouse=True)
def decoded(tmp_path_factory: pytest.TempPathFactory):
    """Decoded images are kept away from those of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LFI_CACHE", str(tmp_path_factory.mktemp("decoded")))
        yield


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 scenes with a table of captions."""
    folder = tmp_path_factory.mktemp("shapes")
    lines = ["image,caption"]
    for number, scene in enumerate(Scenes(48, 4, 32)):
        Image.fromarray(scene.image).save(folder / f"{number}.png")
        lines.append(f'{number}.png,"{scene.caption}"')
    (folder / "captions.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 images in folders of three classes."""
    folder = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for name in ("red", "green", "blue"):
        (folder / name).mkdir()
        for number in range(12):
            pixels = COLOURS[name] + rng.integers(-20, 20, (24, 24, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.jpg")
    return folder


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_ends_in_the_same_trio(shapes: Path, tmp_path: Path, capsys):
    command = ["distil", "--teacher", MODELS / "scenes" / "teacher", "--images", shapes]
    command += ["--captions", shapes / "captions.csv", *SMALL, "--device", "cpu"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    begun = ["--out", tmp_path / "trios" / "mine", "--runs", killed]
    process = subprocess.Popen(
        [sys.executable, "-m", "lfi", *map(str, [*command, *begun])], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    checkpoint = killed / "students" / "lfi.part" / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "trios").exists()

    assert lfi(*command, *begun) == 0
    said = capsys.readouterr().out
    for stage in ("reading images", "choosing the teacher's layer", "asking the teacher"):
        assert f"{stage}: finished before" in said
    assert "training logit + feature KD: about" in said
    shown = shlex.split(said.splitlines()[-2])

    assert lfi(*command, "--out", tmp_path / "trios" / "other", "--runs", whole) == 0
    for part in ("lfi", *BASELINES):
        one, other = (load_file(runs / "students" / part / "student.safetensors") for runs in (killed, whole))
        assert one.keys() == other.keys()
        assert [name for name in one if not equal(one[name], other[name])] == []

    trio = Trio.load(tmp_path / "trios" / "mine")
    assert (trio.name, trio.teacher.name) == ("mine", "scenes CoCa")
    captions = " ".join(scene.caption for scene in Scenes(48, 4, 32)).lower()
    assert trio.phrases
    assert [phrase for phrase in trio.phrases if phrase not in captions] == []
    assert trio.cards["lfi"]["losses"].keys() == {"interaction", "relation", "naming", "feature KD", "dist"}
    assert "map peaks in the right image, held-out canvases" in trio.cards["baseline"]["figures"]
    assert trio.card["measured_apart"] is True
    assert trio.presence["teacher"].auc > 0.75  # it was trained to tell
    assert shown[:3] == ["lfi", "maps", str(shapes / "0.png")]
    assert shown[-2:] == ["--trio", str(tmp_path / "trios" / "mine")]
    assert lfi(*shown[1:], "--out", tmp_path / "maps") == 0
    assert (tmp_path / "maps" / "figure.svg").is_file()


@pytest.mark.slow
def test_class_folders_and_a_clip_end_in_a_trio_as_well(classes: Path, tmp_path: Path, capsys):
    teacher, out, runs = write_teacher(tmp_path / "clip", "clip"), tmp_path / "trios" / "colours", tmp_path / "runs"
    command = ["distil", "--teacher", teacher, "--images", classes, *SMALL, "--out", out, "--runs", runs]
    assert lfi(*command) == 0
    said = capsys.readouterr().out
    assert "36, of which 9 are held out to choose on; 3 classes" in said
    assert "no presence: 8 statements can be made of half of the held-out images; 20 are needed" in said
    trio = Trio.load(out)
    assert (trio.phrases, trio.vocabulary, trio.presence) == (("blue", "green", "red"), (), {})
    assert trio.cards["teacher"]["kind"] == "CLIP"
    assert {path.name for path in (runs / "students").iterdir()} == {"lfi", *BASELINES}
    assert lfi("maps", classes / "red" / "0.jpg", "--word", "red", "--trio", out, "--out", tmp_path / "maps") == 0

    card = (out / "card.json").read_bytes()
    assert lfi(*command) == 0
    assert f"{out} was finished before" in capsys.readouterr().out
    assert (out / "card.json").read_bytes() == card
    assert lfi(*command, "--epochs", 9, "--out", tmp_path / "trios" / "others") == 2
    assert "was begun with epochs = 8, and it is 9 now; choose another folder" in one_line(capsys)


@pytest.mark.slow
def test_a_dry_run_measures_and_writes_nothing(classes: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LFI_CACHE", str(tmp_path / "decoded"))
    teacher = write_teacher(tmp_path / "teachers" / "coca", "pooled")
    before = sorted(tmp_path.rglob("*"))
    assert lfi("distil", "--teacher", teacher, "--images", classes, "--out", "trios/mine", "--dry-run") == 0
    assert sorted(tmp_path.rglob("*")) == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("teacher   tiny-pooled@")
    assert "students  least: 0.4 M parameters, 60 epochs of 3 steps of 8 images" in lines[2]
    assert [line.split("  ")[0] for line in lines[3:]][:4] == [
        "reading images",
        "choosing the teacher's layer",
        "asking the teacher",
        "training LFI",
    ]
    assert lines[-2].startswith("in all")
    assert "MB" in lines[-2]

    (tmp_path / "trios" / "mine").mkdir(parents=True)
    (tmp_path / "trios" / "mine" / "notes.txt").touch()
    assert lfi("distil", "--teacher", teacher, "--images", classes, "--out", "trios/mine", "--dry-run") == 2
    assert "trios/mine" in one_line(capsys)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says when it refuses, which must be one line."""
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lfi: ")]
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--teacher", "scenery"], "--teacher is 'scenery'; an open_clip NAME:TAG"),
        (["--teacher", "coca_ViT-B-23:laion2b_s13b_b90k"], "'coca_ViT-B-23' is neither an open_clip architecture"),
        (["--images", "nowhere"], "cannot read nowhere as a folder"),
        (["--images", "flat"], "flat has no folders in it; CLASS/* was expected; images without class folders need"),
        (["--captions", "nowhere.csv"], "nowhere.csv is missing; a list of images and captions was expected"),
        (["--captions", "few.csv"], "has 1 images; at least 16 were expected"),
        (["--student", "huge"], "--student is 'huge'; one of least, little"),
        (["--hours", "0"], "--hours is 0; more than 0 was expected"),
        (["--out", "flat"], "flat already exists and is not empty; choose another folder"),
        (["--out", "."], "is in use, and the trio's folder is put in its place; choose another with --out"),
        (["--out", "flat/0.png/mine"], "cannot write to flat/0.png/mine: not a directory"),
        (["--runs", "trios/mine"], "trios/mine cannot be in the trio's folder trios/mine; choose another folder with"),
        (["--runs", "trios/mine/runs"], "trios/mine/runs cannot be in the trio's folder trios/mine; choose another"),
        (["--runs", "flat/0.png"], "cannot write to flat/0.png: file exists"),
        (["--device", "cuda:99"], "the device is 'cuda:99', and torch finds no GPU here; use cpu"),
    ],
    ids=lambda each: each[0].strip("-") if isinstance(each, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(wrong, said, classes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("flat").mkdir()
    Image.new("RGB", (8, 8)).save("flat/0.png")
    Path("few.csv").write_text("image,caption\nred/0.jpg,red\n")
    command = ["distil", "--teacher", "scenes", "--images", classes, "--out", "trios/mine", *wrong]
    assert lfi(*command) == 2
    assert said in one_line(capsys)
    assert not Path("trios").exists()


@pytest.mark.slow
def test_a_model_that_writes_is_distilled(shapes: Path, tmp_path: Path, capsys):
    pytest.importorskip("transformers")
    from tiny_writers import write_blip

    folder, out = write_blip(tmp_path / "tiny-blip"), tmp_path / "trios" / "blip"
    command = ["distil", "--teacher", folder, "--images", shapes, "--captions", shapes / "captions.csv", *SMALL]
    assert lfi(*command, "--device", "cpu", "--out", out, "--runs", tmp_path / "runs") == 0
    assert "a BLIP, 0 M parameters, 24 px, 3 x 3 patches" in capsys.readouterr().out
    trio = Trio.load(out)
    assert (trio.teacher.name, trio.cards["teacher"]["kind"]) == ("tiny-blip", "BLIP")
    found = trio.compare(Image.open(shapes / "0.png"), ["red", "star"])
    assert set(found.maps) == {"teacher", "lfi", "baseline"}
