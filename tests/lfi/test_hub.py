"""Pushed to a hub and fetched from it by the hub's own client: a trio, a teacher, a student."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch
from commandline import lfi
from hub_server import Hub, running
from PIL import Image

from app.commands.maps import chosen_trio
from lfi.errors import CheckpointError, ConfigError, UnknownModelError
from lfi.hub import OLD_WEIGHTS, WEIGHTS, local_folder, pretrained, push
from lfi.students import Student
from lfi.teachers import load_teacher
from lfi.teachers.loading import copy_teacher
from lfi.trio import Trio


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Hub]:
    with running() as hub:
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield hub


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))


def test_a_trio_comes_back_as_it_was_pushed(hub, trio_folder, picture):
    done = push(trio_folder, "lab/tiny", private=True, license="apache-2.0", message="A trio")
    assert (done.url, hub.private["lab/tiny"], hub.messages) == (f"{hub.url}/lab/tiny", True, ["A trio"])
    assert {"card.json", "README.md", "lfi/student.safetensors", "baseline/student.safetensors"} <= set(done.files)
    assert set(hub.repositories["lab/tiny"]) == set(done.files)
    trio, again = Trio.load(trio_folder), Trio.from_pretrained("lab/tiny")
    assert again.fingerprints == trio.fingerprints
    words = list(trio.vocabulary[:2])
    found = again.compare(picture, words).maps
    for model, maps in trio.compare(picture, words).maps.items():
        assert torch.equal(maps.weights, found[model].weights)
    settings = chosen_trio("hf-hub:lab/tiny")
    assert settings.trio == "tiny"
    assert (settings.models_dir / settings.trio / "card.json").is_file()


def test_the_card_says_what_it_is_and_how_to_load_it(hub, trio_folder, tmp_path):
    folder = shutil.copytree(trio_folder, tmp_path / "trio")
    card = json.loads((folder / "card.json").read_text())
    card["models"]["lfi"] |= {"limits": ["It has seen drawings alone."], "parameters": 1234}
    (folder / "card.json").write_text(json.dumps(card))
    push(folder, "lab/tiny", license="mit")
    text = hub.repositories["lab/tiny"]["README.md"].decode()
    assert text.startswith("---\nlibrary_name: learning-from-interactions\nlicense: mit\ntags:\n- lfi\n")
    assert 'Trio.from_pretrained("lab/tiny")' in text
    assert "- It has seen drawings alone." in text
    assert "1,234" in text
    assert f"The baseline is explained by {card['explanation']}." in text


def test_a_teacher_and_a_student_come_back_too(hub, trio_folder, tmp_path):
    push(trio_folder / "teacher", "lab/teacher")
    teacher = load_teacher("hf-hub:lab/teacher")
    assert teacher.fingerprint == load_teacher(trio_folder / "teacher").fingerprint
    assert 'load_teacher("hf-hub:lab/teacher")' in hub.repositories["lab/teacher"]["README.md"].decode()

    run = tmp_path / "run"
    shutil.copytree(trio_folder / "lfi", run)
    (run / "environment.json").write_text('{"host": "somebodys-laptop"}')
    assert push(run, "lab/student").files == ("README.md", "student.safetensors"), "nothing else of a run"
    student, expected = Student.from_pretrained("lab/student"), Student.load(run / "student.safetensors")
    assert all(
        torch.equal(*pair) for pair in zip(student.state_dict().values(), expected.state_dict().values(), strict=True)
    )
    count = sum(each.numel() for each in expected.state_dict().values())
    assert f"{count:,} parameters" in hub.repositories["lab/student"]["README.md"].decode()


def test_open_clips_older_repositories_are_read(hub, trio_folder):
    files = {path.name: path.read_bytes() for path in (trio_folder / "teacher").iterdir() if path.is_file()}
    weights = safetensors.torch.load(files.pop("open_clip_model.safetensors"))
    path = trio_folder.parent / "old.bin"
    torch.save(weights, path)
    hub.repositories["lab/old"] = {**files, "open_clip_pytorch_model.bin": path.read_bytes()}
    path.unlink()
    assert load_teacher("hf-hub:lab/old").fingerprint == load_teacher(trio_folder / "teacher").fingerprint


def older(folder: Path, source: Path) -> Path:
    """A copy of a teacher as open_clip wrote it before safetensors."""
    shutil.copytree(source, folder)
    torch.save(safetensors.torch.load_file(folder / WEIGHTS), folder / OLD_WEIGHTS)
    (folder / WEIGHTS).unlink()
    return folder


def test_an_older_teacher_is_pushed_and_copied_with_its_weights(hub, trio_folder, tmp_path):
    expected = load_teacher(trio_folder / "teacher").fingerprint
    old = older(tmp_path / "old", trio_folder / "teacher")
    copy_teacher(old, tmp_path / "copy")
    assert load_teacher(tmp_path / "copy").fingerprint == expected
    assert push(old, "lab/old").files == ("README.md", "open_clip_config.json", "open_clip_model.safetensors")
    assert load_teacher("hf-hub:lab/old").fingerprint == expected

    shutil.copytree(trio_folder, tmp_path / "trio", ignore=shutil.ignore_patterns("teacher"))
    older(tmp_path / "trio" / "teacher", trio_folder / "teacher")
    done = push(tmp_path / "trio", "lab/trio")
    assert {"teacher/open_clip_model.safetensors"} == {name for name in done.files if "open_clip_model" in name}
    assert Trio.from_pretrained("lab/trio").fingerprints["teacher"] == expected


def test_what_is_hidden_is_not_pushed(hub, trio_folder, tmp_path):
    folder = shutil.copytree(trio_folder, tmp_path / "trio")
    expected = set(push(folder, "lab/tiny").files)
    for hidden in (".git/config", "lfi/.ipynb_checkpoints/card.json", ".cache/huggingface/x.json", "lfi/.env"):
        (folder / hidden).parent.mkdir(parents=True, exist_ok=True)
        (folder / hidden).write_text("{}")
    assert set(push(folder, "lab/again").files) == expected
    for hidden in (".git/x.json", ".ipynb_checkpoints/open_clip_config.json"):
        (folder / "teacher" / hidden).parent.mkdir()
        (folder / "teacher" / hidden).write_text("{}")
    assert set(push(folder / "teacher", "lab/teacher").files) == {"README.md", "open_clip_config.json", WEIGHTS}


def test_what_was_fetched_needs_no_hub_afterwards(hub, trio_folder, monkeypatch):
    push(trio_folder, "lab/tiny")
    first = local_folder("hf-hub:lab/tiny")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert local_folder("hf-hub:lab/tiny") == first
    with pytest.raises(CheckpointError, match=r"cannot fetch lab/other \(the model hub cannot be reached\)"):
        local_folder("hf-hub:lab/other")
    with pytest.raises(ConfigError, match="cannot be reached; nothing was pushed"):
        push(trio_folder, "lab/tiny")


def test_what_cannot_be_is_one_clear_error(hub, trio_folder, tmp_path):
    with pytest.raises(UnknownModelError, match="ORG/NAME was expected"):
        local_folder("hf-hub:nothing")
    with pytest.raises(CheckpointError, match="cannot fetch lab/gone"):
        Trio.load("hf-hub:lab/gone")
    with pytest.raises(UnknownModelError, match="there is no model to push"):
        push(tmp_path, "lab/tiny")
    with pytest.raises(ConfigError, match="the model hub refuses closed/tiny"):
        push(trio_folder, "closed/tiny")
    assert "closed/tiny" not in hub.repositories


def test_a_folder_of_that_name_comes_before_the_hub(hub, trio_folder, tmp_path, monkeypatch):
    shutil.copytree(trio_folder, tmp_path / "lab" / "tiny")
    monkeypatch.chdir(tmp_path)
    assert pretrained("lab/tiny") == Path("lab/tiny")


def test_the_command_pushes_and_says_where(hub, trio_folder, capsys):
    assert lfi("push", trio_folder, "lab/tiny", "--private", "--license", "mit") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{hub.url}/lab/tiny"
    assert "card.json" in lines
    assert hub.private["lab/tiny"]
