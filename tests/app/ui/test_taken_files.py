"""What is taken away or looked up besides maps: films, figures for papers, rankings, what a card measured."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile

import numpy as np
import pytest
from page_handlers import form
from PIL import Image
from uploads import as_bytes, scene, two_frames


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_an_animation_is_shown_by_its_first_frame_and_the_page_is_told_so(handlers, format):
    picture = handlers.compare(form({"words": ["red"]}, two_frames(format)))["picture"]
    assert picture["note"] == f"the {format} image has several frames; this is the first of them"
    assert handlers.compare(form({"words": []}, as_bytes(scene())))["picture"]["note"] == ""


def test_a_film_is_an_animation_of_all_columns(handlers, token):
    asked = {"words": ["red", "star"], "token": token, "format": "film-gif", "word": 1}
    answer = handlers.download(asked)
    assert (answer["name"], answer["type"]) == ("lfi-film-star.gif", "image/gif")
    film = Image.open(io.BytesIO(base64.b64decode(answer["data"])))
    layers = max(len(handlers.engine.trios.get(None).layers[model]) for model in ("teacher", "lfi", "baseline"))
    assert film.n_frames == layers + 3 * (layers - 1)
    frames = []
    for number in range(film.n_frames):
        film.seek(number)
        frames.append(np.asarray(film.convert("RGB")))
    assert any((frames[0] != frame).any() for frame in frames[1:])
    assert film.info["loop"] == 0
    assert handlers.download({**asked, "word": 2})["error"]["where"] == "page"


def test_every_explanation_of_the_baseline_is_ranked_by_its_agreement_with_the_teacher(handlers, token):
    asked = {"words": ["red", "star"], "token": token, "model": "baseline", "word": 1}
    ranked = handlers.rank(asked)["ranked"]
    trio = handlers.engine.trios.get(None)
    assert {row["key"] for row in ranked} == {key for key in trio.layers if key.startswith("baseline")}
    merits = [-2 if row["correlation"] is None else row["correlation"] for row in ranked]
    assert merits == sorted(merits, reverse=True)
    top = ranked[0]["key"]
    view = handlers.compare({"words": ["star"], "token": token, "columns": ["teacher", top]})["view"]
    (pair,) = view["positions"][0]["pairs"]
    assert pair["words"][0]["correlation"] == pytest.approx(ranked[0]["correlation"], abs=1e-4)


def test_with_a_region_explanations_are_ranked_by_what_lies_in_it(handlers, token):
    region = Image.new("L", (64, 64))
    region.paste(255, (0, 0, 20, 20))
    asked = {
        "words": ["star"],
        "token": token,
        "model": "baseline",
        "region": base64.b64encode(as_bytes(region)).decode(),
    }
    inside = [row["inside"] for row in handlers.rank(asked)["ranked"]]
    assert inside == sorted(inside, reverse=True)
    assert len(set(inside)) > 1
    assert handlers.rank({**asked, "model": "teacher"})["error"]["where"] == "page"


def paper_of(handlers, token, **paper) -> zipfile.ZipFile:
    asked = {"words": ["red", "star"], "token": token, "format": "paper", "paper": paper}
    answer = handlers.download(asked)
    return zipfile.ZipFile(io.BytesIO(base64.b64decode(answer["data"])))


@pytest.mark.parametrize("width", [8.5, 17.5])
def test_a_figure_for_a_paper_is_as_wide_as_was_asked(handlers, token, width):
    drawn = paper_of(handlers, token, format="svg", width=width, film=True).read("maps.svg").decode()
    points = float(re.search(r'<svg [^>]*width="([\d.]+)pt"', drawn).group(1))
    assert points / 72 * 2.54 == pytest.approx(width, abs=0.01)


def test_a_figure_for_a_paper_comes_with_a_caption_and_its_provenance(handlers, token):
    archive = paper_of(handlers, token, format="pdf", difference=True, film=True)
    assert set(archive.namelist()) == {"maps.pdf", "film-red.pdf", "film-star.pdf", "caption.tex", "provenance.json"}
    caption = archive.read("caption.tex").decode()
    assert r"\caption{Where Teacher, LFI student and Result-oriented baseline look for ``red'', ``star''." in caption
    assert "LFI student minus Result-oriented baseline" in caption
    about = json.loads(archive.read("provenance.json"))
    assert about["words"] == ["red", "star"]
    assert about["sha256"] == token
    assert set(about["columns"]) == {"teacher", "lfi", "baseline"}


def test_a_figure_for_a_paper_keeps_to_columns_that_are_on_screen(handlers, token):
    about = json.loads(paper_of(handlers, token, columns=["lfi"], format="png").read("provenance.json"))
    assert list(about["columns"]) == ["lfi"]
    asked = {"words": ["red"], "token": token, "format": "paper", "paper": {"columns": ["baseline:rollout"]}}
    assert "is not on screen" in handlers.download(asked)["error"]["message"]


def test_captions_stand_on_a_paper_s_figure_only_where_they_are_wanted(handlers, token):
    plain, said = (
        paper_of(handlers, token, format="svg", captions=wanted).read("maps.svg").decode().partition("<defs>")[2]
        for wanted in (False, True)
    )
    assert "Learned from nothing" in said
    assert "Learned from nothing" not in plain
    assert "peak" not in plain


def test_an_answer_says_how_often_its_peak_is_where_it_should_be(handlers, monkeypatch):
    card = handlers.engine.trios.get(None).cards["lfi"]
    monkeypatch.setitem(card, "figures", {"test scenes": 500, "map peaks in the named object": 0.857})
    (trio,) = handlers.describe()["trios"]
    said = {answer["key"]: answer["hits"] for answer in trio["answers"]}
    assert said["lfi"] == "peaks in the named object: 86 % of 500 test scenes"
    assert said["teacher"] == ""


@pytest.mark.parametrize(
    ("figures", "apart", "said"),
    [
        ({"map peaks in the named object": 0.857, "test scenes": 500}, None, "were chosen on others."),
        ({"map peaks in the object, held-out images": 0.5}, True, "were chosen on others."),
        (
            {"map peaks in the object, held-out images": 0.5},
            False,
            "that the layer and the explanation were chosen on,",
        ),
        ({"map peaks in the object, held-out images": 0.5}, None, "that the layer and the explanation were chosen on,"),
        ({"mAP of 80 classes, %": 79.4}, True, ""),
    ],
)
def test_an_answer_says_whether_it_was_measured_on_the_images_of_the_choices(
    handlers, monkeypatch, figures, apart, said
):
    trio = handlers.engine.trios.get(None)
    monkeypatch.setitem(trio.cards["lfi"], "figures", figures)
    if apart is not None:
        monkeypatch.setitem(trio.card, "measured_apart", apart)
    answers = {answer["key"]: answer["measured"] for answer in handlers.describe()["trios"][0]["answers"]}
    assert said in answers["lfi"]
    assert bool(answers["lfi"]) == bool(said)
    assert answers["baseline:rollout"] == ""
