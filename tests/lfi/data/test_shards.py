"""Shards are streamed in a random order that can be had again, from any place in it."""

from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from shutil import which
from threading import Thread

import numpy as np
import pytest
from shard_files import add, encoded
from torch.utils.data import DataLoader

from lfi.data.archives import find_shards
from lfi.data.imageset import ImageSet
from lfi.data.members import FURTHER, OTHER_CLASS
from lfi.data.notes import Note
from lfi.data.shards import NUMBERED, ShardStream, read_shards, write_shards
from lfi.errors import DataError


def numbered(count: int, **others) -> ImageSet:
    """Image `i` is of the colour `i`, has the caption `i` and the label `i % 3`."""
    given = {
        "images": np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8),
        "ids": tuple(f"folder/{row}.png" for row in range(count)),
        "classes": ("cat", "dog", "ox"),
        "labels": np.arange(count, dtype=np.int64) % 3,
        "captions": tuple(str(row) for row in range(count)),
        "words": tuple((f"word {row}", "cat") for row in range(count)),
    }
    return ImageSet(**{**given, **others})


@pytest.fixture
def shards(tmp_path):
    """24 images in 6 shards."""
    write_shards(numbered(24), tmp_path / "shards", per_shard=4)
    return tmp_path / "shards"


def rows(stream) -> list[int]:
    return [int(sample["image"][0, 0, 0]) for sample in stream]


SETS = {
    "classes": {},
    "several classes": {"labels": np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 1, 1]], np.float32)},
    "boxes": {"boxes": np.array([[0, 1, 2, 3.5]] * 3 + [[np.nan] * 4] * 2, np.float32)},
    "domains": {"domains": ("photo", "sketch", "photo", "photo", "sketch")},
    "pictures": {"pictures": ("a", "b", "a", "a", "b")},
    "no captions": {"captions": ("",) * 5, "words": ((),) * 5},
    "no labels": {"labels": np.full(5, -1), "classes": ()},
}


@pytest.mark.parametrize("given", SETS.values(), ids=SETS)
def test_what_is_written_is_read_back(tmp_path, given):
    images = numbered(5, **given)
    assert len(write_shards(images, tmp_path, per_shard=2)) == 3
    found = read_shards(tmp_path, size=8)
    for field in ("images", "labels", "boxes"):
        np.testing.assert_array_equal(getattr(found, field), getattr(images, field))
    for field in ("ids", "classes", "captions", "words", "domains", "pictures", "skipped"):
        assert getattr(found, field) == getattr(images, field), field


def test_archives_that_others_made_are_read(tmp_path):
    add(
        tmp_path / "a.tar",
        {
            "x/1.jpg": encoded(10),
            "x/1.cls": b"3",
            "x/1.txt": b"\n two\twords \na second caption\n",
            "2.PNG": encoded(20, "PNG"),
            "2.json": b'{"caption": "from json", "other": 1}',
        },
    )
    found = read_shards(tmp_path / "a.tar", size=8)
    assert found.ids == ("a/x/1", "a/2")
    assert found.captions == ("two words", "from json")
    assert found.labels.tolist() == [3, -1]
    assert found.classes == ("0", "1", "2", "3")
    assert found.images[:, 0, 0, 0].tolist() == [10, 20]
    notes = {note.what: note.listed() for note in found.notes}
    assert notes[FURTHER] == ["a/x/1"]
    assert notes[NUMBERED] == [f"{tmp_path / 'classes.json'} (4)"]


def test_a_sample_with_one_label_keeps_it_beside_others_with_several(tmp_path):
    members = {"1.jpg": encoded(1), "1.cls": b"2", "2.jpg": encoded(2), "2.json": b'{"labels": [0, 1]}'}
    members |= {"3.jpg": encoded(3), "3.json": b'{"labels": []}', "4.jpg": encoded(4), "4.cls": b"0"}
    add(tmp_path / "a.tar", members | {"4.json": b'{"labels": [1]}'})
    found = read_shards(tmp_path, size=8)
    assert found.labels.tolist() == [[0, 0, 1], [1, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert {note.what: note.listed() for note in found.notes}[OTHER_CLASS] == ["a/4"]
    add(tmp_path / "b.tar", {"5.jpg": encoded(5), "5.txt": b"of no class"})
    with pytest.raises(DataError, match=r"b/5 has neither `labels` in its json nor `cls`, like 1 samples of 5"):
        read_shards(tmp_path, size=8)


@pytest.fixture
def served(tmp_path):
    """The address of `tmp_path`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(not which("curl"), reason="webdataset fetches with curl")
def test_names_of_classes_are_fetched_from_where_the_shards_are(tmp_path, served):
    add(tmp_path / "a.tar", {"1.jpg": encoded(1), "1.txt": b"a", "1.cls": b"1"})
    assert read_shards(f"{served}/a.tar", size=8).notes == (Note(NUMBERED, ((f"{served}/classes.json", 2),)),)
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    for url in (f"{served}/a.tar", f"{served}/a.tar?token=1", f"file://{tmp_path}/a.tar"):
        found = read_shards(url, size=8)
        assert (found.classes, found.notes) == (("cat", "dog"), ()), url


def test_shards_of_a_pipe_are_beside_nothing(tmp_path):
    add(tmp_path / "a.tar", {"1.jpg": encoded(1), "1.txt": b"a", "1.cls": b"1"})
    (note,) = read_shards(f"pipe:cat {tmp_path}/a.tar", size=8).notes
    assert note == Note(NUMBERED, ((f"classes.json of pipe:cat {tmp_path}/a.tar", 2),))


def test_names_of_classes_that_are_nested_too_deep_are_refused(tmp_path):
    add(tmp_path / "a.tar", {"1.jpg": encoded(1), "1.cls": b"0"})
    (tmp_path / "classes.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"classes\.json cannot be read as JSON"):
        read_shards(tmp_path, size=8)


def test_a_url_may_be_longer_than_a_path():
    url = "https://example.org/a.tar?signed=" + "x" * 5000
    assert find_shards(url) == [url]


def test_half_an_emoji_in_a_caption_is_a_question_mark_in_shards(tmp_path):
    write_shards(numbered(1, captions=("a star \ud83d",)), tmp_path)
    assert read_shards(tmp_path, size=8).captions == ("a star ?",)


@pytest.mark.parametrize("text", ['{"0": "cat"}', '"cat"', "[1, 2]"])
def test_names_of_classes_are_a_list(tmp_path, text):
    add(tmp_path / "a.tar", {"1.jpg": encoded(1), "1.cls": b"0"})
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DataError, match=r"classes\.json is not a JSON list of names, that of class 0 first"):
        read_shards(tmp_path, size=8)


def test_an_epoch_is_every_sample_once_with_what_belongs_to_it(shards):
    samples = list(ShardStream(shards, size=8))
    assert sorted(sample["image"][0, 0, 0] for sample in samples) == list(range(24))
    for sample in samples:
        row = int(sample["image"][0, 0, 0])
        assert (sample["caption"], sample["label"]) == (str(row), row % 3)
        assert sample["key"] == f"{row // 4:06}/{row:09}"
        assert (sample["image"].dtype, sample["image"].shape) == (np.uint8, (8, 8, 3))


def test_the_order_depends_on_seed_and_epoch_alone(shards):
    stream = ShardStream(shards, size=8, seed=1)
    first = rows(stream)
    assert rows(stream) == first != list(range(24))
    stream.set_epoch(1)
    assert rows(stream) != first
    assert rows(ShardStream(shards, size=8, seed=2)) != first
    stream.set_epoch(0)
    assert rows(stream) == first


def test_samples_are_mixed_over_shards(shards):
    first = rows(ShardStream(shards, size=8))[:4]
    assert len({row // 4 for row in first}) > 1


def test_without_shuffling_the_order_is_the_shards_own(shards):
    assert rows(ShardStream(shards, size=8, shuffle=0)) == list(range(24))


def test_processes_share_the_samples_and_none_is_given_twice(shards):
    parts = [rows(ShardStream(shards, size=8, rank=rank, world=3)) for rank in range(3)]
    assert sorted(row for part in parts for row in part) == list(range(24))
    assert [len(part) for part in parts] == [8, 8, 8]


def test_workers_share_the_samples_and_none_is_given_twice(shards):
    loader = DataLoader(ShardStream(shards, size=8), batch_size=2, num_workers=2)
    found = [int(image[0, 0, 0]) for batch in loader for image in batch["image"]]
    assert sorted(found) == list(range(24))


def test_with_a_length_every_process_gives_equally_many(tmp_path):
    write_shards(numbered(10), tmp_path, per_shard=4)  # 4 + 4 + 2: one process has 6 samples, the other 4
    streams = [ShardStream(tmp_path, size=8, rank=rank, world=2, length=20) for rank in range(2)]
    assert [len(rows(stream)) for stream in streams] == [len(stream) for stream in streams] == [10, 10]
    counts = Counter(rows(streams[1]))
    assert set(counts) == {4, 5, 6, 7}
    assert sorted(counts.values()) == [2, 2, 3, 3]  # round after round, each sample once


@pytest.mark.parametrize("consumed", [0, 1, 7, 23, 24])
def test_a_stream_goes_on_where_it_was_left(shards, consumed):
    stream = ShardStream(shards, size=8, seed=5)
    stream.set_epoch(3)
    whole = rows(stream)
    stream.set_epoch(3, consumed=consumed)
    assert rows(stream) == whole[consumed:]


def test_a_stream_with_damaged_samples_goes_on_where_it_was_left(tmp_path):
    members = {f"{row:02}.jpg": encoded(10 * row, size=64) for row in range(20)}
    for row in (2, 3, 11):
        members[f"{row:02}.jpg"] = members[f"{row:02}.jpg"][:-40]
    add(tmp_path / "a.tar", members)
    stream = ShardStream(tmp_path, size=8, limit=0.2)
    whole = rows(stream)
    assert len(whole) == 17
    stream.set_epoch(0, consumed=9)
    assert rows(stream) == whole[9:]


@pytest.mark.parametrize("given", [1, 2, 3, 8])
def test_a_loader_with_workers_goes_on_where_it_was_left(shards, given):
    def batches(consumed=0):
        stream = ShardStream(shards, size=8, length=48)
        stream.set_epoch(2, consumed, batch=4)
        return [batch["image"][:, 0, 0, 0].tolist() for batch in DataLoader(stream, batch_size=4, num_workers=2)]

    assert batches(consumed=4 * given) == batches()[given:]


def test_workers_that_live_on_hear_of_the_next_epoch(shards):
    stream = ShardStream(shards, size=8)
    loader = DataLoader(stream, batch_size=4, num_workers=1, persistent_workers=True)
    first = [batch["caption"] for batch in loader]
    stream.set_epoch(1)
    assert [batch["caption"] for batch in loader] != first
    stream.set_epoch(0)
    assert [batch["caption"] for batch in loader] == first


def test_damaged_samples_are_counted_named_and_left_out(tmp_path, capsys):
    members = {f"{row}.png": encoded(row, "PNG") for row in range(8)}
    members |= {
        "empty.png": b"",
        "text.jpg": b"no image",
        "alone.txt": b"a caption of nothing",
        "cut.jpg": encoded(1)[:-100],
    }
    add(tmp_path / "a.tar", members)
    stream = ShardStream(tmp_path, size=8, limit=0.4, shuffle=0)
    assert rows(stream) == list(range(8))
    assert [line.split(": ")[0] for line in stream.skipped] == ["a/empty", "a/text", "a/alone", "a/cut"]
    assert "skipped a/alone: no image among txt" in capsys.readouterr().err
    assert read_shards(tmp_path, size=8, limit=0.4).skipped == stream.skipped
    for read in (
        lambda: rows(ShardStream(tmp_path, size=8, limit=0.3)),
        lambda: read_shards(tmp_path, size=8, limit=0.3),
    ):
        with pytest.raises(DataError, match="4 of 12 images cannot be read"):
            read()


def test_a_stream_of_nothing_but_damage_ends(tmp_path):
    add(tmp_path / "a.tar", {"1.jpg": b"", "2.jpg": b""})
    with pytest.raises(DataError, match="no image in it can be read"):
        rows(ShardStream(tmp_path, size=8, limit=1, length=100))


@pytest.mark.parametrize("left", [1, 2, 700, 1536, 5000])
def test_a_shard_that_is_cut_short_is_refused(shards, left):
    """A copy that was interrupted between two members looks like a shorter archive to Python's tarfile."""
    shard = shards / "000002.tar"
    shard.write_bytes(shard.read_bytes()[:left])
    with pytest.raises(DataError, match=r"000002\.tar"):
        rows(ShardStream(shards, size=8))


def test_a_shard_with_a_damaged_header_is_not_taken_for_a_shorter_one(shards):
    shard = shards / "000002.tar"
    content = bytearray(shard.read_bytes())
    header = content.index(b"000000009.json")
    content[header : header + 100] = b"?" * 100
    shard.write_bytes(content)
    for read in (lambda: rows(ShardStream(shards, size=8)), lambda: read_shards(shards, size=8)):
        with pytest.raises(DataError, match=rf"000002\.tar cannot be read: damaged at byte {header:,}"):
            read()


def test_shards_that_are_missing_or_too_few_are_refused(shards, tmp_path):
    with pytest.raises(DataError, match=r"000006\.tar cannot be read: no such file"):
        ShardStream(str(shards / "{000004..000009}.tar"), size=8)
    with pytest.raises(DataError, match="has no shards in it"):
        ShardStream(tmp_path, size=8)
    with pytest.raises(DataError, match="6 shards cannot be dealt out to 7 processes"):
        ShardStream(shards, size=8, rank=0, world=7)


def test_braces_name_several_shards(shards):
    assert sorted(rows(ShardStream(str(shards / "{000001..000002}.tar"), size=8))) == list(range(4, 12))


def test_shards_are_not_written_over(shards):
    with pytest.raises(DataError, match="already holds shards"):
        write_shards(numbered(3), shards)
    with pytest.raises(DataError, match="at least 1"):
        write_shards(numbered(3), shards / "other", per_shard=0)
