"""Files that are whole or not there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lfi.errors import ConfigError
from lfi.training.photographs.trunk import save_whole
from lfi.writing import whole, write_json


def test_a_file_is_there_when_its_block_ends_and_not_before(tmp_path):
    file = tmp_path / "table.csv"
    with whole(file) as part:
        part.write_text("a,b\n")
        assert not file.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_a_block_that_fails_leaves_the_file_of_before_and_nothing_else(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("whole")
    with pytest.raises(UnicodeEncodeError), whole(file) as part:
        part.write_text("ha\udce9")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"table.csv": "whole"}


def test_writers_of_one_file_at_a_time_do_not_mix_their_bytes(tmp_path):
    file = tmp_path / "picture"
    contents = [bytes([number]) * 200_000 for number in range(8)]

    def write(content: bytes) -> None:
        with whole(file) as part:
            part.write_bytes(content)

    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(write, contents * 5))
    assert file.read_bytes() in contents
    assert os.listdir(tmp_path) == ["picture"]


def test_files_that_differ_in_their_ending_are_written_apart(tmp_path):
    with whole(tmp_path / "batch.json") as one, whole(tmp_path / "batch.csv") as other:
        one.write_text("{}")
        other.write_text("a,b\n")
    assert (tmp_path / "batch.json").read_text() == "{}"
    assert (tmp_path / "batch.csv").read_text() == "a,b\n"


def test_arrays_have_the_name_that_was_asked_for(tmp_path):
    save_whole(tmp_path / "chunk.npz", a=np.arange(3))
    assert np.load(tmp_path / "chunk.npz")["a"].tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ["chunk.npz"]


def test_json_that_cannot_be_written_is_said_with_its_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"cannot write to {tmp_path}/file: file exists"):
        write_json(tmp_path / "file" / "record.json", {})
