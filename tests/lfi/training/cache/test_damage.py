"""A teacher cache survives what breaks: builds that are killed, files that are damaged, a second builder."""

import json
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import cached_answers
import pytest
from cached_answers import COUNT, SHARDS, Teacher, make, settings

from lfi.errors import DataError
from lfi.training.cache import build, open_store

ROOT = Path(__file__).parents[4]


def test_a_build_that_was_killed_goes_on_where_it_was(folder, data, capsys):
    command = [sys.executable, cached_answers.__file__, str(folder), "75"]
    assert subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL).returncode == -9
    teacher = Teacher(data)
    with pytest.raises(DataError, match=r"unfinished \(2 of 7 shards\); `lfi cache CONFIG` continues it"):
        open_store(folder, data, settings())
    report = make(folder, data, teacher)
    assert (report.made, report.kept) == (5, 2)
    assert teacher.asked == list(range(64, COUNT))
    printed = capsys.readouterr().out
    assert "shard 2 of" in printed
    assert "was broken off: it is made again" in printed
    make(folder.with_name("whole"), data)
    assert contents(folder) == contents(folder.with_name("whole"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("stop", [0, 15])
def test_a_build_that_was_killed_before_its_first_shard_starts_over(folder, data, stop):
    child = multiprocessing.get_context("fork").Process(target=make, args=(folder, data, Teacher(data, stop)))
    child.start()
    child.join(60)
    assert child.exitcode == -9
    assert make(folder, data).made == SHARDS
    assert not list(folder.glob("*.part"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "told"), [(truncate, "bytes long instead of"), (flip, "its checksum differs"), (os.remove, "is missing")]
)
def test_a_damaged_shard_is_named_and_made_again_alone(folder, data, capsys, harm, told):
    make(folder, data)
    before = contents(folder)
    harm(folder / "00003.maps.npy")
    with pytest.raises(DataError, match=rf"00003\.maps\.npy .*{told}.*`lfi cache CONFIG` rebuilds the damaged parts"):
        open_store(folder, data, settings())
    assert len(open_store(folder, data, settings(fields=("logits",)))) == COUNT
    assert len(open_store(folder, data.take(range(96)), settings())) == 96
    with pytest.raises(
        DataError,
        match="unfinished or damaged, and is for 200 images; the 10 given are part of them or in another order",
    ):
        make(folder, data.take(range(10)))
    teacher = Teacher(data)
    capsys.readouterr()
    report = make(folder, data, teacher)
    assert (report.made, report.kept) == (1, SHARDS - 1)
    assert set(teacher.asked) == set(range(96, 128))
    assert re.search(rf"00003\.maps\.npy .*{told}.*: shard 3 is made again", capsys.readouterr().out)
    assert contents(folder) == before


def test_without_verifying_a_truncated_shard_is_still_seen(folder, data):
    make(folder, data)
    flip(folder / "00003.maps.npy")
    open_store(folder, data, settings(), verify=False)
    truncate(folder / "00003.maps.npy")
    with pytest.raises(DataError, match="bytes long instead of"):
        open_store(folder, data, settings(), verify=False)


@pytest.mark.parametrize("harm", [truncate, flip, os.remove])
def test_a_damaged_list_of_samples_is_written_anew(folder, data, harm):
    make(folder, data)
    harm(folder / "samples.json")
    with pytest.raises(DataError, match=r"samples\.json is damaged"):
        open_store(folder, data, settings())
    assert make(folder, data).kept == SHARDS
    assert len(open_store(folder, data, settings())) == COUNT


def test_an_index_that_cannot_be_read_or_is_of_another_format_is_refused(folder, data):
    make(folder, data)
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"format": 2}))
    with pytest.raises(DataError, match="is of format 2, and 1 was expected"):
        open_store(folder, data, settings())
    truncate(folder / "index.json")
    for attempt in (lambda: open_store(folder, data, settings()), lambda: make(folder, data)):
        with pytest.raises(DataError, match=r"index\.json cannot be read .*; delete it to start over"):
            attempt()
    with pytest.raises(DataError, match=r"no teacher cache in .*; build it with `lfi cache CONFIG`"):
        open_store(folder / "nowhere", data, settings())


def test_a_second_builder_is_refused_until_the_first_one_ends(folder, data):
    def meanwhile(rows):
        refused(folder, data)
        child = multiprocessing.get_context("fork").Process(target=refused, args=(folder, data))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        return teacher(rows)

    teacher = Teacher(data)
    build(folder, data, settings(), meanwhile, batch=COUNT)
    assert teacher.asked == list(range(COUNT))
    assert make(folder, data).made == 0


def refused(folder, data):
    with pytest.raises(DataError, match="another process is building"):
        make(folder, data)
