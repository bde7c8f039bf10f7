"""`lfi maps` and `lfi serve` as people type them: files that open, and one line where something is wrong."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from commandline import lfi
from PIL import Image
from uploads import as_bytes, nine_hundred_megapixels, scene, truncated_jpeg, two_frames

from app.commands.maps import read_image
from lfi.comparison import MODELS


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(as_bytes(scene(), "JPEG"))
    return path


def test_maps_writes_overlays_a_figure_and_the_numbers_and_says_so(photo, trio_folder, tmp_path, capsys):
    out = tmp_path / "made" / "maps"

    code = lfi("maps", photo, "--word", "the star", "--word", "red circle", "--out", out, "--trio", trio_folder)

    names = [
        *(f"{model}-{number}.webp" for model in MODELS for number in ("01-star", "02-red-circle")),
        "figure.svg",
        "maps.npz",
    ]
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    assert printed.out.splitlines() == [str(out / name) for name in names]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    for name in names[:6]:
        with Image.open(out / name) as overlay:
            assert (overlay.format, overlay.size) == ("WEBP", (96, 64))
    assert (out / "figure.svg").read_text().lstrip().startswith("<?xml")
    with np.load(out / "maps.npz") as arrays:
        assert arrays["words"].tolist() == ["star", "red circle"]
        assert np.allclose(arrays["lfi_weights"].sum((-2, -1)), 1, atol=1e-3)


def test_one_model_one_layer_and_another_figure(photo, trio_folder, tmp_path, capsys):
    code = lfi(
        *("maps", photo, "--word", "star", "--out", tmp_path / "out", "--trio", trio_folder),
        *("--models", "lfi", "--layer", 0, "--figure-format", "png"),
    )
    assert (code, capsys.readouterr().err) == (0, "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "lfi-01-star.webp",
        "figure.png",
        "maps.npz",
    }
    with Image.open(tmp_path / "out" / "figure.png") as figure:
        assert figure.format == "PNG"


def test_maps_draws_explanations_by_name(photo, trio_folder, tmp_path, capsys):
    code = lfi(
        *("maps", photo, "--word", "star", "--out", tmp_path / "out", "--trio", trio_folder),
        *("--models", "lfi,baseline:rollout,baseline:grad-cam"),
    )
    assert (code, capsys.readouterr().err) == (0, "")
    assert {path.name for path in (tmp_path / "out").glob("*.webp")} == {
        "lfi-01-star.webp",
        "baseline-rollout-01-star.webp",
        "baseline-grad-cam-01-star.webp",
    }
    assert "Baseline, rollout" in (tmp_path / "out" / "figure.svg").read_text()


BAD_IMAGES = {
    "truncated JPEG": (truncated_jpeg, "the image is damaged or incomplete"),
    "text renamed .png": (lambda: b"words\n" * 100, "the file is not an image we can read"),
    "900-megapixel PNG": (nine_hundred_megapixels, "the image has 900 megapixels; at most 50 megapixels"),
    "40 MB file": (lambda: bytes(40_000_000), "the file is 40.0 MB; at most 20 MB are accepted"),
    "two-frame GIF": (two_frames, "the GIF image has several frames"),
    "empty file": (lambda: b"", "the file is empty"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_one_line_and_exit_code_2(name, trio_folder, tmp_path, capsys):
    make, start = BAD_IMAGES[name]
    path = tmp_path / "photo.png"
    path.write_bytes(make())
    assert_refused(capsys, start, "maps", path, "--word", "star", "--trio", trio_folder, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (["--word", ""], "word 1 is empty"),
        (["--word", " ".join(["star"] * 300)], "the phrase 'star star"),
        (["--word", "cirkle"], "this model does not know 'cirkle' (nearest: circle"),
        (["--word", "star", "--models", "student"], "there is no model 'student'; there are: teacher, lfi, baseline"),
        (["--word", "star", "--trio", "nowhere"], "there is no trio 'nowhere' in "),
        (["--word", "star", "--layer", "99"], "teacher has no layer 99; 0 to "),
        (["--word", "star", "--figure-format", "bmp"], "figure format is 'bmp'; one of "),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(options, start, photo, trio_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LFI_MODELS_DIR", str(trio_folder.parent))
    monkeypatch.setenv("LFI_TRIO", trio_folder.name)
    assert_refused(capsys, start, "maps", photo, "--out", tmp_path / "out", *options)


def test_a_missing_photo_and_a_folder_that_is_a_file_are_named(photo, trio_folder, tmp_path, capsys):
    missing = tmp_path / "nothing.jpg"
    assert_refused(capsys, f"cannot read {missing}: no such file or directory", "maps", missing, "--word", "star")
    assert_refused(capsys, f"cannot read {tmp_path}: is a directory", "maps", tmp_path, "--word", "star")
    here = ("maps", photo, "--word", "star", "--trio", trio_folder, "--out", photo)
    assert_refused(capsys, f"cannot write to {photo}: file exists", *here)


def test_a_file_without_end_is_read_as_far_as_it_may_go():
    assert len(read_image(Path("/dev/zero"), 1000)) == 1001


@pytest.mark.parametrize(
    ("command", "start"),
    [
        (("scenes", "show", "--out", "{}/nowhere/x.png"), "{}/nowhere/x.png: no such file or directory"),
        (("study", "admit", "pilot", "{}/ids.txt"), "cannot read {}/ids.txt: no such file or directory"),
        (
            ("study", "restore", "{}/x.tar", "--rehearse"),
            "{}/x.tar cannot be restored: no such file or directory",
        ),
        (("train", "no-distillation", "--out", "{}/file"), "{}/file: file exists"),
        (("train", "teacher-scenes", "--device", "foo"), "there is no device called 'foo'; cpu or cuda was expected"),
        (("train", "lfi", "--set", "data.validation=0"), "data.validation is 0; at least 1 scene was expected"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2_wherever_it_is_met(command, start, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert_refused(capsys, start.format(tmp_path), *(part.format(tmp_path) for part in command))


def test_an_unreadable_checkpoint_is_named(photo, trio_folder, tmp_path, capsys):
    broken = tmp_path / "broken"
    for path in trio_folder.rglob("*"):
        if path.is_file():
            place = broken / path.relative_to(trio_folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes()[:2000])
    code = lfi("maps", photo, "--word", "star", "--trio", broken)
    error = capsys.readouterr().err
    assert (code, error.count("\n"), error[:5]) == (2, 1, "lfi: ")
    assert str(broken) in error


def test_the_help_comes_without_loading_torch():
    heavy = ("torch", "gradio", "fastapi", "PIL")
    code = f"import sys, app.cli; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_serve_on_a_taken_port_is_one_line_and_exit_code_2(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = f"port {port} on 127.0.0.1 is already taken; choose another with --port"
        assert_refused(capsys, message, "serve", "--port", port)


def test_serve_on_an_unknown_host_is_one_line_and_exit_code_2(capsys):
    message = "the host 'no.such.host.invalid' is not known; 127.0.0.1 serves this machine only"
    assert_refused(capsys, message, "serve", "--host", "no.such.host.invalid", "--port", 0)
    message = "the host 'a..b' is not known; 127.0.0.1 serves this machine only"
    assert_refused(capsys, message, "serve", "--host", "a..b", "--port", 0)


@pytest.mark.slow
def test_serve_prints_its_address_answers_there_and_stops_when_interrupted(trio_folder):
    process = start_serve("--models-dir", trio_folder.parent, "--trio", trio_folder.name)
    try:
        line = process.stdout.readline()
        address = re.match(r"LFI is served at (http://127\.0\.0\.1:\d+) \(Ctrl\+C stops it\)\n$", line)[1]
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
                    assert answer.read() == b'{"status":"ready"}'
                    break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_serve_without_its_models_stops_with_one_clear_line(tmp_path):
    process = start_serve("--models-dir", tmp_path, "--trio", "tiny")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("lfi: trio 'tiny' cannot be served: there is no trio 'tiny' in ")


def start_serve(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def assert_refused(capsys, start: str, *arguments: object) -> None:
    code = lfi(*arguments)
    printed = capsys.readouterr()
    assert (code, printed.out, printed.err.count("\n")) == (2, "", 1), printed
    assert printed.err.startswith(f"lfi: {start}"), printed.err
