"""Folders and shards as people have them: what is an image is read, what is not is named."""

import io

import numpy as np
import pytest
from PIL import Image
from shard_files import add, encoded

from lfi.data.decode import ANIMATED, CUT, load_images, read_picture
from lfi.data.folders import ASIDE, class_folders
from lfi.data.imagefiles import HIDDEN, NO_IMAGES
from lfi.data.members import FACTS, FIELDS, NO_CAPTION, SEVERAL
from lfi.data.notes import Note, Notes, announce
from lfi.data.shards import ShardStream, read_shards
from lfi.errors import DataError


def noted(images) -> dict[str, list[str]]:
    return {note.what: note.listed() for note in images.notes}


def test_every_format_of_uploads_is_a_training_image_by_any_name(tmp_path):
    (tmp_path / "cat").mkdir()
    names = {"a.heic": "HEIF", "b.AVIF": "AVIF", "c.jfif": "JPEG", "d.jpe": "JPEG", "e": "PNG", "photo 2.0 red": "WEBP"}
    for name, kind in names.items():
        Image.new("RGB", (16, 16), (200, 10, 10)).save(tmp_path / "cat" / name, kind)
    for name in ("cat/Thumbs.db", "cat/.DS_Store", "cat/notes", "README.txt"):
        (tmp_path / name).write_bytes(b"x")
    Image.new("RGB", (8, 8)).save(tmp_path / "aside.png")
    images = class_folders(tmp_path, size=8)
    assert images.ids == tuple(f"cat/{name}" for name in names)
    assert np.abs(images.images.astype(int) - (200, 10, 10)).max() < 8
    assert noted(images) == {
        NO_IMAGES: [str(tmp_path / name) for name in ("README.txt", "cat/Thumbs.db", "cat/notes")],
        ASIDE: [str(tmp_path / "aside.png")],
        HIDDEN: [str(tmp_path / "cat/.DS_Store")],
    }


@pytest.fixture(scope="module")
def photograph():
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((160, 160)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.mark.parametrize("lost", [1, 2, 3, 20, 200])
def test_a_jpeg_that_lacks_its_last_bytes_is_read_with_a_note(tmp_path, photograph, lost):
    (tmp_path / "whole.jpg").write_bytes(photograph)
    (tmp_path / "cut.jpg").write_bytes(photograph[:-lost])
    found = load_images([tmp_path / "whole.jpg", tmp_path / "cut.jpg"], 32)
    assert [(note.what, note.count) for note in found.notes] == [(CUT, 1)]
    assert np.abs(found.images[0].astype(int) - found.images[1])[:28].max() <= 3


def test_a_jpeg_of_which_half_is_missing_is_none(tmp_path, photograph):
    (tmp_path / "cut.jpg").write_bytes(photograph[: len(photograph) // 2])
    with pytest.raises(DataError, match=r"truncated: \d+% of it is missing"):
        load_images([tmp_path / "cut.jpg"], 32)


def test_whether_too_much_is_missing_does_not_depend_on_the_size_that_is_read(photograph):
    """A stream that resumes passes over samples at a pixel, and must count those that were given before."""
    verdicts = set()
    for share in np.linspace(0.6, 0.95, 60):
        read = []
        for size in (1, 32, 224):
            try:
                read.append(read_picture(io.BytesIO(photograph[: int(share * len(photograph))]), size) is not None)
            except OSError:
                read.append(False)
        assert len(set(read)) == 1, f"{share:.1%} of it: {read}"
        verdicts |= set(read)
    assert verdicts == {True, False}


def test_of_an_animation_the_first_frame_is_read_and_that_is_said(tmp_path):
    frames = [Image.new("RGB", (8, 8), (colour,) * 3) for colour in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = load_images([tmp_path / "a.gif"], 8)
    assert found.images.max() == 0
    assert found.notes == (Note(ANIMATED, ((str(tmp_path / "a.gif"), 1),)),)


def test_names_with_dots_are_samples_of_their_own(tmp_path):
    names = ("scan.1", "scan.2", "clip 2.0 red", "d.x/plain", "plain", "plain.2")
    members = {}
    for colour, name in enumerate(names):
        members |= {f"{name}.png": encoded(colour, "PNG"), f"{name}.txt": name.encode()}
    add(tmp_path / "a.tar", members)
    images = read_shards(tmp_path, size=8)
    assert images.captions == names
    assert images.images[:, 0, 0, 0].tolist() == list(range(6))
    assert images.ids == tuple(f"a/{name}" for name in names)
    assert images.notes == ()
    assert [sample["caption"] for sample in ShardStream(tmp_path, size=8, shuffle=0)] == list(names)


def test_what_of_a_sample_is_not_read_is_said(tmp_path, capsys):
    image = encoded(9)
    members = {
        "1.jpg": image, "1.seg.png": image, "1.txt": b"a", "1.npy": b"",
        "2.left.jpg": image, "2.right.jpg": image, "2.json": b'{"caption": "b", "url": "u"}',
        "3.jpg": image, "3.json": b'{"caption": null, "id": null, "words": null}',
        "README": b"", ".DS_Store": b"",
    }  # fmt: skip
    add(tmp_path / "a.tar", members)
    images = read_shards(tmp_path, size=8)
    assert images.captions == ("a", "b", "")
    assert images.ids == ("a/1", "a/2", "a/3")
    assert noted(images) == {
        SEVERAL: ["a/1: seg.png", "a/2: right.jpg"],
        FIELDS: ["npy"],
        FACTS: ["url"],
        NO_CAPTION: ["a/3"],
        "files of no sample, since their names have no suffix": ["a/README"],
        HIDDEN: ["a/.DS_Store"],
    }
    list(ShardStream(tmp_path, size=8))
    assert "1 samples without a caption: a/3" in capsys.readouterr().err


@pytest.mark.parametrize("facts", ['{"caption": 5}', '{"words": "dog"}', '{"box": [1, 2]}', '{"labels": [null]}', "[]"])
def test_facts_of_another_kind_skip_the_sample_by_name(tmp_path, facts):
    add(tmp_path / "a.tar", {"1.jpg": encoded(1), "2.jpg": encoded(2), "2.json": facts.encode()})
    assert [line.split(":")[0] for line in read_shards(tmp_path, size=8, limit=0.5).skipped] == ["a/2"]


def test_notes_are_counted_and_told_with_their_first_names(capsys):
    notes = Notes(most=3)
    for name in ("a", "b", "a", "c", "d", "e"):
        notes.add("things", name)
    assert notes.all() == (Note("things", (("a", 2), ("b", 1), ("c", 1), ("others", 2))),)
    announce(notes.all(), "data")
    assert capsys.readouterr().err == "data: 6 things: a (2); b; c; others (2)\n"
    assert notes.all()[0].listed(2) == ["a (2)", "b", "and 2 more"]
