"""`POST /v1/maps` and `GET /v1/models`: raw maps of three models in three forms, the same for everybody."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_trio import COLOURS, SHAPES
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from uploads import as_bytes, scene

from app.engine.bodies import MapsBody, ModelsBody
from lfi.comparison import MODELS
from lfi.trio import Trio

WORDS = ("red circle", "star", "blue")


@pytest.fixture(scope="module")
def trio(trio_folder: Path) -> Trio:
    """The service's trio, loaded once more: it keeps nothing, and nobody else asks it."""
    return Trio.load(trio_folder)


NAMES = {"teacher": "tiny-teacher", "lfi": "tiny lfi", "baseline": "tiny baseline"}
LAYERS = {"teacher": 2, "lfi": 3, "baseline": 3, "interaction_queries": 3}
GRIDS = {"teacher": 4, "lfi": 6, "baseline": 6, "interaction_queries": 6}
KINDS = {
    "teacher": "cross-attention",
    "lfi": "interaction-query",
    "baseline": "gradient",
    "interaction_queries": "interaction-query",
}


def weights(block: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(block["weights"]), "<f2").reshape(block["shape"])


def test_the_json_answer_holds_maps_that_sum_to_one_with_their_names_and_cards(ask, trio_folder):
    data = as_bytes(scene())
    card = json.loads((trio_folder / "card.json").read_text())

    answer = ask(words=list(WORDS), image=data)

    body = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert list(body["models"]) == ["teacher", "lfi", "baseline"]
    assert body["words"] == ["red circle", "star", "blue"]
    assert body["image"] == {"width": 96, "height": 64, "sha256": hashlib.sha256(data).hexdigest()}
    assert body["trio"] == "tiny"
    assert body["seconds"].keys() == set(MODELS)
    for name, block in [*body["models"].items(), ("interaction_queries", body["interaction_queries"])]:
        queries = ["query 1", "query 2", "query 3", "query 4"] if name == "interaction_queries" else list(WORDS)
        assert block["queries"] == queries, name
        assert block["shape"] == [LAYERS[name], len(queries), GRIDS[name], GRIDS[name]]
        assert len(block["layers"]) == LAYERS[name]
        fields = {"queries", "layers", "shape", "weights", "outside", "kind", "model"}
        own = {"named"} if name == "interaction_queries" else {"default_layer", "card", "presence", "absent"}
        assert set(block) == fields | own
        if name in MODELS:  # this trio was not calibrated
            assert (block["presence"], block["absent"]) == (None, None)
        assert block["kind"] == KINDS[name]
        np.testing.assert_allclose(weights(block).astype(float).sum((-2, -1)), 1, atol=5e-3)
        assert np.shape(block["outside"]) == (LAYERS[name], len(queries))
    for name in MODELS:
        block = body["models"][name]
        assert block["default_layer"] == card["default_layer"][name]
        fingerprint = block["card"].pop("fingerprint")
        assert block["card"] == card["models"][name]
        assert block["model"] == f"{NAMES[name]}@{fingerprint}"


def test_the_json_answer_s_scale_ends_at_the_strongest_map_that_is_shown(ask):
    body = ask(words=list(WORDS)).json()
    shown = [weights(block)[block["default_layer"]] for block in body["models"].values()]
    strongest = max(float(maps.max()) * maps.shape[-1] * maps.shape[-2] for maps in shown)
    assert body["scale"] == {
        "low": 1,
        "high": pytest.approx(strongest, rel=2e-3),
        "unit": "times uniform attention",
        "spacing": "logarithmic",
    }


def test_a_word_is_shown_by_the_query_whose_name_is_nearest(ask):
    body = ask(words=list(WORDS)).json()
    own, queries = weights(body["models"]["lfi"]), weights(body["interaction_queries"])
    assert [each["word"] for each in body["addressed"]] == list(WORDS)
    for number, each in enumerate(body["addressed"]):
        assert np.array_equal(own[:, number], queries[:, each["query"]])
        assert -1 <= each["nearness"] <= 1
    assert len({each["nearness"] for each in body["addressed"]}) == len(WORDS)
    phrases = {*COLOURS, *SHAPES}
    assert len(body["interaction_queries"]["named"]) == 4
    assert {name for name, _ in body["interaction_queries"]["named"]} <= phrases


def test_the_maps_are_those_that_the_trio_itself_draws_of_the_picture(ask, trio):
    comparison = trio.compare(scene(), WORDS)
    for name, block in ask(words=list(WORDS)).json()["models"].items():
        np.testing.assert_allclose(weights(block), comparison.maps[name].weights[0].numpy(), atol=1e-4, rtol=2e-3)
        np.testing.assert_allclose(block["outside"], comparison.maps[name].outside[0].numpy(), atol=1e-5)


def test_the_openapi_document_describes_the_answers_as_they_are(ask, client):
    MapsBody.model_validate(ask().json(), strict=False)
    ModelsBody.model_validate(client.get("/v1/models").json())
    assert set(ask().json()) == set(MapsBody.model_fields)


def test_npz_and_json_agree_to_float16(ask):
    body = ask(words=list(WORDS)).json()
    packed = ask(words=list(WORDS), accept="application/x-npz")

    assert packed.headers["content-type"] == "application/x-npz"
    assert packed.headers["content-disposition"] == 'attachment; filename="maps.npz"'
    with np.load(io.BytesIO(packed.content), allow_pickle=False) as arrays:
        assert set(arrays) == {
            "words",
            "about",
            *(
                f"{name}_{part}"
                for name in (*MODELS, "interaction_queries")
                for part in ("weights", "outside", "queries", "layers")
            ),
        }
        assert arrays["words"].tolist() == list(WORDS)
        for name, block in {**body["models"], "interaction_queries": body["interaction_queries"]}.items():
            assert arrays[f"{name}_weights"].dtype == np.float32
            assert np.array_equal(arrays[f"{name}_weights"].astype("<f2"), weights(block))
            assert np.allclose(arrays[f"{name}_outside"], block["outside"])
            assert arrays[f"{name}_queries"].tolist() == block["queries"]
            assert arrays[f"{name}_layers"].tolist() == block["layers"]
        about = json.loads(str(arrays["about"]))
        assert about["image"] == body["image"]
        assert about["maps"]["lfi"]["model"] == body["models"]["lfi"]["model"]


def test_a_zip_holds_one_overlay_per_model_and_word_on_one_scale(ask):
    packed = ask(words=list(WORDS), accept="application/zip")

    assert packed.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        overlays = {
            f"{model}-{number:02d}-{word.replace(' ', '-')}.webp"
            for model in MODELS
            for number, word in enumerate(WORDS, start=1)
        }
        assert set(archive.namelist()) == {*overlays, "scale.webp", "maps.npz", "README.txt"}
        for name in overlays:
            with Image.open(io.BytesIO(archive.read(name))) as overlay:
                assert (overlay.format, overlay.size) == ("WEBP", (96, 64))
        readme = archive.read("README.txt").decode()
        assert all(word in readme for word in WORDS)
        assert np.load(io.BytesIO(archive.read("maps.npz")))["words"].tolist() == list(WORDS)


def test_a_large_image_is_drawn_at_the_size_of_a_screen(ask):
    packed = ask(image=as_bytes(scene(2400, 1200), "JPEG"), models="teacher", accept="application/zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        with Image.open(io.BytesIO(archive.read("teacher-01-red-circle.webp"))) as overlay:
            assert overlay.size == (1600, 800)
        assert "at most 1600 pixels" in archive.read("README.txt").decode()


def test_more_overlays_than_anybody_looks_at_are_refused(ask, engine):
    words = [
        f"{colour} {shape}"
        for colour in ("red", "blue", "green", "yellow")
        for shape in ("star", "ring", "heart", "moon")
    ]
    per_word = sum(len(block["queries"]) for block in ask(words="star", heads=True).json()["models"].values())

    answer = ask(words=words, heads=True, accept="application/zip")

    if per_word * 16 <= 96:
        pytest.fail("the tiny trio has too few heads to try this")
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        f"{per_word * 16} overlays would be drawn; at most 96 are: ask for fewer words or models, or without heads",
    )


def test_words_in_another_order_are_the_same_maps_in_another_order(ask):
    there, back = ask(words=list(WORDS)).json(), ask(words=list(WORDS[::-1])).json()
    for model in MODELS:
        one, other = weights(there["models"][model]), weights(back["models"][model])
        assert np.allclose(one, other[:, ::-1], atol=2e-3)
    assert there["addressed"] == back["addressed"][::-1]
    for model in ("teacher", "baseline"):  # two words may share one Interaction Query, and so LFI's map
        one = weights(there["models"][model])
        assert not np.allclose(one[:, 0], one[:, 1], atol=2e-3)


def test_words_may_share_one_field(ask):
    apart, together = ask(words=list(WORDS)).json(), ask(words=", ".join(WORDS)).json()
    assert apart["models"] == together["models"]


def test_articles_are_left_out(ask):
    """The tiny teacher itself knows "a": its map of "a star" would be another one."""
    plain, full = ask(words=list(WORDS)).json(), ask(words=[*(f"a {word}" for word in WORDS), "The star"]).json()
    assert full["words"] == list(WORDS)
    assert full["models"] == plain["models"]
    assert full["addressed"] == plain["addressed"]
    assert ask(words="the").json()["unknown"].keys() == {"the"}


def test_only_the_models_and_layers_that_are_asked_for_are_answered(ask):
    everything = ask().json()
    some = ask(models="baseline,teacher", layers="0").json()

    assert list(some["models"]) == ["teacher", "baseline"]
    for model, block in some["models"].items():
        whole = everything["models"][model]
        assert block["layers"] == whole["layers"][:1]
        assert np.array_equal(weights(block), weights(whole)[:1])
        assert block["default_layer"] < len(block["layers"])


def test_explanations_are_asked_for_by_the_names_that_are_listed(ask, client, engine):
    listed = client.get("/v1/models").json()["trios"][0]["explanations"]
    names = ["baseline", *listed]

    body = ask(models=names).json()

    assert set(body["models"]) == set(names)
    for name in listed:
        model, kind = name.split(":")
        block = body["models"][name]
        assert (block["kind"], block["layers"]) == (kind, listed[name])
        assert block["card"] == engine.trios.get().cards[model]
    assert body["models"]["baseline:gradient"]["weights"] == body["models"]["baseline"]["weights"]
    MapsBody.model_validate(body)
    with np.load(io.BytesIO(ask(models="baseline:grad-cam", accept="application/x-npz").content)) as arrays:
        assert {"baseline-grad-cam_weights", "baseline-grad-cam_layers"} <= set(arrays)
    with zipfile.ZipFile(io.BytesIO(ask(models="lfi:rollout", accept="application/zip").content)) as archive:
        assert "lfi-rollout-01-red-circle.webp" in archive.namelist()


@pytest.mark.parametrize("name", ["lfi:magic", "teacher:rollout", "lfi:legrad"])
def test_an_explanation_that_nobody_has_is_answered_with_those_that_there_are(ask, name):
    answer = ask(models=name)
    assert answer.status_code == 422
    assert repr(name) in answer.json()["detail"]
    assert "baseline:rollout" in answer.json()["detail"]


def test_the_mean_over_heads_is_the_map_without_heads(ask):
    mean, heads = ask(words="star").json(), ask(words="star", heads=True).json()
    teacher = heads["models"]["teacher"]
    assert all(name.startswith("star · head ") for name in teacher["queries"])
    assert len(teacher["queries"]) > len(mean["models"]["teacher"]["queries"]) == 1


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photo_gives_the_maps_of_the_photo_as_people_see_it(ask, orientation):
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    exif = Image.Exif()
    exif[0x0112] = orientation

    by_camera = ask(image=as_bytes(scene(), exif=exif)).json()
    by_hand = ask(image=as_bytes(scene().transpose(turn[orientation]))).json()

    assert by_camera["models"] == by_hand["models"]
    assert by_camera["models"] != ask().json()["models"]


def test_new_words_on_a_known_image_run_the_models_over_it_once(ask):
    cut = []  # sizes of what was cut into patches: every model begins so
    watch = register_module_forward_hook(
        lambda module, _, out: cut.append(tuple(out.shape)) if isinstance(module, nn.Conv2d) else None
    )
    picture = as_bytes(scene(40, 56))
    with watch, ThreadPoolExecutor(4) as people:
        answers = list(people.map(lambda word: ask(image=picture, words=word).json(), ("star", "ring", "star", "blue")))
    assert sorted(cut) == [(1, 24, 6, 6), (1, 24, 6, 6), (1, 32, 4, 4)]
    assert [answer["words"] for answer in answers] == [["star"], ["ring"], ["star"], ["blue"]]
    assert {(answer["image"]["width"], answer["image"]["height"]) for answer in answers} == {(40, 56)}


def test_sixteen_people_at_once_get_the_answers_that_one_gets(ask, trio):
    pictures = [scene(64 + 8 * number, 64) for number in range(4)]
    questions = [(picture, word) for picture in pictures for word in ("star", "red circle", "blue", "ring")]

    def models(question: tuple[Image.Image, str]) -> dict:
        return ask(image=as_bytes(question[0]), words=question[1]).json()["models"]

    with ThreadPoolExecutor(16) as people:
        together = list(people.map(models, questions))
    for (picture, word), found in zip(questions, together, strict=True):
        for name, alone in trio.compare(picture, [word]).maps.items():
            np.testing.assert_allclose(weights(found[name]), alone.weights[0].numpy(), atol=1e-4, rtol=2e-3)
            np.testing.assert_allclose(found[name]["outside"], alone.outside[0].numpy(), atol=1e-5)
            assert (found[name]["queries"], found[name]["layers"]) == ([word], list(alone.layers))


def test_the_models_are_listed_with_their_cards_layers_and_words(client, engine):
    trio = engine.trios.get()
    answer = client.get("/v1/models")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "default": trio.name,
            "trios": [
                {
                    "name": trio.name,
                    "explanation": trio.explanation,
                    "vocabulary": list(trio.vocabulary),
                    "models": {
                        name: {"card": trio.cards[name], "layers": list(trio.layers[name]), "presence": None}
                        for name in MODELS
                    },
                    "explanations": {name: list(trio.layers[name]) for name in trio.layers if name not in MODELS},
                }
            ],
        },
    )
