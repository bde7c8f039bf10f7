"""Rows of a batch as a figure: which ones, in which order, what is said of them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import lfi
from PIL import Image
from tiny_trio import PRESENCE, write_tiny_trio
from uploads import as_bytes, scene, truncated_jpeg

from app.batch import figure as figures
from app.batch.figure import FigureRequest, batch_figure
from app.batch.folder import THUMBNAIL, BatchFolder, open_folder
from lfi.errors import ConfigError
from lfi.presence import short
from lfi.rendering import GridRow, grid_scale

WORDS = ("star", "red circle")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `lfi batch` wrote of three images, one of which it could not read, with models that judge presence."""
    here = tmp_path_factory.mktemp("figures")
    pictures = here / "pictures"
    pictures.mkdir()
    (pictures / "a wide.png").write_bytes(as_bytes(scene(1200, 400)))
    (pictures / "b broken.jpg").write_bytes(truncated_jpeg())
    (pictures / "c: tall.png").write_bytes(as_bytes(scene(40, 120)))
    trio = write_tiny_trio(here / "models" / "judging", PRESENCE)
    asked = [part for word in WORDS for part in ("--word", word)]
    assert lfi("batch", pictures, *asked, "--out", here / "out", "--trio", trio) == 0
    return here / "out"


@pytest.fixture
def folder(written: Path) -> BatchFolder:
    return open_folder(written)


def drawn_rows(folder: BatchFolder, monkeypatch: pytest.MonkeyPatch, **wanted: object) -> list[GridRow]:
    """The rows that are handed to the figure, which is drawn as well."""
    found: list[GridRow] = []
    draw = figures.grid_figure
    monkeypatch.setattr(figures, "grid_figure", lambda rows, *a, **b: (found.extend(rows), draw(rows, *a, **b))[1])
    batch_figure(folder, list(folder.records), FigureRequest(**{"format": "svg", "width": 8.5, **wanted}))
    return found


EVERY = [(name, word) for name in ("a wide.png", "c: tall.png") for word in WORDS]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, EVERY),
        ({"first": 3}, EVERY[:3]),
        ({"row": ["c: tall.png:star", "a wide.png"]}, [EVERY[2], EVERY[0], EVERY[1]]),
        ({"row": ["red circle", "c: tall.png"]}, [EVERY[1], EVERY[3], EVERY[2]]),
    ],
)
def test_rows_are_the_first_ones_or_those_that_are_named_in_their_order(folder, wanted, expected, monkeypatch):
    assert [(each.name, each.word) for each in drawn_rows(folder, monkeypatch, **wanted)] == expected


def test_a_row_shows_its_image_and_the_raw_maps_of_the_layers_that_the_batch_shows(folder, monkeypatch):
    row = drawn_rows(folder, monkeypatch, row=["a wide.png:red circle"], models=["baseline, teacher"])[0]
    assert row.image.size == (THUMBNAIL, round(THUMBNAIL / 3))
    assert list(row.maps) == ["baseline", "teacher"]
    record = folder.records["a wide.png"]
    with np.load(folder.maps_file(record)) as arrays:
        for model, weights in row.maps.items():
            expected = arrays[f"{model}_weights"][folder.asked.layers[model][1], WORDS.index("red circle")]
            np.testing.assert_array_equal(weights, expected)


def test_what_a_model_does_not_find_is_marked_in_the_figure_and_its_caption(folder, monkeypatch):
    (row,) = drawn_rows(folder, monkeypatch, row=["a wide.png:star"])
    values = folder.records["a wide.png"].rows[0]
    assert row.absent == {model: values[f"{model} presence"] for model in row.maps if values[f"{model} absent"]}
    assert "lfi" in row.absent
    made = batch_figure(folder, list(folder.records), FigureRequest(format="svg", row=["a wide.png:star"]))
    assert f"not found ({short(row.absent['lfi'])})".replace("<", "&lt;") in made.drawn.decode()
    assert "Not found: the model says that the word is not in the image" in made.caption.decode()
    found = batch_figure(folder, list(folder.records), FigureRequest(row=["a wide.png:star"], models=["baseline"]))
    assert "Not found" not in found.caption.decode()
    assert r"\caption{Where the Baseline looks for ``star'' in 1 image." in found.caption.decode()


def test_the_figure_has_one_scale_which_the_provenance_names_with_images_and_models(folder, monkeypatch):
    rows = drawn_rows(folder, monkeypatch, models=["lfi", "teacher"])
    made = batch_figure(folder, list(folder.records), FigureRequest(models=["lfi", "teacher"]))
    about = json.loads(made.provenance)
    scale = grid_scale(rows)
    assert (about["scale"]["low"], about["scale"]["high"]) == (scale.low, scale.high)
    assert [each["sha256"] for each in about["images"]] == [folder.records[name].sha256 for name, _ in EVERY[::2]]
    assert [(each["image"], each["word"]) for each in about["rows"]] == EVERY
    assert list(about["columns"]) == ["lfi", "teacher"]
    assert about["columns"]["lfi"]["layer"] == folder.asked.layers["lfi"][0]
    caption = made.caption.decode()
    assert r"\caption{Where LFI student and Teacher look for ``star'' and ``red circle'' in 2 images." in caption
    assert "``star'' in a wide.png; ``red circle'' in a wide.png; ``star'' in c: tall.png" in caption


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"row": ["b broken.jpg"]}, r"no row 'b broken.jpg'; IMAGE:WORD, .* such as 'a wide.png:star'"),
        ({"row": ["a wide.png:moon"]}, "no row 'a wide.png:moon'"),
        ({"models": ["teacher,gpt"]}, "no model 'gpt'; it has teacher, lfi, baseline"),
    ],
)
def test_rows_and_columns_that_the_batch_does_not_have_are_refused(folder, wanted, said):
    with pytest.raises(ConfigError, match=said):
        batch_figure(folder, list(folder.records), FigureRequest(**wanted))


def test_more_rows_than_two_pages_hold_are_refused(folder, monkeypatch):
    monkeypatch.setattr(figures, "MOST_ROWS", 3)
    with pytest.raises(ConfigError, match="would have 4 rows; at most 3 are drawn"):
        batch_figure(folder, list(folder.records), FigureRequest(row=["star", "red circle"]))


def test_a_batch_without_an_answer_has_no_figure(folder):
    with pytest.raises(ConfigError, match="no image of this batch has been answered"):
        batch_figure(folder, ["b broken.jpg"], FigureRequest())


def test_the_command_writes_the_figure_its_caption_and_its_provenance(written, tmp_path, capsys):
    out = tmp_path / "new" / "grid.png"
    assert lfi("figure", written, "--out", out, "--row", "c: tall.png:star", "--width", 8.5, "--captions") == 0
    files = [out, out.with_name("grid-caption.tex"), out.with_name("grid-provenance.json")]
    assert capsys.readouterr().out.split("\n")[:-1] == [str(path) for path in files]
    assert Image.open(out).width == pytest.approx(8.5 / 2.54 * 200, abs=1)
    assert json.loads(files[2].read_text())["figure"]["captions"] is True


def test_the_command_draws_what_the_gallery_shows_in_its_order(trio_folder, tmp_path, capsys):
    pictures, out, drawn = tmp_path / "pictures", tmp_path / "out", tmp_path / "grid.svg"
    pictures.mkdir()
    command = "batch", pictures, "--word", "star", "--out", out, "--trio", trio_folder

    def rows() -> list[str]:
        assert lfi("figure", out, "--out", drawn) == 0
        return [row["image"] for row in json.loads((tmp_path / "grid-provenance.json").read_text())["rows"]]

    for name in ("=b.png", "c.png"):
        (pictures / name).write_bytes(as_bytes(scene(60, 40)))
    assert lfi(*command) == 0
    (pictures / "a.png").write_bytes(as_bytes(scene(40, 60)))
    (pictures / "c.png").unlink()
    assert lfi(*command) == 0
    assert rows() == ["=b.png", "a.png"]

    (out / "scores.csv").write_text("picture;word\na.png;star\n")
    capsys.readouterr()
    assert lfi("figure", out, "--out", drawn) == 2
    assert "the same `lfi batch` writes it again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--width", "9"], "width is 9.0: one of 8.5, 17.5 was expected"),
        (["--out", "grid.gif"], "format is 'gif': input should be 'pdf', 'svg' or 'png'"),
        (["--points", "4"], "points is 4"),
        (["--row", "nothing"], "this batch has no row 'nothing'"),
    ],
)
def test_the_command_names_what_is_wrong(written, tmp_path, asked, said, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lfi("figure", written, *asked) == 2
    assert said in capsys.readouterr().err
    assert lfi("figure", tmp_path) == 2
    assert f"{tmp_path} holds no batch" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
