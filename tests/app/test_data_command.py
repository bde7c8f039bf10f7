"""`lfi data describe`, typed as a user types it."""

import json

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from lfi.data.folders import class_folders
from lfi.data.shards import write_shards


@pytest.fixture
def describe(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LFI_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            main(["data", "describe", *(str(argument) for argument in arguments)])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def root(tmp_path):
    for name in ("photo/dog/1.png", "photo/ox/1.png", "sketch/dog/1.png", "sketch/dog/2.png"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(tmp_path / "root" / name)
    return tmp_path / "root"


def test_counts_classes_damage_and_an_example_are_told(describe, root):
    (root / "sketch/dog/3.png").write_bytes(b"")
    code, out, _ = describe("domains", root, "--size", 16)
    assert code == 0
    assert out.splitlines() == [
        "images    4 of 16 px",
        "classes   2: dog, ox",
        "a class   1 to 3 images",
        "domains   photo 2, sketch 2",
        "unread    1 files",
        f"          {root}/sketch/dog/3.png: the file is empty",
        "example   photo/dog/1.png: 'a photo of a dog', asked for dog",
    ]


def test_more_damage_than_allowed_is_one_line_and_exit_2(describe, root):
    (root / "sketch/dog/3.png").write_bytes(b"")
    code, _, err = describe("domains", root, "--limit", "0.1")
    assert code == 2
    assert err.splitlines()[-1].startswith("lfi: at least 1 of 5 images cannot be read")


def test_every_layout_is_described(describe, root, tmp_path):
    names = ["dog/1.png", "ox/1.png"]
    table = root / "photo/list.csv"
    table.write_text("image,caption\n" + "".join(f"{name},a thing\n" for name in names))
    instances = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"image_id": 0, "category_id": 1, "area": 3}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(instances))
    write_shards(class_folders(root / "photo", size=16), tmp_path / "shards")
    commands = {
        ("folders", root / "photo"): "asked for dog",
        ("captions", table): "captions  2\nunread    0 files\nexample   dog/1.png: 'a thing', asked for -",
        (
            "coco",
            root / "photo",
            "--annotations",
            tmp_path / "instances.json",
        ): "a class   1 to 1 images\nobjects   1\nun",
        ("shards", tmp_path / "shards"): "classes   2: dog, ox",
    }
    for command, expected in commands.items():
        code, out, err = describe(*command)
        assert (code, expected in out) == (0, True), (command, out, err)


def test_what_is_missing_is_one_line_and_exit_2(describe, tmp_path):
    assert describe("coco", tmp_path)[2] == "lfi: coco needs --annotations, the JSON file of its instances\n"
    assert describe("tiny-imagenet", tmp_path, "--split", "val")[0] == 2
    code, _, err = describe("folders", tmp_path / "nowhere")
    assert (code, err.count("\n")) == (2, 1)
