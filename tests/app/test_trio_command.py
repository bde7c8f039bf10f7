"""`lfi trio`: models of one's own in a folder that the page, `lfi maps` and `lfi evaluate maps` read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commandline import lfi
from fastapi.testclient import TestClient
from running import wait_until_ready
from tiny_peers import clip_folder, timm_folder
from tiny_trio import COLOURS, SHAPES, VOCABULARY
from uploads import as_bytes, scene

from app.main import create_app
from app.settings import read_settings
from lfi.comparison import MODELS
from lfi.data.scenes import CLASSES
from lfi.students import Student, StudentConfig
from lfi.students.explanations import EXPLANATIONS
from lfi.teachers import load_teacher, save_teacher
from lfi.teachers.loading import build
from lfi.training.cards import run_card
from lfi.training.config import DataConfig, ObjectiveConfig, TrainConfig
from lfi.training.provenance import write_provenance
from lfi.trio import Trio

MADE = ("card.json", "teacher/open_clip_config.json", "lfi/student.safetensors", "baseline/student.safetensors")


@pytest.fixture(scope="module")
def models(trio_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny models, apart: a teacher's folder and two runs as `lfi train` leaves them."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(trio_folder / "teacher", folder / "teachers" / "mine")
    label = load_teacher(trio_folder / "teacher").label
    objectives = {
        "lfi": ObjectiveConfig(interaction=0.1, naming=0.5),
        "baseline": ObjectiveConfig(logit_kd=1.0, feature_kd=0.1),
    }
    for part, objective in objectives.items():
        config = TrainConfig(data=DataConfig(count=64, seed=3), objective=objective)
        write_provenance(folder / part, config, teacher=label)
        records = [{"step": 1, "loss": 2.0}, {"step": 2, "mAP": 12.34}]
        (folder / part / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
        shutil.copyfile(trio_folder / part / "student.safetensors", folder / part / "student.safetensors")
    return folder


@pytest.fixture(scope="module")
def made(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trio that is made of them, its layers chosen on three scenes."""
    out = tmp_path_factory.mktemp("trios") / "mine"
    command = ["trio", models / "teachers/mine", models / "lfi", models / "baseline/student.safetensors", "--out", out]
    said = ["--summary", "Shapes", "--title", "baseline=Logit and feature KD", "--note", "Random weights."]
    assert lfi(*command, *said, "--scenes", 3) == 0
    return out


def test_it_holds_the_models_and_says_what_their_runs_left(made, trio_folder):
    assert {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} >= set(MADE)
    trio, before = Trio.load(made), Trio.load(trio_folder)
    assert (trio.name, trio.fingerprints) == ("mine", before.fingerprints)
    assert set(trio.vocabulary) >= set(VOCABULARY)
    assert "of" not in trio.vocabulary
    assert trio.phrases == CLASSES
    assert set(json.loads((made / "card.json").read_text())["default_layer"]) == set(trio.layers) - {
        "teacher:dense-similarity"
    }
    expected = {
        "title": "Logit and feature KD",
        "data": "64 generated scenes (seed 3)",
        "seed": 0,
        "steps": 2,
        "losses": {"logit KD": 1.0, "feature KD": 0.1},
        "figures": {"mAP on validation images, %": 12.3},
        "limits": ["Random weights."],
        "explanation": trio.explanation,
        "parameters": sum(weight.numel() for weight in trio.baseline.parameters()),
        "fingerprint": trio.fingerprints["baseline"],
    }
    assert expected.items() <= trio.cards["baseline"].items()


def test_the_service_answers_with_it(made):
    with TestClient(create_app(read_settings(models_dir=made.parent, trio="mine"))) as client:
        wait_until_ready(client)
        assert [trio["name"] for trio in client.get("/v1/models").json()["trios"]] == ["mine"]
        files = {"image": ("scene.png", as_bytes(scene()))}
        assert set(client.post("/v1/maps", files=files, data={"words": "star"}).json()["models"]) == set(MODELS)


def test_maps_are_drawn_and_measured_with_it(made, tmp_path, capsys):
    scene().save(tmp_path / "scene.png")
    assert lfi("maps", tmp_path / "scene.png", "--word", "star", "--trio", made, "--out", tmp_path / "maps") == 0
    assert (tmp_path / "maps/figure.svg").is_file()
    assert lfi("evaluate", "maps", made, "--scenes", 3, "--json", tmp_path / "maps.json") == 0
    assert "LFI: insertion" in json.loads((tmp_path / "maps.json").read_text())["figures"]


def test_words_and_explanation_can_be_named_and_nothing_measured(models, tmp_path, capsys):
    (tmp_path / "words").write_text("star\n circle \nstar\n")
    (tmp_path / "phrases").write_text("red star\nblue circle\n")
    command = ["trio", models / "teachers/mine", models / "lfi", models / "baseline", "--out", tmp_path / "trio"]
    words = ["--vocabulary", tmp_path / "words", "--phrases", tmp_path / "phrases"]
    assert lfi(*command, *words, "--explanation", "dense-similarity", "--scenes", 0) == 0
    assert "explained by dense-similarity (as asked)" in capsys.readouterr().out
    trio = Trio.load(tmp_path / "trio")
    assert (trio.vocabulary, trio.phrases) == (("star", "circle"), ("red star", "blue circle"))
    assert [trio.default_layer[model] for model in MODELS] == [0, 2, 0]


def test_a_teacher_that_belongs_to_a_trio_brings_its_card(trio_folder, models, tmp_path):
    assert lfi("trio", trio_folder, models / "lfi", models / "baseline", "--out", tmp_path / "x", "--scenes", 0) == 0
    trio = Trio.load(tmp_path / "x")
    assert trio.phrases == (*COLOURS, *SHAPES)
    assert trio.cards["teacher"]["limits"] == ["It has learned nothing."]


@pytest.mark.slow
def test_peers_stand_beside_the_three_everywhere(models, tmp_path, capsys):
    clip, vit = clip_folder(tmp_path / "sources" / "clip"), timm_folder(tmp_path / "sources" / "vit")
    out = tmp_path / "trios" / "peered"
    command = ["trio", models / "teachers/mine", models / "lfi", models / "baseline", "--out", out, "--scenes", 0]
    assert lfi(*command, "--peer", f"clip={clip}", "--peer", f"vit={vit}", "--note", "Random weights.") == 0
    shutil.rmtree(tmp_path / "sources")  # the trio holds its peers
    scene().save(tmp_path / "scene.png")
    asked = ["maps", tmp_path / "scene.png", "--word", "star", "--trio", out, "--out", tmp_path / "maps"]
    assert lfi(*asked, "--models", "lfi,clip,vit:rollout") == 0
    assert {path.name for path in (tmp_path / "maps").iterdir()} >= {"clip-01-star.webp", "vit-rollout-01-star.webp"}
    assert lfi(*asked, "--models", "vit:legrad") == 2
    assert "'star' (nearest: " in capsys.readouterr().err
    assert lfi("evaluate", "maps", out, "--scenes", 3, "--json", tmp_path / "maps.json") == 0
    record = json.loads((tmp_path / "maps.json").read_text())
    assert {
        *(f"clip, {explanation}: insertion" for explanation in EXPLANATIONS),
        "vit, rollout: pointing game",
        "vit, self-attention: rank correlation with its map after noise in everything",
        "clip, legrad: rank correlation with its map after noise in everything",
        "baseline, rollout: rank correlation with its map after noise in everything",
    } <= set(record["figures"])
    assert not {name for name in record["figures"] if name.startswith(("vit, legrad", "vit, rollout: insertion"))}
    with TestClient(create_app(read_settings(models_dir=out.parent, trio="peered"))) as client:
        wait_until_ready(client)
        (told,) = client.get("/v1/models").json()["trios"]
        assert told["models"]["clip"]["card"]["title"] == "tiny-clip"
        assert told["models"]["vit"]["card"]["limits"] == ["Random weights."]
        files = {"image": ("scene.png", as_bytes(scene()))}
        answer = client.post(
            "/v1/maps", files=files, data={"words": "star", "models": "vit,clip:legrad,teacher"}
        ).json()
        assert list(answer["models"]) == ["teacher", "vit", "clip:legrad"]
        assert answer["models"]["vit"]["card"]["kind"] == "ViT of timm"


def test_peers_that_cannot_be_are_refused(models, tmp_path, capsys):
    command = [models / "teachers/mine", models / "lfi", models / "baseline", "--out", tmp_path / "trio"]
    assert "--peer is 'clip'; NAME=TEXT was expected" in refused(capsys, *command, "--peer", "clip")
    assert "a peer cannot be called 'lfi'" in refused(
        capsys, *command, "--peer", "lfi=timm:vit_tiny_patch16_224:random"
    )
    assert "is not a peer; timm:NAME" in refused(capsys, *command, "--peer", f"clip={tmp_path / 'gone'}")
    twice = ["--peer", "vit=timm:vit_tiny_patch16_224:random"] * 2
    assert "--peer names 'vit' twice" in refused(capsys, *command, *twice)
    assert not (tmp_path / "trio").exists()


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says when it refuses, which must be one line."""
    assert lfi("trio", *arguments) == 2
    said = capsys.readouterr().err
    assert (said.startswith("lfi: "), said.count("\n")) == (True, 1)
    return said


def test_models_that_do_not_fit_are_refused_and_nothing_is_written(models, trio_folder, tmp_path, capsys):
    teacher, ours, theirs, out = models / "teachers/mine", models / "lfi", models / "baseline", tmp_path / "trio"
    to = ["--out", out, "--scenes", 0]
    narrow = StudentConfig(**{**Student.load(ours / "student.safetensors").config.__dict__, "text_dim": 16})
    Student(narrow).save(tmp_path / "narrow" / "student.safetensors")
    config = json.loads((teacher / "open_clip_config.json").read_text())["model_cfg"]
    card = {"name": "other", "vocabulary": ["star"], "default_layers": [0]}
    save_teacher(tmp_path / "other", build(config, "other"), config, mean=[0.5] * 3, std=[0.25] * 3, card=card)
    tower = {**config["vision_cfg"], "output_tokens": False}
    clip = {"embed_dim": 32, "vision_cfg": tower, "text_cfg": {"width": 32, "heads": 4, "layers": 1}}
    save_teacher(tmp_path / "clip", build(clip, "clip"), clip, mean=[0.5] * 3, std=[0.25] * 3, card={"name": "a CLIP"})
    damaged = tmp_path / "damaged"
    shutil.copytree(ours, damaged)
    (damaged / "config.json").write_text("{}")
    (tmp_path / "unknown").write_text("zebra\n")
    (tmp_path / "empty").write_text("\n")

    assert "no named Interaction Queries" in refused(capsys, teacher, theirs, ours, *to)
    assert "into 16 dimensions; the text space of tiny-teacher has 32" in refused(
        capsys, teacher, tmp_path / "narrow", theirs, *to
    )
    assert "was trained on tiny-teacher@" in refused(capsys, tmp_path / "other", ours, theirs, *to)
    assert "was trained on tiny-teacher@" in refused(capsys, tmp_path / "clip", ours, theirs, *to)
    assert "is not a folder" in refused(capsys, tmp_path / "none", ours, theirs, *to)
    assert "there is no student" in refused(capsys, teacher, tmp_path, theirs, *to)
    assert "is not a folder that `lfi train` wrote" in refused(capsys, teacher, damaged, theirs, *to)
    assert "cannot be explained by 'magic'" in refused(capsys, teacher, ours, theirs, *to, "--explanation", "magic")
    assert "a title for 'them'" in refused(capsys, teacher, ours, theirs, *to, "--title", "them=x")
    assert "NAME=TEXT was expected" in refused(capsys, teacher, ours, theirs, *to, "--title", "them")
    assert "'zebra'" in refused(capsys, teacher, ours, theirs, *to, "--phrases", tmp_path / "unknown")
    assert "has no words in it" in refused(capsys, teacher, ours, theirs, *to, "--vocabulary", tmp_path / "empty")
    said = refused(capsys, teacher, ours, theirs, *to, "--vocabulary", tmp_path / "none")
    assert f"cannot read {tmp_path / 'none'}: no such file or directory" in said
    assert not out.exists()
    assert "choose another folder" in refused(capsys, teacher, ours, theirs, "--out", models)


def test_a_teacher_of_any_word_needs_names_for_the_queries(models, tmp_path, capsys):
    config = json.loads((models / "teachers/mine/open_clip_config.json").read_text())["model_cfg"]
    for part in ("text_cfg", "multimodal_cfg"):
        config[part]["vocab_size"] = 49408
    save_teacher(
        tmp_path / "bpe", build(config, "bpe"), config, mean=[0.5] * 3, std=[0.25] * 3, card={"name": "any-word"}
    )
    students = [tmp_path / "lfi.safetensors", tmp_path / "baseline.safetensors"]
    for part, file in zip(MODELS[1:], students, strict=True):
        shutil.copyfile(models / part / "student.safetensors", file)
    command = [tmp_path / "bpe", *students, "--out", tmp_path / "trio"]
    assert "any-word knows any word" in refused(capsys, *command)
    (tmp_path / "phrases").write_text("a dog\na cat\n")
    assert lfi("trio", *command, "--phrases", tmp_path / "phrases") == 0
    trio = Trio.load(tmp_path / "trio")
    assert (trio.vocabulary, trio.phrases) == ((), ("a dog", "a cat"))
    assert "data" not in trio.cards["lfi"]


def test_a_run_says_which_data_it_had(tmp_path):
    data = DataConfig(source="domains", root="/data/PACS", held_out="sketch", fraction=0.5)
    write_provenance(tmp_path, replace(TrainConfig(), data=data))
    assert run_card(tmp_path)["data"] == "domains: PACS, 50% of it, without sketch"
    assert run_card(tmp_path / "none") == {}


def test_a_trio_with_a_student_of_another_text_space_is_not_loaded(trio_folder):
    trio = Trio.load(trio_folder)
    other = Student(replace(trio.baseline.config, text_dim=16))
    with pytest.raises(Exception, match="the baseline student projects into 16 dimensions"):
        Trio(trio.teacher, trio.lfi, other, trio.card)


def test_a_baseline_without_a_projection_stands_in_a_trio_but_has_no_score(models, tmp_path, capsys):
    config = replace(Student.load(models / "baseline/student.safetensors").config, embed=False, text_dim=0)
    torch.manual_seed(0)
    Student(config).save(tmp_path / "plain.safetensors")
    command = ["trio", models / "teachers/mine", models / "lfi", tmp_path / "plain.safetensors"]
    assert lfi(*command, "--out", tmp_path / "trio", "--scenes", 3) == 0
    assert Trio.load(tmp_path / "trio").explanation in ("self-attention", "rollout")
    assert lfi("evaluate", "maps", tmp_path / "trio", "--scenes", 3) == 2
    assert capsys.readouterr().err.endswith("has no score for a word; feature KD gives one\n")
