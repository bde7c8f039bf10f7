"""A word that is not in the picture: whoever finds nothing says so, at every door; its map is fainter, not changed."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from gradio.data_classes import DataWithFiles
from PIL import Image
from running import wait_until_ready
from tiny_trio import PRESENCE, write_tiny_trio
from uploads import as_bytes, scene

from app.agents.numbers import word_body
from app.cli import main
from app.engine import Turn
from app.main import create_app
from app.settings import read_settings
from app.ui.handlers import Handlers
from evaluation.scores import score
from lfi.client.answers import read_maps
from lfi.presence import short
from lfi.trio import Trio

SAID = "LFI finds no star here (p = .03)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_trio(tmp_path_factory.mktemp("judging") / "judging", PRESENCE)


@pytest.fixture(scope="module")
def trio(folder: Path) -> Trio:
    return Trio.load(folder)


@pytest.fixture(scope="module")
def service(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = read_settings(
        models_dir=folder.parent, trio=folder.name, kept_folder=tmp_path_factory.mktemp("kept"), batches=2
    )
    with TestClient(create_app(settings)) as client:
        wait_until_ready(client)
        yield client


def maps_of(service: TestClient, words: list[str], accept: str = "application/json"):
    files = {"image": ("photo.png", as_bytes(scene()))}
    return service.post("/v1/maps", files=files, data={"words": words}, headers={"Accept": accept})


def lfi(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 0


def test_the_answer_says_per_model_how_likely_each_word_is_in_the_image(service, trio):
    truth = trio.compare(scene(), ["star", "red circle"])
    models = maps_of(service, ["star", "red circle"]).json()["models"]
    for name, block in models.items():
        assert block["presence"] == pytest.approx(truth.presence[name], abs=1e-5)
        assert block["absent"] == list(truth.absent[name])
    assert models["lfi"]["absent"] == [True, True]
    assert models["baseline"]["absent"] == [False, False]
    assert models["teacher"]["presence"][0] != models["teacher"]["presence"][1]


def test_models_that_were_not_calibrated_say_nothing(ask):
    for block in ask().json()["models"].values():
        assert (block["presence"], block["absent"]) == (None, None)


def test_raw_numbers_bring_it_along_and_stay_as_they_are(service, trio):
    truth = trio.compare(scene(), ["star"])
    answer = read_maps(maps_of(service, ["star"], "application/x-npz").content)
    assert answer.absent == truth.absent
    assert answer.presence["lfi"] == pytest.approx((0.03,), abs=1e-3)
    for name, maps in answer.maps.items():
        np.testing.assert_allclose(maps.weights, truth.maps[name].weights, atol=1e-6)


def test_the_overlay_of_an_absent_word_is_fainter(service, folder, tmp_path_factory):
    silent = write_tiny_trio(tmp_path_factory.mktemp("silent") / "judging")
    settings = read_settings(models_dir=silent.parent, trio=silent.name)
    with TestClient(create_app(settings)) as other:
        wait_until_ready(other)
        plain, told = (
            zipfile.ZipFile(io.BytesIO(maps_of(each, ["star"], "application/zip").content)) for each in (other, service)
        )
    photo = np.asarray(scene(), float)

    def veiled(archive: zipfile.ZipFile, name: str) -> float:
        drawn = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
        return float(np.abs(np.asarray(drawn, float) - photo).mean())

    assert veiled(told, "lfi-01-star.webp") < 0.7 * veiled(plain, "lfi-01-star.webp")
    assert told.read("baseline-01-star.webp") == plain.read("baseline-01-star.webp")
    assert f"{SAID}: its overlay is fainter" in told.read("README.txt").decode()
    assert "finds no" not in plain.read("README.txt").decode()


def test_an_agent_is_told(trio):
    comparison = trio.compare(scene(), ["star"])
    body = word_body(score(comparison)[0], comparison)
    assert (body.models["lfi"].finding, body.models["lfi"].presence) == (SAID, 0.03)
    assert body.models["baseline"].finding == ""


def test_the_command_line_says_so_and_keeps_its_list_of_files_clean(folder, tmp_path, capsys):
    (tmp_path / "photo.png").write_bytes(as_bytes(scene()))
    lfi("maps", str(tmp_path / "photo.png"), "--word", "star", "--trio", str(folder), "--out", str(tmp_path / "out"))
    out, err = capsys.readouterr()
    assert SAID in err.splitlines()
    assert "finds no" not in out
    assert "finds no star here" in (tmp_path / "out" / "figure.svg").read_text(encoding="utf-8")


def test_a_batch_has_it_in_its_table_and_its_gallery(folder, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "photo.png").write_bytes(as_bytes(scene()))
    out = tmp_path / "out"
    lfi("batch", str(tmp_path / "in"), "--word", "star", "--trio", str(folder), "--out", str(out))
    with (out / "scores.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["lfi absent"], row["baseline absent"]) == ("1", "0")
    assert float(row["lfi presence"]) == pytest.approx(0.03, abs=1e-3)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert '<small class="lfi-absence">finds no star here (p = .03)</small>' in page
    opacities = {model: _strongest(page, label) for model, label in (("lfi", "LFI"), ("baseline", "Result"))}
    assert opacities["lfi"] < 0.5 * opacities["baseline"]


def _strongest(page: str, label: str) -> int:
    """Greatest opacity of a map's layer in a gallery."""
    found = re.search(rf'aria-label="{label}[^"]*"><img alt="" src="data:image/webp;base64,([^"]+)"', page)
    assert found
    return int(np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGBA"))[..., 3].max())


def test_an_unknown_word_comes_with_what_the_teacher_sees_in_the_picture(service, trio):
    answer = maps_of(service, ["cirkle"])
    seen = dict(trio.seen(trio.encode(scene())))
    problem = answer.json()
    assert answer.status_code == 422
    assert problem["detail"].endswith(f"; the teacher sees here: {', '.join(seen)}")
    near = problem["unknown"]["cirkle"]
    assert [each["word"] for each in problem["suggestions"]] == list(dict.fromkeys((*near, *seen)))
    for each in problem["suggestions"]:
        assert each["instead_of"] == ("cirkle" if each["word"] in near else None)
        assert each["presence"] == (pytest.approx(seen[each["word"]], abs=1e-5) if each["word"] in seen else None)


def test_the_page_gets_a_sentence_per_absent_word_and_what_the_teacher_sees(service, trio):
    engine = service.app.state.engine
    handlers = Handlers(engine, {})
    seen = [{"word": word, "likely": short(likely)} for word, likely in trio.seen(trio.encode(scene()))]

    def sent(words: list[str]) -> dict:
        form = DataWithFiles(data={"request": json.dumps({"words": words})}, files=[("x.png", as_bytes(scene()))])
        return handlers.compare(form, Turn())

    assert sent([])["seen"] == seen
    models = sent(["star", "moon"])["view"]["models"]
    assert models["lfi"]["absences"] == ["finds no star here (p = .03)", "finds no moon here (p = .03)"]
    assert models["baseline"]["absences"] == ["", ""]
    refused = sent(["zebra"])
    assert refused["error"]["seen"] == seen
    assert "picture" in refused


def test_a_figure_from_the_page_speaks_of_its_columns_alone(service):
    handlers = Handlers(service.app.state.engine, {})
    asked = {"words": ["star"], "columns": ["teacher", "baseline"], "format": "npz"}
    form = DataWithFiles(data={"request": json.dumps(asked)}, files=[("x.png", as_bytes(scene()))])
    with np.load(io.BytesIO(base64.b64decode(handlers.download(form, Turn())["data"]))) as arrays:
        assert json.loads(str(arrays["about"]))["absent"].keys() == {"teacher", "baseline"}
