"""`lfi batch --engine ray`: the answers of the plain command, part by part, on a Ray of this machine."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commandline import lfi as run
from uploads import as_bytes, scene, truncated_jpeg

from app.batch.parts import FILES, Part, TarImages, Worker, file_of, parts_of, stale_files
from lfi.errors import ConfigError, ImageTooLargeError

WORDS = ["--word", "star", "--word", "red circle"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three pictures, one of them damaged, and a file that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(as_bytes(scene(60, 40)))
    (folder / "b.jpg").write_bytes(as_bytes(scene(48, 48), "JPEG"))
    (folder / "c.jpg").write_bytes(truncated_jpeg())
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def shards(images: Path, tmp_path: Path) -> Path:
    """The same in two shards."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number, names in enumerate((("a.png", "notes.txt"), ("b.jpg", "c.jpg"))):
        with tarfile.open(folder / f"part-{number}.tar", "w") as tar:
            for name in names:
                tar.add(images / name, name)
    return folder


def test_a_shard_is_a_part_and_so_are_some_files_of_a_folder(images, shards):
    out = shards.parent / "out"
    assert [(Path(part.source).name, part.names) for part in parts_of(str(shards), out)] == [
        ("part-0.tar", None),
        ("part-1.tar", None),
    ]
    assert parts_of(f"{shards}/part-{{0..1}}.tar", out) == parts_of(str(shards), out)
    (part,) = parts_of(str(images), out)
    assert part.names == ("a.png", "b.jpg", "c.jpg")
    assert Part.of(part.text()) == part
    for number in range(FILES):
        (images / f"{number}.png").write_bytes(b"")
    assert [len(each.names) for each in parts_of(str(images), out)] == [FILES, 3]


def test_images_of_a_shard_are_read_as_those_of_a_folder(images, shards):
    found = TarImages(str(shards / "part-0.tar"))
    assert (found.names, found.others) == (("part-0/a.png",), ("part-0/notes.txt",))
    assert found.read("part-0/a.png", 10**6) == (images / "a.png").read_bytes()
    with pytest.raises(ImageTooLargeError, match="larger than"):
        found.read("part-0/a.png", 10)
    (shards / "part-0.tar").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read"):
        TarImages(str(shards / "part-0.tar"))


def shard_of(path: Path, names: list[str], data: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_a_shard_with_a_damaged_header_is_refused_and_loses_no_image_in_silence(tmp_path):
    shard = shard_of(tmp_path / "part.tar", [f"{number}.png" for number in range(6)], bytes(1000))
    data = bytearray(shard.read_bytes())
    fourth = 3 * (512 + 1024)
    data[fourth + 148 : fourth + 156] = b"no digits"[:8]  # its checksum
    shard.write_bytes(data)
    with pytest.raises(ConfigError, match=r"part.tar cannot be read: damaged at byte 4,608"):
        TarImages(str(shard))


def test_images_of_the_same_name_in_a_shard_are_all_answered(tmp_path):
    shard = shard_of(tmp_path / "part.tar", ["a.png", "caf\udce9.png", "a.png"], b"data")
    assert TarImages(str(shard)).names == ("part/a (2).png", "part/a.png", r"part/caf\xe9.png")


def test_another_engine_is_refused(images, tmp_path, capsys):
    assert run("batch", images, *WORDS, "--out", tmp_path / "out", "--engine", "spark") == 2
    assert capsys.readouterr().err == "lfi: --engine is 'spark'; here or ray was expected\n"


def test_images_that_changed_are_answered_again_and_their_old_parts_are_removed(
    images, trio_folder, tmp_path, capsys, monkeypatch
):
    def answer_here(parts, settings, request, out, workers):
        worker = Worker(settings, request, str(out))
        for part in parts:
            worker(part)
            yield part.name

    monkeypatch.setattr("app.batch.ray_engine.answer_on_ray", answer_here)
    out = tmp_path / "parts"
    command = ["batch", images, *WORDS, "--out", out, "--trio", trio_folder, "--engine", "ray"]

    def sizes() -> list[tuple[str, int]]:
        assert run(*command) == 0
        return [
            (row["name"], row["width"])
            for file in sorted((out / "parts").iterdir())
            for row in pq.read_table(file, columns=["name", "width"]).to_pylist()
        ]

    assert sizes() == [("a.png", 60), ("b.jpg", 48), ("c.jpg", 0)]
    (images / "a.png").write_bytes(as_bytes(scene(90, 40)))
    assert sizes() == [("a.png", 90), ("b.jpg", 48), ("c.jpg", 0)]
    (images / "b.jpg").unlink()
    assert sizes() == [("a.png", 90), ("c.jpg", 0)]
    assert "removed, as its images have changed: 000000000-" in capsys.readouterr().out


def test_only_parts_of_what_is_asked_for_are_stale(shards, tmp_path):
    def kept(source: object) -> list[Path]:
        return [file_of(tmp_path, part) for part in parts_of(str(source), tmp_path)]

    (tmp_path / "parts").mkdir()
    first, second = before = kept(shards)
    for path in before:
        path.touch()
    os.utime(shards / "part-0.tar", (1, 1))
    os.utime(shards / "part-1.tar", (1, 1))
    one, every = str(shards / "part-0.tar"), str(shards)
    assert stale_files(tmp_path, one, parts_of(one, tmp_path)) == [first]
    assert stale_files(tmp_path, every, parts_of(every, tmp_path)) == [first, second]


@pytest.mark.slow
def test_ray_gives_what_the_plain_command_gives_and_resumes(images, shards, trio_folder, tmp_path, capsys):
    ray = pytest.importorskip("ray")
    plain, out = tmp_path / "plain", tmp_path / "parts"
    assert run("batch", images, *WORDS, "--out", plain, "--trio", trio_folder) == 0
    expected = {json.loads(line)["name"]: json.loads(line) for line in (plain / "records.jsonl").open()}
    command = ["batch", shards, *WORDS, "--out", out, "--trio", trio_folder, "--engine", "ray"]
    capsys.readouterr()
    try:
        assert run(*command) == 0
        said = capsys.readouterr().out
        assert "2 of 3 images, 1 not read; 0 of 2 parts were there" in said
        assert "not read: part-1/c.jpg: " in said
        assert "skipped, as they are not images: 1 (part-0/notes.txt)" in said
        files = sorted((out / "parts").iterdir())
        assert [file.suffix for file in files] == [".parquet"] * 2
        found = [row for file in files for row in pq.read_table(file).to_pylist()]
        assert [row["name"] for row in found] == ["part-0/a.png", "part-1/b.jpg", "part-1/c.jpg"]
        for row in found:
            record = expected[Path(row["name"]).name]
            # another process may add up in another order
            assert json.loads(row["rows"]) == [pytest.approx(each, abs=1e-5) for each in record["rows"]]
            assert [row[name] for name in ("sha256", "width", "height", "problem", "note")] == [
                record[name] for name in ("sha256", "width", "height", "problem", "note")
            ]
            if record["problem"]:
                assert row["maps"] is None
                continue
            with np.load(plain / "maps" / f"{record['stem']}.npz") as one, np.load(io.BytesIO(row["maps"])) as other:
                assert set(one) == set(other)
                arrays = [name for name in one if one[name].dtype.kind == "f"]
                assert arrays
                for name in arrays:
                    np.testing.assert_allclose(one[name], other[name], atol=1e-6)

        files[1].unlink()  # as if it had been killed before the second part
        untouched = files[0].stat().st_mtime_ns
        assert run(*command) == 0
        assert "2 of 3 images, 1 not read; 1 of 2 parts were there" in capsys.readouterr().out
        assert files[1].is_file()
        assert files[0].stat().st_mtime_ns == untouched
        assert run(*command, "--models", "teacher") == 2
        assert "has answers to another question" in capsys.readouterr().err
    finally:
        ray.shutdown()
