"""The page's handlers are public: whatever arrives, they answer, or say what is wrong and where."""

from __future__ import annotations

import base64
import io
import json
import tomllib
import zipfile

import numpy as np
import pytest
from gradio.data_classes import DataWithFiles
from page_handlers import Unhurried, form, values
from PIL import Image
from uploads import as_bytes, scene

from app.engine import Engine, File, MapsRequest, Picture, Turn
from app.ui.agreement import agreement
from app.ui.handlers import Handlers
from app.ui.pictures import OpenPictures


def test_an_uploaded_picture_can_be_named_afterwards(handlers, token):
    sent = handlers.compare(form({"words": ["red"]}, as_bytes(scene())))
    named = handlers.compare({"words": ["red"], "token": token, "shown": True})
    assert named["view"]["models"] == sent["view"]["models"]
    assert "preview" in sent["picture"]
    assert "preview" not in named["picture"]


def test_values_are_multiples_of_uniform_attention(handlers, token, engine):
    view = handlers.compare({"words": ["red", "star"], "token": token})["view"]
    maps = engine.ask(Picture.of(scene()), MapsRequest(("red", "star")), Turn()).maps
    for model, block in view["models"].items():
        height, width = block["grid"]
        expected = maps[model].weights[0].numpy() * height * width
        assert values(block) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_positions_run_from_first_to_last_layer_of_every_model(handlers, token):
    view = handlers.compare({"words": ["red"], "token": token})["view"]
    counts = {model: len(block["layers"]) for model, block in view["models"].items()}
    _, *depths = view["positions"]
    assert len(depths) == max(counts.values())
    assert depths[0]["layers"] == dict.fromkeys(counts, 0)
    assert depths[-1]["layers"] == {model: count - 1 for model, count in counts.items()}


def test_a_position_has_one_scale_that_holds_the_maps_of_all_models(handlers, token):
    view = handlers.compare({"words": ["red", "star"], "token": token})["view"]
    for position in view["positions"]:
        shown = [values(view["models"][model])[layer] for model, layer in position["layers"].items()]
        assert position["scale"]["high"] == pytest.approx(max(2, *(each.max() for each in shown)), rel=1e-4)
        for word, scale in enumerate(position["word_scales"]):
            assert scale["high"] == pytest.approx(max(2, *(each[word].max() for each in shown)), rel=1e-4)


def test_columns_stand_in_the_order_asked_for_on_a_scale_of_their_own(handlers, token):
    asked = {"words": ["red", "star"], "token": token, "columns": ["baseline", "teacher"]}
    view = handlers.compare(asked)["view"]
    assert list(view["models"]) == ["baseline", "teacher"]
    shown = [values(view["models"][model])[view["positions"][0]["layers"][model]] for model in view["models"]]
    assert view["positions"][0]["scale"]["high"] == pytest.approx(max(2, *(each.max() for each in shown)), rel=1e-4)


def test_any_two_columns_and_the_teacher_are_compared_in_numbers(handlers, token, engine):
    view = handlers.compare({"words": ["red", "star"], "token": token, "columns": ["lfi", "baseline"]})["view"]
    for position in view["positions"]:
        pairs = {(pair["first"], pair["second"]): pair["words"] for pair in position["pairs"]}
        assert set(pairs) == {("lfi", "baseline"), ("lfi", "teacher"), ("baseline", "teacher")}
        assert all(len(words) == 2 for words in pairs.values())
    comparison = engine.ask(Picture.of(scene()), MapsRequest(("red", "star")), Turn())
    chosen = [comparison.maps[model].layer(comparison.default_layer[model]) for model in ("lfi", "teacher")]
    expected = agreement(*chosen)[1]
    first = view["positions"][0]["pairs"][1]["words"][1]
    assert first["correlation"] == pytest.approx(expected.correlation, abs=1e-4)
    assert first["shared"] == pytest.approx(expected.shared, abs=1e-4)


def test_drift_is_said_for_every_word_and_every_query(handlers, token):
    view = handlers.compare({"words": ["red", "star"], "token": token})["view"]
    for block in (*view["models"].values(), view["queries"]):
        assert [len(one["steps"]) for one in block["drift"]] == [len(block["layers"]) - 1] * len(block["names"])
        moved = np.abs(np.diff(values(block), axis=0)).sum((-2, -1)) / 2 / (block["grid"][0] * block["grid"][1])
        assert pytest.approx(moved, abs=1e-4) == np.array([one["steps"] for one in block["drift"]]).T


def test_a_forgotten_picture_is_asked_for_again(handlers):
    answer = handlers.compare({"words": ["red"], "token": "0" * 64})
    assert answer["error"]["forgotten"]
    assert answer["error"]["where"] == "picture"


def test_pictures_over_the_budget_are_forgotten_oldest_first(engine):
    one = 3 * 64 * 64
    pictures = OpenPictures(engine.decode, budget=2 * one)

    def add(colour: str, side: int = 64) -> str:
        return pictures.add(File(as_bytes(Image.new("RGB", (side, side), colour))), Turn()).sha256

    tokens = [add(colour) for colour in ("red", "blue")]
    pictures.get(tokens[0])
    third = add("green")
    assert [pictures.get(token) is not None for token in (*tokens, third)] == [True, False, True]
    large = add("red", 128)  # the newest is always held
    assert [pictures.get(token) is not None for token in (third, large)] == [False, True]


def test_an_unknown_word_leaves_the_picture_and_names_the_nearest(handlers, token):
    answer = handlers.compare({"words": ["red", "cirle"], "token": token})
    assert answer["picture"]["token"] == token
    assert answer["error"]["where"] == "words"
    assert answer["error"]["unknown"]["cirle"][0] == "circle"


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (None, "page"),
        ([], "page"),
        ("red", "page"),
        ({}, "page"),
        ({"words": "red"}, "page"),
        ({"words": [1]}, "page"),
        ({"words": ["red"], "extra": 1}, "page"),
        ({"words": ["red"] * 1000}, "page"),
        ({"words": ["red"], "columns": []}, "page"),
        ({"words": ["red"], "columns": ["lfi"] * 4}, "page"),
        ({"words": ["red"], "token": "../../etc/passwd"}, "page"),
        ({"words": ["red"], "sample": "../../card"}, "picture"),
        ({"words": ["red"]}, "picture"),
        (DataWithFiles(data={}, files=[("x", b"x")]), "page"),
        (DataWithFiles(data={"request": "{"}, files=[("x", b"x")]), "page"),
        (form({"words": ["red"]}), "picture"),
        (form({"words": ["red"]}, b"x", b"y"), "picture"),
        (form({"words": ["red"]}, b"this is no picture"), "picture"),
        (form({"words": [" "]}, as_bytes(scene())), "words"),
        (form({"words": ["red"], "trio": "none"}, as_bytes(scene())), "page"),
    ],
)
def test_bad_requests_are_answered_where_the_trouble_is(handlers, payload, where):
    answer = handlers.compare(payload)
    assert answer["error"]["where"] == where
    assert answer["error"]["message"]


@pytest.mark.parametrize(
    "wrong", [{"format": "exe"}, {"position": 99}, {"position": -1}, {"palette": "jet"}, {"format": None}]
)
def test_a_download_that_makes_no_sense_is_refused(handlers, token, wrong):
    answer = handlers.download({"words": ["red"], "token": token, "format": "svg", **wrong})
    assert answer["error"]["where"] == "page"


def test_a_file_is_named_after_its_words(handlers, token):
    answer = handlers.download({"words": ["red star", "blue"], "token": token, "format": "npz"})
    assert answer["name"] == "lfi-red-star-blue.npz"
    assert np.load(io.BytesIO(base64.b64decode(answer["data"])))["words"].tolist() == ["red star", "blue"]


def test_until_the_models_are_warm_the_page_is_told_so(settings):
    cold = Handlers(Engine(settings), {})
    assert cold.describe() == {"ready": False, "problem": None}
    assert cold.check({"words": ["red"]})["error"]["retry"]


def test_the_description_names_models_limits_and_what_was_learned(handlers):
    about = handlers.describe()
    (trio,) = about["trios"]
    assert [model["key"] for model in trio["models"]] == ["teacher", "lfi", "baseline"]
    assert trio["note"] == ["It has learned nothing."]
    assert all(["Learned from", "nothing"] in model["facts"] for model in trio["models"])
    assert about["limits"]["bytes"] == handlers.settings.max_bytes
    assert {sample["name"] for sample in about["samples"]} == set(handlers.samples)


def test_a_kept_picture_is_found_again_by_its_hash_and_gone_when_let_go(handlers, token):
    answer = handlers.keep({"words": [], "token": token})
    hash, key = answer["picture"]["token"], answer["kept"]["key"]
    shown = handlers.compare({"words": ["red"], "token": hash})["view"]
    later = Unhurried(handlers.engine, {})  # as after a restart
    assert later.compare({"words": ["red"], "token": hash})["view"]["models"] == shown["models"]
    assert handlers.forget({"token": hash, "keys": ["guessed"]})["error"]["where"] == "share"
    assert handlers.forget({"token": hash, "keys": ["lapsed", key]}) == {}
    assert handlers.compare({"words": ["red"], "token": hash})["error"]["forgotten"]


@pytest.mark.parametrize("region", ["é", "no base64", "AAAA"])
def test_a_region_that_is_none_is_said(handlers, token, region):
    for ask in (handlers.download, handlers.measure):
        asked = {"words": ["red"], "token": token, "region": region}
        answer = ask(asked | ({"format": "png"} if ask == handlers.download else {}))
        assert "the region cannot be read" in answer["error"]["message"]


def test_a_form_that_is_nested_without_end_is_no_json(handlers):
    form = DataWithFiles(data={"request": "[" * 100_000}, files=[("picture.png", b"")])
    assert "is not JSON" in handlers.compare(form)["error"]["message"]


@pytest.mark.parametrize("payload", [None, [], {}, {"token": "../x", "key": ""}, {"token": "0" * 64, "key": 1}])
def test_letting_go_of_nothing_is_refused(handlers, payload):
    assert handlers.forget(payload)["error"]["message"]


def test_a_picture_and_its_words_become_items_of_a_study(handlers, token):
    answer = handlers.download({"words": ["red star", "blue"], "token": token, "format": "study"})
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(answer["data"])))
    items = tomllib.loads(archive.read("items.toml").decode())["items"]
    assert [item["word"] for item in items] == ["red star", "blue"]
    assert {item["image"] for item in items} == set(archive.namelist()) - {"items.toml"}


def test_the_numbers_come_as_the_api_gives_them(handlers, token):
    answer = handlers.download({"words": ["red"], "token": token, "format": "json", "columns": ["lfi", "teacher"]})
    body = json.loads(base64.b64decode(answer["data"]))
    assert list(body["models"]) == ["lfi", "teacher"]
    assert body["image"]["sha256"] == token


def test_a_figure_carries_the_cards_of_its_models(handlers, token):
    answer = handlers.download({"words": ["red"], "token": token, "format": "svg"})
    drawn = base64.b64decode(answer["data"]).decode()
    assert "Learned from nothing" in drawn
    assert "It has learned nothing" in drawn


def test_a_figure_says_each_limit_once_and_calls_the_models_as_the_page_does(handlers, token):
    answer = handlers.download({"words": ["red"], "token": token, "format": "svg"})
    drawn = base64.b64decode(answer["data"]).decode()
    shown = drawn.partition("<defs>")[2]  # the caption stands in the file's metadata, too
    assert shown.count("It has learned nothing") == 1
    assert "Result-oriented baseline" in shown


def figure_of(handlers, token, **more) -> np.ndarray:
    answer = handlers.download({"words": ["red"], "token": token, "format": "png", **more})
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB")).astype(int)


def test_a_figure_has_the_opacity_of_the_page(handlers, token):
    def from_usual(opacity: float) -> float:
        return np.abs(figure_of(handlers, token, opacity=opacity) - figure_of(handlers, token)).mean()

    assert from_usual(0.9) == 0
    assert 0 < from_usual(0.5) < from_usual(0)
    assert handlers.download({"words": ["red"], "token": token, "format": "png", "opacity": 2})["error"]


def test_a_figure_outlines_the_marked_region(handlers, token):
    region = Image.new("L", (64, 64))
    region.paste(255, (0, 0, 32, 64))
    marked = base64.b64encode(as_bytes(region)).decode()
    yellow = (figure_of(handlers, token, region=marked) == [255, 214, 0]).all(-1)
    assert yellow.sum() > 1000
    assert not (figure_of(handlers, token) == [255, 214, 0]).all(-1).any()
    drawn = handlers.download({"words": ["red"], "token": token, "format": "svg", "region": marked})
    assert "the region that was marked, 50% of the image" in base64.b64decode(drawn["data"]).decode()


def test_a_kept_picture_says_until_when_and_whether_it_is_the_very_picture(handlers, token):
    answer = handlers.keep({"words": ["red"], "token": token})["picture"]
    assert answer["exact"]
    shown = handlers.compare({"words": ["red"], "token": answer["token"]})
    assert shown["picture"]["until"] == answer["until"] == handlers.engine.kept.until(answer["token"])
    before = handlers.compare({"words": ["red"], "token": token})
    assert shown["view"]["models"] == before["view"]["models"]


def test_of_the_nearest_words_only_close_ones_are_offered(handlers, token):
    error = handlers.compare({"words": ["dog", "cirle"], "token": token})["error"]
    assert error["unknown"] == {"dog": [], "cirle": ["circle"]}


def test_the_page_is_told_under_which_names_its_words_are_answered(handlers, token):
    words = ["the star", "red"]
    called = {"the star": "star", "red": "red"}
    assert handlers.check({"words": words}) == {"called": called}
    view = handlers.compare({"words": words, "token": token})["view"]
    assert (view["words"], view["called"]) == (["star", "red"], called)
