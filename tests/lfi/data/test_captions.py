"""Any list of images and captions is a data set."""

import json

import pytest

from lfi.data import imageset
from lfi.data.captions import image_captions
from lfi.errors import DataError

ROWS = [("a.png", 'a "red" dog, asleep'), ("sub/b.png", "  ein   Hündchen\n")]


@pytest.fixture
def folder(tmp_path, picture):
    picture(tmp_path / "a.png", 10)
    picture(tmp_path / "sub/b.png", 20)
    return tmp_path


def write(folder, kind, rows=ROWS, columns=("image", "caption")):
    table = folder / f"list.{kind}"
    if kind == "jsonl":
        table.write_text("\n\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows))
    else:
        mark = "," if kind == "csv" else "\t"
        quoted = [mark.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (columns, *rows)]
        table.write_text("\ufeff" + "\n".join(quoted), encoding="utf-8")
    return table


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_pairs_are_read_in_their_order_from_beside_the_table(folder, kind):
    images = image_captions(write(folder, kind), size=16)
    assert images.captions == ('a "red" dog, asleep', "ein Hündchen")
    assert images.images[:, 0, 0, 0].tolist() == [10, 20]
    assert images.ids == ("a.png", "sub/b.png")
    assert images.labels.tolist() == [-1, -1]
    assert images.words == ((), ())
    assert images.classes == ()


def test_columns_are_named_and_paths_may_be_absolute(folder):
    table = write(folder, "tsv", [(str(folder / "a.png"), "x")], ("filepath", "title"))
    images = image_captions(table, size=16, image_column="filepath", caption_column="title")
    assert images.captions == ("x",)


def test_an_image_with_several_captions_is_given_with_each(folder):
    images = image_captions(write(folder, "csv", [("a.png", "one"), ("sub/b.png", "x"), ("a.png", "two")]), size=16)
    assert images.ids == ("a.png", "sub/b.png", "a.png#2")
    assert images.captions == ("one", "x", "two")
    assert images.images[:, 0, 0, 0].tolist() == [10, 20, 10]


def test_copies_for_several_captions_that_do_not_fit_into_memory_are_refused(folder, monkeypatch):
    monkeypatch.setattr(imageset, "memory_size", lambda: 2 * 16 * 16 * 3)
    assert len(image_captions(write(folder, "csv"), size=16)) == 2, "each once: a memory map"
    with pytest.raises(DataError, match="tables with several captions of an image are held in memory"):
        image_captions(write(folder, "csv", [*ROWS, ("a.png", "two")]), size=16)


def test_an_image_that_is_missing_takes_all_its_captions_with_it(folder):
    rows = [("gone.png", "1"), ("a.png", "2"), ("gone.png", "3"), ("sub/b.png", "4")]
    images = image_captions(write(folder, "jsonl", rows), size=16, limit=0.4)
    assert images.captions == ("2", "4")
    assert images.images[:, 0, 0, 0].tolist() == [10, 20]
    assert [line.endswith("gone.png: No such file or directory") for line in images.skipped] == [True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", "image,text\na.png,x\n", r"line 2: texts 'image' and 'caption' were expected; it has image, text"),
        ("list.csv", "image,caption\na.png\n", "line 2"),
        ("list.csv", "image,caption\n", "lists no images"),
        ("list.jsonl", '{"image": "a.png", "caption": "x"}\n{"image": 3}\n', "line 2"),
        ("list.jsonl", '\n{"image": \n', "line 2 is not JSON"),
        ("list.jsonl", "[]\n", "line 1: a JSON object"),
        ("list.txt", "", r"one of \.csv, \.tsv, \.jsonl, \.ndjson"),
        ("list.csv", None, "is missing"),
    ],
)
def test_a_table_that_is_wrong_says_where(folder, name, content, message):
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(DataError, match=message):
        image_captions(folder / name, size=16)
