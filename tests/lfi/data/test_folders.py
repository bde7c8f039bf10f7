"""A folder per class is a data set."""

import os
import re
from pathlib import Path

import pytest

from lfi.data.folders import class_folders
from lfi.errors import DataError


def test_folders_are_classes_and_their_underscores_are_spaces(tmp_path, picture):
    for colour, name in enumerate(("traffic_light/1.png", "apple/b/1.jpg", "apple/a.png")):
        picture(tmp_path / name, colour)
    (tmp_path / "apple/notes.txt").write_text("no image, and not taken for one")
    (tmp_path / "readme.md").write_text("nor is this")
    images = class_folders(tmp_path, size=16)
    assert images.classes == ("apple", "traffic light")
    assert images.labels.tolist() == [0, 0, 1]
    assert images.images[:, 0, 0, 0].tolist() == [2, 1, 0]
    assert images.ids == ("apple/a.png", "apple/b/1.jpg", "traffic_light/1.png")
    assert images.captions == ("a photo of an apple", "a photo of an apple", "a photo of a traffic light")
    assert images.words[2] == ("traffic light",)


def test_a_damaged_image_takes_its_label_with_it(tmp_path, picture):
    for colour, name in enumerate(("a/1.png", "b/2.png", "c/3.png")):
        picture(tmp_path / name, colour)
    (tmp_path / "b/1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    images = class_folders(tmp_path, size=16, limit=0.25)
    assert images.labels.tolist() == [0, 1, 2]
    assert images.ids == ("a/1.png", "b/2.png", "c/3.png")
    assert len(images.skipped) == 1


def test_what_is_not_laid_out_so_is_refused(tmp_path, picture):
    with pytest.raises(DataError, match="nowhere as a folder"):
        class_folders(tmp_path / "nowhere", size=16)
    picture(tmp_path / "1.png")
    with pytest.raises(DataError, match="has no folders in it"):
        class_folders(tmp_path, size=16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no images in it"):
        class_folders(tmp_path, size=16)


def test_splits_are_not_taken_for_classes(tmp_path, picture):
    for name in ("train/dog/1.png", "train/ox/1.png", "val/dog/2.png"):
        picture(tmp_path / "root" / name)
    root = tmp_path / "root"
    named = f"{root} holds splits (train, val) and not classes; name {root}/train in its place and {root}/val as"
    with pytest.raises(DataError, match=re.escape(f"{named} data.validation_root")):
        class_folders(root, size=16)
    assert class_folders(root / "train", size=16).classes == ("dog", "ox")
    picture(tmp_path / "kinds/train/1.png")
    picture(tmp_path / "kinds/test/1.png")
    assert class_folders(tmp_path / "kinds", size=16).classes == ("test", "train"), "of a railway, say"


def test_a_folder_whose_name_is_not_utf_8_is_refused(tmp_path, picture):
    picture(Path(os.fsdecode(os.fsencode(tmp_path) + b"/red caf\xe9/1.png")))
    with pytest.raises(DataError, match="has a name that is not UTF-8; rename it"):
        class_folders(tmp_path, size=16)


def test_two_folders_that_read_the_same_are_refused(tmp_path, picture):
    picture(tmp_path / "a b/1.png")
    picture(tmp_path / "a_b/1.png")
    with pytest.raises(DataError, match="are called 'a b'"):
        class_folders(tmp_path, size=16)
