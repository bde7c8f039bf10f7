"""Students of a BLIP or a LLaVA: whole captions, captions that it writes itself, and a trio that answers by word."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from caption_data import write_captions
from PIL import Image

from lfi.data.imageset import ImageSet
from lfi.errors import UnsupportedModelError
from lfi.teachers import GenerativeTeacher, load_teacher
from lfi.training.config import DataConfig, LoopConfig, ObjectiveConfig, StudentSource, TeacherSource, TrainConfig
from lfi.training.distil.request import Request
from lfi.training.run import prepare, train_student
from lfi.training.sources import said
from lfi.training.trio import own_card, read_members, write_own_trio
from lfi.training.warm_start import warm_start
from lfi.training.written import with_own_captions
from lfi.trio import Trio

pytest.importorskip("transformers")

from tiny_writers import write_blip, write_llava

WRITE = {"blip": write_blip, "llava": write_llava}
VIT = {"img_size": 24, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture(params=["blip", "llava"])
def folder(request, tmp_path) -> Path:
    return WRITE[request.param](tmp_path / f"tiny-{request.param}")


@pytest.fixture
def captions(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LFI_CACHE", str(tmp_path / "decoded"))
    (tmp_path / "images").mkdir()
    return write_captions(tmp_path / "images", 24)


def config(teacher: Path, table: Path, objective: ObjectiveConfig, maps: str = "captions", **source) -> TrainConfig:
    lfi = objective.interaction > 0
    return TrainConfig(
        data=DataConfig(source="captions", root=str(table), size=24, crop=0.8),
        teacher=TeacherSource(model=str(teacher), maps=maps, layers=(0, 1), **source),
        student=StudentSource(queries=4 if lfi else 0, overrides=VIT, taps=(0, 1) if lfi else ()),
        objective=objective,
        loop=LoopConfig(epochs=2, batch_size=8, autocast=False, evaluations=1, tensorboard=False),
    )


def silenced(table: Path, every: int) -> list[str]:
    """Take every so many captions away; the images that had them."""
    rows = list(csv.reader(table.open(newline="")))
    quiet = rows[1::every]
    for row in quiet:
        row[1] = ""
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return [row[0] for row in quiet]


def test_a_trio_made_with_it_answers_by_word(folder, captions, tmp_path):
    lfi, baseline = tmp_path / "lfi", tmp_path / "baseline"
    prepared = prepare(config(folder, captions, ObjectiveConfig(interaction=0.5, relation=0.1, naming=0.2)))
    assert isinstance(prepared.teacher, GenerativeTeacher)
    row = 3
    own = said(prepared.images.captions[row])
    asked = prepared.questions.ask([row])
    assert [prepared.questions.vocabulary[place] for place in asked["names"][0][: len(own)]] == list(own)
    picture = Image.fromarray(prepared.images.images[row])
    maps = prepared.teacher.interactions(prepared.teacher.preprocess([picture]), [prepared.images.captions[row]])
    assert torch.allclose(asked["maps"][0, :, : len(own)], maps.weights[0].flatten(2), atol=1e-5)
    _, records = train_student(prepared, lfi)
    assert all(record["loss"] > 0 for record in records if "loss" in record)
    train_student(prepare(config(folder, captions, ObjectiveConfig(feature_kd=0.5))), baseline)

    members = read_members(folder, lfi, baseline)
    card = own_card(members, "mine", *members.unmeasured(), vocabulary=["red", "blue"], phrases=["red", "blue", "door"])
    write_own_trio(tmp_path / "trio", members, card)
    trio = Trio.load(tmp_path / "trio")
    assert trio.cards["teacher"]["kind"] == prepared.teacher.kind
    assert trio.teacher.name == folder.name
    assert trio.fingerprints["teacher"] == prepared.teacher.fingerprint
    assert not any(name.startswith("teacher:") for name in trio.answerers), "it has no dense similarity to ask for"
    found = trio.compare(picture, ["red", "blue door"])
    assert set(found.maps) == {"teacher", "lfi", "baseline"}
    direct = trio.teacher.interactions_of(trio.teacher.preprocess([picture]), ["red", "blue door"])
    assert torch.allclose(found.maps["teacher"].weights, direct.weights, atol=1e-5)
    assert found.default_layer["teacher"] == 1
    assert len(found.addressed) == 2


def test_images_without_a_caption_are_asked_about_what_it_writes(folder, captions, tmp_path, monkeypatch):
    quiet = silenced(captions, 4)
    cache = tmp_path / "answers"
    wanted = config(folder, captions, ObjectiveConfig(interaction=0.5, naming=0.2), cache=str(cache))
    prepared = prepare(wanted)
    teacher = load_teacher(folder)
    told = {**dict(zip(prepared.images.ids, prepared.images.captions, strict=True))}
    told |= dict(zip(prepared.validation.ids, prepared.validation.captions, strict=True))
    kept = [json.loads(line) for line in Path(f"{cache}.captions.jsonl").read_text().splitlines() if line]
    assert {Path(record["id"]).name for record in kept} == set(quiet)
    assert {record["teacher"] for record in kept} == {teacher.fingerprint}
    assert any(record["caption"] for record in kept)
    assert all(told.get(record["id"], "") == record["caption"] for record in kept)
    (note,) = [note for note in prepared.images.notes if "wrote itself" in note.what]
    assert note.count == len(quiet)
    record = next(record for record in kept if record["id"] in prepared.images.ids and said(record["caption"]))
    place = prepared.images.ids.index(record["id"])
    assert prepared.images.words[place] == said(record["caption"])
    assert prepared.questions.words[place], "its own words are asked about"

    monkeypatch.setattr(GenerativeTeacher, "describe", lambda *_: pytest.fail("what was written is kept"))
    assert prepare(wanted).images.captions == prepared.images.captions


def test_what_was_broken_off_is_written_again(folder, captions, tmp_path):
    silenced(captions, 4)
    cache = tmp_path / "answers"
    wanted = config(folder, captions, ObjectiveConfig(interaction=0.5, naming=0.2), cache=str(cache))
    first = prepare(wanted).images.captions
    kept = Path(f"{cache}.captions.jsonl")
    text = kept.read_text()
    kept.write_text(text[: len(text) - 10])
    assert prepare(wanted).images.captions == first
    records = [line for line in kept.read_text().splitlines() if line]
    assert len(records) == 1 + len([line for line in text.splitlines() if line]), "the line that was broken off stays"


def test_images_of_one_name_and_other_pixels_have_captions_of_their_own(tmp_path):
    class Brightness:
        fingerprint = "brightness"

        def from_pixels(self, pixels):
            return pixels

        def describe(self, pixels):
            return [f"brightness {each.mean() * 255:.0f}" for each in pixels]

    def captioned(value):
        images = np.full((1, 8, 8, 3), value, np.uint8)
        blank = ImageSet(images, ids=("1.png",), classes=(), labels=np.array([-1]), captions=("",), words=((),))
        return with_own_captions(Brightness(), TeacherSource(cache=str(tmp_path / "answers")), blank).captions

    assert [captioned(value) for value in (10, 200, 10)] == [
        ("brightness 10",),
        ("brightness 200",),
        ("brightness 10",),
    ]


def test_what_it_has_not_is_refused(folder, captions):
    with pytest.raises(UnsupportedModelError, match="has no attention to transfer"):
        prepare(config(folder, captions, ObjectiveConfig(attention_transfer=0.1)))
    with pytest.raises(UnsupportedModelError, match="was not trained on presence statements"):
        prepare(config(folder, captions, ObjectiveConfig(logit_kd=0.1)))
    with pytest.raises(UnsupportedModelError, match="a CoCa or a CLIP was expected to start from"):
        warm_start(None, load_teacher(folder))


def test_distilling_reads_whole_captions_and_bare_class_names(folder, captions):
    teacher = load_teacher(folder)
    request = Request(str(folder), captions.parent, captions)
    assert request.source(teacher, folder).maps == "captions"
    classes = Request(str(folder), captions.parent).source(teacher, folder)
    assert (classes.maps, classes.prompt) == ("statements", "{}")
