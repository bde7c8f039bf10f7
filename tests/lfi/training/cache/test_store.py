"""A teacher cache gives back what the teacher answered, and announces how much it takes."""

import errno
import json
import os
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cached_answers import COUNT, FIELDS, SHARDS, Teacher, images, make, settings, softmax

from lfi.errors import DataError
from lfi.training.cache import build, files, open_store
from lfi.training.cache.compression import TOLERANCE, compress, expand
from lfi.training.cache.samples import samples_of


def total_variation(first, second):
    return 0.5 * np.abs(first.astype(np.float64) - second.astype(np.float64)).sum(-1)


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


def test_half_an_emoji_in_a_caption_has_a_digest(data):
    captions = ("a star \ud83d", *data.captions[1:])
    assert samples_of(replace(data, captions=captions))[data.ids[0]] != samples_of(data)[data.ids[0]]


@pytest.mark.parametrize("precision", ["float16", "uint8"])
def test_what_the_teacher_answered_comes_back(folder, data, precision):
    report = make(folder, data, precision=precision)
    store = open_store(folder, data, settings(precision=precision))
    assert len(store) == COUNT
    teacher, worst, off = Teacher(data), 0.0, []
    found = store.rows(np.arange(COUNT))
    for row in range(COUNT):
        answer = teacher.answer(row)
        here = {name: values[row].numpy() for name, values in found.items()}
        for name in ("logits", "latents", "words", "names"):
            assert np.array_equal(here[name], answer[name])
        words = answer["words"]
        off.append(total_variation(here["maps"], answer["maps"])[:, words].ravel())
        assert (here["maps"][:, ~words] == 1 / 64).all()
        for name in ("activations", "attentions"):
            distance = np.linalg.norm(here[name] - answer[name], axis=-1) / np.linalg.norm(answer[name], axis=-1)
            worst = max(worst, distance.max())
    off = np.concatenate(off)
    assert off.max() < TOLERANCE[precision]
    assert worst < 2 * TOLERANCE[precision]
    assert report.error["maps"] == pytest.approx({"mean": off.mean(), "max": off.max()}, rel=1e-3)
    assert store.error == report.error == json.loads((folder / "index.json").read_text())["error"]
    assert {name: values.dtype for name, values in found.items()} == {
        **dict.fromkeys(FIELDS, torch.float32),
        "words": torch.bool,
        "names": torch.int64,
    }
    assert torch.allclose(found["maps"].sum(-1), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("patches", [64, 196, 576])
@pytest.mark.parametrize("spread", [1, 2, 4])
@pytest.mark.parametrize("precision", ["float16", "uint8"])
def test_the_stated_error_holds_for_even_and_for_peaked_maps(patches, spread, precision):
    maps = softmax(spread * np.random.default_rng(0).standard_normal((2000, patches)))
    read = expand("maps", compress("maps", maps, precision))
    off = total_variation(read, maps)
    assert off.max() < TOLERANCE[precision]
    assert off.mean() < {"float16": 1e-4, "uint8": 4e-3}[precision]


def test_a_map_of_one_patch_and_an_even_one_survive():
    maps = np.concatenate([np.eye(64, dtype=np.float32)[:1], np.full((1, 64), 1 / 64, np.float32)])
    for precision in ("float16", "uint8"):
        assert np.allclose(expand("maps", compress("maps", maps, precision)), maps, atol=1e-7)


def test_rows_come_in_the_order_asked_for_across_shards_and_may_repeat(folder, data):
    make(folder, data)
    store = open_store(folder, data, settings())
    asked = [199, 0, 31, 32, 0, 64, 33]
    found = store.rows(asked)
    assert same(found, store.rows(torch.tensor(asked)))
    assert torch.equal(found["latents"], store.field("latents")[asked])
    for place, row in enumerate(asked):
        assert same({name: values[place : place + 1] for name, values in found.items()}, store.rows([row]))
    assert found["names"].tolist() == [Teacher(data).answer(row)["names"].tolist() for row in asked]
    assert store.rows([])["maps"].shape == (0, 2, 3, 64)
    assert list(store.rows([1], ("logits",))) == ["logits"]


def test_a_part_of_the_images_in_another_order_finds_its_own_answers(folder, data):
    make(folder, data)
    rows = np.random.default_rng(1).permutation(COUNT)[:50]
    part = open_store(folder, data.take(rows), settings())
    assert same(part.rows(np.arange(50)), open_store(folder, data, settings()).rows(rows))


def test_fewer_fields_may_be_read_than_are_held(folder, data):
    make(folder, data)
    store = open_store(folder, data, settings(fields=("logits",)))
    assert set(store.rows([0])) == {"logits", "words", "names"}
    with pytest.raises(DataError, match="maps were not requested"):
        store.rows([0], ("maps",))


def test_numbers_of_words_that_differ_between_batches_are_padded(folder, data):
    teacher = Teacher(data)

    def narrow(rows):
        found = teacher(rows)
        width = int(found["words"].sum(1).max())
        return {
            name: values[:, :width]
            if name in ("words", "names")
            else values[:, :, :width]
            if name == "maps"
            else values
            for name, values in found.items()
        }

    build(folder, data, settings(), narrow, shard=32, batch=1)
    make(folder.with_name("fixed"), data)
    rows = np.arange(COUNT)
    assert same(
        open_store(folder, data, settings()).rows(rows),
        open_store(folder.with_name("fixed"), data, settings()).rows(rows),
    )


def test_a_build_that_goes_on_keeps_the_number_of_words_it_began_with(folder, data):
    teacher, wordless = Teacher(data), replace(data, words=((),) * COUNT)

    def ask(rows):
        if rows[0] == stop:
            raise KeyboardInterrupt
        found = teacher(rows)
        width = 3 if rows[0] == 0 else 1
        found |= {name: found[name][:, :width] for name in ("words", "names")}
        return found | {"maps": found["maps"][:, :, :width]}

    stop = 64
    with pytest.raises(KeyboardInterrupt):
        build(folder, wordless, settings(), ask, shard=32, batch=32)
    stop = None
    assert build(folder, wordless, settings(), ask, shard=32, batch=32).kept == 2
    assert open_store(folder, wordless, settings()).field("words").sum(1)[[2, 199]].tolist() == [3, 1]


@pytest.mark.parametrize("precision", ["float16", "uint8"])
def test_the_size_is_announced_before_the_work_and_is_right(folder, data, capsys, precision):
    printed = ""
    teacher = Teacher(data)

    def ask(rows):
        nonlocal printed
        printed += capsys.readouterr().out
        assert len(teacher.asked) < 10 or "200 images of" in printed
        return teacher(rows)

    report = make(folder, data, ask, precision=precision)
    announced = int(re.search(r"\(([\d,]+) bytes\)", printed)[1].replace(",", ""))
    on_disk = sum(path.stat().st_size for path in folder.iterdir())
    assert report.bytes == on_disk
    assert announced == report.announced == pytest.approx(on_disk, rel=0.01)
    assert "off by" in capsys.readouterr().out


def test_every_image_is_asked_about_once(folder, data):
    teacher = Teacher(data)
    report = make(folder, data, teacher)
    assert (report.made, report.kept) == (SHARDS, 0)
    assert teacher.asked == list(range(COUNT))
    again = make(folder, data, teacher)
    part = make(folder, data.take([5, 3]), teacher)
    assert (again.made, again.kept) == (part.made, part.kept) == (0, SHARDS)
    assert len(teacher.asked) == COUNT


def test_a_disk_that_is_too_small_is_refused_before_the_work(folder, data, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10_000}))
    teacher = Teacher(data)
    with pytest.raises(DataError, match=r"needs 3.69 MB in .*, where 10 kB are free"):
        make(folder, data, teacher)
    assert len(teacher.asked) == 10


def test_a_folder_that_cannot_be_written_or_a_disk_that_fills_up_is_told(folder, data, monkeypatch):
    folder.write_text("in the way")
    with pytest.raises(DataError, match=r"cache cannot be written: File exists"):
        make(folder, data)
    folder.unlink()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(full))
    with pytest.raises(DataError, match=r"cache cannot be written: No space left on device"):
        make(folder, data)
    monkeypatch.undo()
    assert make(folder, data).made == SHARDS


def test_reading_few_rows_does_not_load_the_store(folder, data):
    attention = softmax(np.random.default_rng(0).standard_normal((64, 1, 197, 196)))
    wanted = settings(fields=("attentions",))
    big = images(1000)
    build(folder, big, wanted, lambda rows: {"attentions": attention[: len(rows)]}, shard=256)
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size > 70e6
    store = pickle.loads(pickle.dumps(open_store(folder, big, wanted)))
    before = resident()
    assert torch.allclose(store.rows([3, 900, 300])["attentions"][1], torch.from_numpy(attention[4]), rtol=1e-3)
    assert resident() - before < size / 5


def resident() -> int:
    """Bytes of this process that are in memory, mapped files included."""
    return 1024 * int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0])
