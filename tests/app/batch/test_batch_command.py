"""`lfi batch`: scores and maps of every image, one that is stopped goes on, one page that needs nothing else."""

from __future__ import annotations

import csv
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commandline import lfi
from uploads import as_bytes, scene, truncated_jpeg

from app.batch import work
from app.engine.decode import DAMAGED
from evaluation.scores import columns, row, score
from lfi.comparison import MODELS
from lfi.trio import Trio

WORDS = ("star", "red circle")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    (folder / "2 wide.png").write_bytes(as_bytes(scene(120, 40)))
    (folder / "more" / "=10 tall.jpg").write_bytes(as_bytes(scene(40, 120), "JPEG"))
    (folder / "broken.jpg").write_bytes(truncated_jpeg())
    (folder / "notes.txt").write_text("not a picture")
    return folder


def batch(source: Path, out: Path, trio: Path, *more: object) -> int:
    asked = [part for word in WORDS for part in ("--word", word)]
    return lfi("batch", source, *asked, "--out", out, "--trio", trio, *more)


def test_a_folder_becomes_scores_maps_and_a_gallery(pictures, tmp_path, trio_folder, capsys):
    out = tmp_path / "gallery"
    assert batch(pictures, out, trio_folder) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"not read: broken.jpg: {DAMAGED}",
        "skipped, as they are not images: 1 (notes.txt)",
        "2 of 3 images, 1 not read",
        str(out / "index.html"),
    ]

    with (out / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(each["image"], each["word"], each["problem"]) for each in rows] == [
        ("2 wide.png", "star", ""),
        ("2 wide.png", "red circle", ""),
        ("broken.jpg", "", DAMAGED),
        ("more/=10 tall.jpg", "star", ""),
        ("more/=10 tall.jpg", "red circle", ""),
    ]
    truth = row(score(Trio.load(trio_folder).compare(scene(120, 40), WORDS))[1])
    for name in columns(MODELS):
        assert rows[1][name] == truth[name] or float(rows[1][name]) == pytest.approx(truth[name], rel=1e-3)

    names = sorted(path.name for path in (out / "maps").iterdir())
    assert [re.sub(r"-\w{8}\.npz$", "", name) for name in names] == ["2-wide", "more-10-tall"]
    with np.load(out / "maps" / names[0]) as arrays:
        assert arrays["words"].tolist() == list(WORDS)
        assert json.loads(str(arrays["about"]))["image"]["name"] == "2 wide.png"


def test_the_gallery_holds_everything_and_asks_nobody(pictures, tmp_path, trio_folder):
    out = tmp_path / "gallery"
    batch(pictures, out, trio_folder)
    page = (out / "index.html").read_text()
    assert page.count("<tr data-image=") == 4
    assert page.count("data:image/webp;base64,") == 2 + 4 * len(MODELS)  # an image once, a layer for every map
    assert re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page) == ["scores.csv"]
    assert "http" not in re.sub(r"data:[^\"')]*", "", page)
    assert f"<code>broken.jpg</code>: {DAMAGED}" in page


def test_a_zip_gives_what_its_folder_gives(pictures, tmp_path, trio_folder, capsys):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for path in pictures.rglob("*.*"):
            archive.write(path, path.relative_to(pictures))
    assert batch(pictures, tmp_path / "one", trio_folder) == 0
    assert batch(tmp_path / "pictures.zip", tmp_path / "other", trio_folder) == 0
    for name in ("scores.csv", "index.html", "batch.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_what_is_done_stays_done_when_it_is_stopped(pictures, tmp_path, trio_folder, capsys, monkeypatch):
    out = tmp_path / "gallery"
    keep = work.BatchFolder.add

    def stop_at_the_second(folder, record, *more):
        if folder.records:
            raise KeyboardInterrupt
        keep(folder, record, *more)

    with monkeypatch.context() as patch:
        patch.setattr(work.BatchFolder, "add", stop_at_the_second)
        assert batch(pictures, out, trio_folder) == 130
    assert "stopped; the same command resumes" in capsys.readouterr().out
    assert "1 image of 3: the batch was not finished" in (out / "index.html").read_text()
    first = (out / "records.jsonl").read_text()
    (out / "records.jsonl").write_text(first + '{"name": "more/=10 ta')  # the power went

    assert batch(pictures, out, trio_folder) == 0
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert [record["name"] for record in records] == ["2 wide.png", "broken.jpg", "more/=10 tall.jpg"]
    assert (out / "records.jsonl").read_text().startswith(first)


def test_a_changed_image_is_answered_again_and_others_are_not(pictures, tmp_path, trio_folder):
    out = tmp_path / "gallery"
    batch(pictures, out, trio_folder)
    (pictures / "broken.jpg").unlink()
    (pictures / "2 wide.png").write_bytes(as_bytes(scene(90, 60)))
    batch(pictures, out, trio_folder)
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert [(record["name"], record["width"]) for record in records[3:]] == [("2 wide.png", 90)]
    assert "broken.jpg" not in (out / "scores.csv").read_text()


def test_other_explanations_are_columns_too(pictures, tmp_path, trio_folder):
    out = tmp_path / "gallery"
    assert batch(pictures, out, trio_folder, "--models", "teacher,baseline:rollout") == 0
    page = (out / "index.html").read_text()
    assert "Result-oriented baseline, rollout" in page
    assert page.count("data:image/webp;base64,") == 2 + 4 * 2
    assert "baseline:rollout teacher shared mass" in (out / "scores.csv").read_text()


def test_articles_are_left_out(pictures, tmp_path, trio_folder):
    out = tmp_path / "gallery"
    batch(pictures, out, trio_folder)
    assert (
        lfi("batch", pictures, "--word", "the star", "--word", "a red circle", "--out", out, "--trio", trio_folder) == 0
    )


def test_a_batch_beside_its_images_does_not_answer_its_own_output(pictures, trio_folder, capsys, monkeypatch):
    monkeypatch.chdir(pictures)
    for out in ("gallery", "gallery", "another"):
        assert batch(Path(), Path(out), trio_folder) == 0
        assert "2 of 3 images, 1 not read" in capsys.readouterr().out


def test_a_batch_does_not_write_among_its_images(pictures, trio_folder, capsys):
    assert batch(pictures, pictures / "more" / "..", trio_folder) == 2
    assert "is the folder of the images; choose another one" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_shown_with_its_bytes_escaped(tmp_path, trio_folder, capsys):
    folder, out = tmp_path / "pictures", tmp_path / "gallery"
    folder.mkdir()
    for name in (b"caf\xe9.png", b"caf\xe8.png", "café.png".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(as_bytes(scene()))
    for _ in range(2):
        assert batch(folder, out, trio_folder) == 0
        assert "3 of 3 images, 0 not read" in capsys.readouterr().out
    with (out / "scores.csv").open(newline="", encoding="utf-8") as file:
        shown = {each["image"] for each in csv.DictReader(file)}
    assert shown == {"café.png", r"caf\xe8.png", r"caf\xe9.png"}
    assert r"caf\xe9.png" in (out / "index.html").read_text(encoding="utf-8")
    assert len((out / "records.jsonl").read_text(encoding="ascii").splitlines()) == 3


def test_a_name_with_a_line_separator_in_it_is_one_line(tmp_path, trio_folder, capsys):
    folder, out = tmp_path / "pictures", tmp_path / "gallery"
    folder.mkdir()
    (folder / "a\u2028b\u0085c.png").write_bytes(as_bytes(scene()))
    assert batch(folder, out, trio_folder) == 0
    log = out / "records.jsonl"
    record = json.loads(log.read_text())
    log.write_text(json.dumps(record, ensure_ascii=False) + "\n")  # as earlier versions wrote it
    assert batch(folder, out, trio_folder) == 0
    assert "1 of 1 images, 0 not read" in capsys.readouterr().out
    assert len(log.read_text().split("\n")) == 2


@pytest.mark.parametrize("content", ["", '{"words": ["st', "[]", "\xff"])
def test_a_damaged_description_is_one_line(content, pictures, tmp_path, trio_folder, capsys):
    out = tmp_path / "gallery"
    out.mkdir()
    (out / "batch.json").write_text(content, encoding="latin-1")
    assert batch(pictures, out, trio_folder) == 2
    said = "does not say what its batch asks; choose another folder, or delete this one"
    assert capsys.readouterr().err == f"lfi: {out / 'batch.json'} {said}\n"


@pytest.mark.parametrize("line", ["{", "[]", '{"title": "cat"}', '{"name": []}', "\xff"])
def test_a_damaged_record_is_one_line(line, pictures, tmp_path, trio_folder, capsys):
    out = tmp_path / "gallery"
    assert batch(pictures, out, trio_folder) == 0
    with (out / "records.jsonl").open("a", encoding="latin-1") as log:
        log.write(f"{line}\n")
    capsys.readouterr()
    assert batch(pictures, out, trio_folder) == 2
    said = "is no record of an image; delete the line, and the image is answered again"
    assert capsys.readouterr().err == f"lfi: line 4 of {out / 'records.jsonl'} {said}\n"


def test_another_question_needs_another_folder(pictures, tmp_path, trio_folder, capsys):
    out = tmp_path / "gallery"
    batch(pictures, out, trio_folder)
    capsys.readouterr()
    assert batch(pictures, out, trio_folder, "--word", "moon") == 2
    assert "has a batch with words star, red circle, not star, red circle, moon" in capsys.readouterr().err


def test_mistakes_are_named_before_the_first_image(pictures, tmp_path, trio_folder, capsys):
    out = tmp_path / "gallery"
    assert batch(pictures, out, trio_folder, "--word", "starr") == 2
    assert "does not know 'starr' (nearest: star" in capsys.readouterr().err
    assert batch(tmp_path / "nowhere", out, trio_folder) == 2
    assert "a folder of images or a zip was expected" in capsys.readouterr().err
    assert not out.exists()
