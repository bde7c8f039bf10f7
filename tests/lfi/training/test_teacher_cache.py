"""A teacher cache gives back what the teacher answered, survives what breaks, and refuses what does not fit."""

import errno
import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cached_answers
import numpy as np
import pytest
import torch
from cached_answers import COUNT, FIELDS, VOCABULARY, Teacher, images, settings, softmax

from lfi.errors import ConfigError, DataError
from lfi.training.cache import build, files, open_store
from lfi.training.cache.compression import TOLERANCE, compress, expand

ROOT = Path(__file__).parents[3]
SHARDS = 7  # of 32 images


@pytest.fixture(scope="module")
def data():
    return images()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def make(folder, data, teacher=None, **changes):
    return build(folder, data, settings(**changes), teacher or Teacher(data), shard=32, batch=10)


def total_variation(first, second):
    return 0.5 * np.abs(first.astype(np.float64) - second.astype(np.float64)).sum(-1)


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


# What comes back


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


# How much it takes


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


# What breaks


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
        DataError, match="unfinished or damaged, and is for 200 images, of which 10 are a part or in another order"
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


# What is refused


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"teacher": "coca@4567"}, "teacher is 'coca@0123' there and 'coca@4567' was asked for"),
        ({"maps": "captions"}, "maps is 'statements' there and 'captions' was asked for"),
        ({"layers": (1,)}, r"layers is \[0, 1\] there and \[1\] was asked for"),
        ({"tower_layers": (2, 6)}, r"tower_layers is \[2, 5\] there and \[2, 6\] was asked for"),
        ({"prompt": "{}"}, r"prompt is 'a photo of a \{\}' there and '\{\}' was asked for"),
        ({"classes": VOCABULARY[1:6]}, "classes is"),
        (
            {"vocabulary": (*VOCABULARY[:7], "dog", *VOCABULARY[8:])},
            "vocabulary has 20 entries there and 20 were asked for, of which number 8 is the first to differ: "
            "'thing 7' there, 'dog' here",
        ),
        ({"vocabulary": (*VOCABULARY, "dog")}, "number 21 is the first to differ: nothing there, 'dog' here"),
        ({"preprocessing": "32 px"}, "preprocessing is '64 px, squash, mean .5, std .5' there and '32 px'"),
        ({"precision": "uint8"}, "precision is 'float16' there and 'uint8' was asked for"),
        ({"fields": ("logits", "latents")}, "it holds maps, logits, but no latents"),
        ({"teacher": "a", "prompt": "b"}, "teacher is .*; prompt is "),
    ],
)
def test_answers_to_other_questions_are_refused_by_name(folder, data, changes, told):
    data = data.take(range(10))
    make(folder, data, fields=("maps", "logits"))
    for attempt in (open_store, make_again):
        with pytest.raises(ConfigError, match=told) as error:
            attempt(folder, data, settings(**({"fields": ("maps", "logits")} | changes)))
        assert "\n" not in str(error.value)


def make_again(folder, data, wanted):
    return build(folder, data, wanted, Teacher(data), shard=32)


def other_pixels(data):
    changed = data.images.copy()
    changed[4, 2, 2, 2] ^= 1
    return replace(data, images=changed)


def other(values, value):
    return (*values[:4], value, *values[5:])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_pixels, "class/0004.png has other pixels"),
        (lambda data: replace(data, captions=other(data.captions, "a dog")), "class/0004.png has other caption"),
        (lambda data: replace(data, words=other(data.words, ("dog",))), "class/0004.png has other words"),
        (
            lambda data: other_pixels(replace(data, words=other(data.words, ()))),
            "class/0004.png has other pixels and words",
        ),
        (lambda data: replace(data, ids=other(data.ids, "new.png")), "new.png is missing"),
    ],
)
def test_images_that_changed_are_refused_by_id_and_by_what_changed(folder, data, change, told):
    data = data.take(range(10))
    make(folder, data)
    for attempt in (open_store, make_again):
        with pytest.raises(DataError, match=rf"does not fit 1 of 10 images: {told}; build one"):
            attempt(folder, change(data), settings())


def test_many_images_that_changed_are_counted(folder, data):
    make(folder, data.take(range(10)))
    with pytest.raises(DataError, match=r"190 of 200 images: .*0010.png is missing; .*; .*, and 187 more; build"):
        open_store(folder, data, settings())


@pytest.mark.parametrize(
    ("field", "harm", "told"),
    [
        ("maps", lambda values: 2 * values, r"a teacher map of class/0000.png sums to 2; 1 was expected"),
        ("maps", lambda values: -values, r"maps of class/0000.png hold -.*; finite numbers, 0 or more, were expected"),
        ("logits", lambda values: values / 0, r"logits of class/0000.png hold -?inf; finite numbers were expected"),
        ("latents", lambda values: values[:, 0], r"latents are \(10,\) for 10 images; 2 axes were expected"),
        ("latents", lambda values: values[:-1], r"latents are \(9, 6\) for 10 images"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_answers_that_cannot_be_kept_are_refused(folder, data, field, harm, told):
    teacher = Teacher(data)

    def ask(rows):
        found = teacher(rows)
        return found | {field: harm(found[field])}

    with pytest.raises(DataError, match=told):
        make(folder, data, ask)


def test_a_teacher_that_leaves_a_field_out_or_changes_its_shape_is_refused(folder, data):
    teacher = Teacher(data)
    with pytest.raises(DataError, match="but not words, names"):
        make(folder, data, lambda rows: {name: teacher(rows)[name] for name in FIELDS})
    teacher = Teacher(data)

    def ask(rows):
        found = teacher(rows)
        return found | {"logits": found["logits"][:, : 5 if rows[0] < 50 else 4]}

    with pytest.raises(DataError, match=r"logits are \(4,\) an image now and were \(5,\) before"):
        make(folder, data, ask)
    assert make(folder, data).kept == 1


def test_unknown_fields_and_precisions_are_refused():
    with pytest.raises(ConfigError, match="precision is 'int4'; one of float16, uint8"):
        settings(precision="int4")
    with pytest.raises(ConfigError, match=r"fields are \['depth'\]"):
        settings(fields=("depth",))
