"""Decoded images are read again only when they changed."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lfi.data import imagecache
from lfi.data.imagecache import cached
from lfi.errors import DataError


@pytest.fixture
def paths(tmp_path, picture):
    return [picture(tmp_path / f"{row}.png", 10 * row) for row in range(5)]


@pytest.fixture
def reads(monkeypatch):
    """How many files were decoded."""
    counted = []

    def counting(paths, *others):
        counted.append(len(paths))
        return readable(paths, *others)

    readable = imagecache.readable
    monkeypatch.setattr(imagecache, "readable", counting)
    return counted


def entries(cache):
    return sorted(path.suffix for path in (cache / "images").iterdir() if path.suffix != ".lock")


def test_the_second_time_nothing_is_decoded(paths, cache, reads):
    first, second = cached(paths, 8), cached(paths, 8)
    assert reads == [5]
    assert (first.images == second.images).all()
    assert first.images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    assert entries(cache) == [".json", ".npy"]


def test_other_sizes_fits_and_orders_are_other_entries(paths, reads):
    cached(paths, 8)
    cached(paths, 9)
    cached(paths, 8, fit="crop")
    assert cached(paths[::-1], 8).images[0, 0, 0, 0] == 40
    assert len(reads) == 4


def test_a_file_that_changed_makes_the_entry_stale_and_replaces_it(paths, cache, reads, picture):
    cached(paths, 8)
    before = os.stat(paths[2])
    picture(paths[2], 200)
    os.utime(paths[2], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert cached(paths, 8).images[2, 0, 0, 0] == 200
    assert reads == [5, 5]
    assert entries(cache) == [".json", ".npy"]


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("left", [0, 100])
def test_a_truncated_entry_is_made_anew(paths, cache, reads, suffix, left):
    expected = cached(paths, 8).images.copy()
    file = next((cache / "images").glob(f"*{suffix}"))
    file.write_bytes(file.read_bytes()[: min(left, file.stat().st_size - 1)])
    assert (cached(paths, 8).images == expected).all()
    assert reads == [5, 5]


def test_an_entry_whose_writing_was_killed_does_not_count(paths, cache, reads, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(imagecache.json, "dumps", lambda value: killed() if isinstance(value, dict) else "x")
    with pytest.raises(KeyboardInterrupt):
        cached(paths, 8)
    monkeypatch.undo()
    os.environ["LFI_CACHE"] = str(cache)
    assert [suffix for suffix in entries(cache) if suffix == ".json"] == []
    assert cached(paths, 8).images[4, 0, 0, 0] == 40


def test_what_was_skipped_is_told_again_and_held_to_the_limit_again(paths, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"")
    files = [paths[0], tmp_path / "bad.png", *paths[1:]]
    first = cached(files, 8, limit=0.5)
    assert first.kept.tolist() == [0, 2, 3, 4, 5]
    assert first.images.shape == (5, 8, 8, 3)
    capsys.readouterr()
    assert cached(files, 8, limit=0.5).skipped == first.skipped
    assert "bad.png: the file is empty" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"bad\.png"):
        cached(files, 8, limit=0.1)


def test_too_many_unreadable_files_leave_nothing_behind(paths, tmp_path, cache):
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(DataError):
        cached([*paths, tmp_path / "bad.png"], 8)
    assert entries(cache) == []


def test_a_folder_that_cannot_be_written_is_named(paths, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="set LFI_CACHE to another folder"):
        cached(paths, 8, folder=tmp_path / "file")


def test_of_several_processes_one_decodes(tmp_path, picture, cache):
    path = picture(tmp_path / "a.png", 7)
    script = (
        "import sys, pathlib; from lfi.data import imagecache\n"
        "write = imagecache._write\n"
        "imagecache._write = lambda *arguments: (print('decodes'), write(*arguments))\n"
        "print(imagecache.cached([pathlib.Path(sys.argv[1])] * 200, 8).images[0, 0, 0, 0])"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    told = [process.communicate()[0].split() for process in processes]
    assert sorted(told, key=len) == [["7"], ["7"], ["decodes", "7"]]
