"""What `lfi distil` decides before it trains: which images, which sizes, how long, and whether a run may go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lfi.data.imageset import ImageSet
from lfi.data.listing import Listing
from lfi.errors import CheckpointError, ConfigError, DataError, UnknownWordError
from lfi.training.config import LoopConfig
from lfi.training.distil import Plan, Request, Stage, measure, planning
from lfi.training.distil.plan import FILE, sized, spoken
from lfi.training.distil.progress import Progress
from lfi.training.distil.request import split, to_learn_from
from lfi.training.distil.sizes import SIZES, epochs_for, loop_for, methods_for, saving, size_of, work_of

PLAN = Plan(
    request={"teacher": "t", "seed": 0},
    teacher="t@0",
    about="a CLIP",
    images=100,
    held_out=25,
    rows=100,
    classes=5,
    pixels=64,
    student="least",
    parameters=400_000,
    loop=LoopConfig(epochs=3, batch_size=8),
    steps=9,
    methods=("lfi", "DIST + feature KD"),
    canvases=100,
    stages=(Stage("reading", 30, 2_000_000), Stage("training", 7200, 3 * 10**9)),
    memory=10**7,
    device="2 CPU cores",
)


def images_in(folder: Path, count: int = 16) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


def test_a_plan_says_hours_and_gigabytes():
    lines = PLAN.lines()
    assert lines[0] == "images    100, of which 25 are held out to choose on; 5 classes"
    assert "3 epochs of 9 steps of 8 images; LFI, and as baselines DIST + feature KD" in lines[2]
    assert lines[4].split() == ["training", "2.0", "h", "3.0", "GB"]
    assert lines[5].split() == ["in", "all", "2.0", "h", "3.0", "GB;", "memory", "10", "MB"]


def test_words_that_the_teacher_does_not_know_are_asked_in_no_row():
    captions = ("a red dog", "a red wug", "a wug")
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    images = ImageSet(pixels, ("a", "b", "c"), (), np.full(3, -1), captions, ((),) * 3)

    def check(words):
        if "wug" in words:
            raise UnknownWordError({"wug": []})

    found = to_learn_from(images, SimpleNamespace(name="t", check_prompts=check))
    assert found.words == (("red", "dog"), ("red",), ())
    assert found.classes == ("red",)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (720, "12 min"), (12_240, "3.4 h")])
def test_times_are_spoken(seconds, text):
    assert spoken(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "-"), (10, "1 MB"), (3_400_000, "3 MB"), (2_510_000_000, "2.5 GB")])
def test_sizes_are_said(size, text):
    assert sized(size) == text


def test_a_plan_is_read_back_as_it_was_written(tmp_path):
    assert Plan.read(tmp_path) is None
    PLAN.write(tmp_path / "runs")
    assert Plan.read(tmp_path / "runs") == PLAN
    before = json.loads((tmp_path / "runs" / FILE).read_text())
    del before["rows"], before["steps"]  # which earlier versions did not write
    (tmp_path / "runs" / FILE).write_text(json.dumps(before))
    assert Plan.read(tmp_path / "runs") == PLAN
    (tmp_path / "runs" / FILE).write_text("{")
    with pytest.raises(CheckpointError, match="--fresh starts again"):
        Plan.read(tmp_path / "runs")


@pytest.mark.parametrize(
    ("now", "named"),
    [
        ({"request": {"teacher": "u", "seed": 0}}, "teacher = 't', and it is 'u' now"),
        ({"images": 99}, "images of the folder = 100, and it is 99 now"),
        ({"rows": 101}, "captions of the images = 100, and it is 101 now"),
        ({"teacher": "t@1"}, "the teacher's weights = 't@0', and it is 't@1' now"),
    ],
)
def test_a_run_goes_on_only_as_it_was_begun(now, named, tmp_path):
    asked = {"request": PLAN.request, "images": PLAN.images, "rows": PLAN.rows, "teacher": PLAN.teacher}
    PLAN.check(**asked, folder=tmp_path)
    with pytest.raises(ConfigError, match="--runs, or start again with --fresh") as refused:
        PLAN.check(**{**asked, **now}, folder=tmp_path)
    assert named in str(refused.value)


def test_rows_of_one_file_are_on_the_same_side():
    files = [Path(f"{number // 5}.png") for number in range(500)]
    train, held = split(files, 0)
    assert sorted([*train, *held]) == list(range(500))
    assert not {files[row] for row in train} & {files[row] for row in held}
    assert len({files[row] for row in held}) == 25
    assert split(files, 0)[1].tolist() == held.tolist() != split(files, 1)[1].tolist()


def test_a_picture_of_several_captions_is_one_image_and_every_caption_is_learned():
    files = tuple(Path(f"{number // 5}.png") for number in range(200))
    ids = tuple(map(str, range(200)))
    counts = planning.Counts.of(Listing(files, ids, (), np.full(200, -1), ids, ((),) * 200), 0)
    assert (counts.images, counts.held_out, counts.rows, counts.learned) == (40, 10, 200, 150)
    said = replace(PLAN, images=counts.images, held_out=counts.held_out, rows=counts.rows).lines()[0]
    assert said == "images    40 with 200 captions, of which 10 are held out to choose on; 5 classes"


def test_what_lies_on_one_disk_must_fit_there_together(tmp_path, monkeypatch):
    stages = (Stage(planning.READING, 1, 6 * 10**9), Stage(planning.ASKING, 1, 5 * 10**9))
    plan = replace(PLAN, stages=(*stages, Stage(planning.WRITING, 1, 10**9)))
    monkeypatch.setattr(planning, "cache_folder", lambda: tmp_path / "decoded")
    free = iter([12 * 10**9, 11 * 10**9])
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda _: SimpleNamespace(free=next(free)))
    planning.room(plan, tmp_path / "mine", tmp_path / "runs")
    with pytest.raises(ConfigError, match=r"12\.0 GB are needed on one disk, and 11\.0 GB are free there") as refused:
        planning.room(plan, tmp_path / "mine", tmp_path / "runs")
    for folder in ("decoded (6.0 GB)", "runs (5.0 GB)", "mine (1.0 GB)"):
        assert f"{tmp_path / folder}" in str(refused.value)


@pytest.mark.parametrize(("count", "held"), [(16, 4), (100, 25), (1000, 100), (100_000, 2000)])
def test_a_tenth_is_held_out_and_more_of_few(count, held):
    assert len(split([Path(str(each)) for each in range(count)], 0)[1]) == held


def test_sizes_grow_and_are_called_by_name():
    work = [work_of(size) for size in SIZES]
    assert work == sorted(work)
    assert size_of("small").source.backbone == "vit_small_patch16_224"
    with pytest.raises(ConfigError, match="--student is 'huge'; one of least, little"):
        size_of("huge")


def test_few_images_are_seen_more_often_in_smaller_batches():
    assert [epochs_for(count) for count in (50, 50_000, 10**7)] == [60, 20, 10]
    assert loop_for(SIZES[0], 30, 0, "cpu", 7).batch_size == 8
    assert loop_for(SIZES[0], 9000, 0, "cpu", 7).batch_size == 64
    found = loop_for(SIZES[-1], 10**6, 4, "cuda", 7)
    assert (found.batch_size, found.epochs, found.seed, found.learning_rate) == (256, 4, 7, 5e-4)
    assert [saving(found, seconds).checkpoint_every for seconds in (0.001, 0.5, 60)] == [5000, 240, 10]


def test_baselines_copy_only_what_the_teacher_has():
    for logits in (True, False):
        methods = methods_for(logits)
        ours, *baselines = (method.objective for method in methods.values())
        assert next(iter(methods)) == "lfi"
        assert len(baselines) == 2
        assert all(each.feature_kd == 1.0 and not each.wants_maps for each in baselines)
        assert ours.feature_kd == 1.0
        assert ours.interaction > 0
        assert any("logits" in each.fields for each in (ours, *baselines)) == logits


def test_a_step_is_measured_on_pictures_of_several_captions():
    pixels, said = np.zeros((2, 8, 8, 3), np.uint8), ("a red dog", "a dog")
    images = ImageSet(pixels, ("a", "a#2"), (), np.full(2, -1), said, ((),) * 2, pictures=("a", "a"))
    found = measure.repeated(images, np.array([0, 1, 0]))
    assert (found.ids, found.captions) == (("a 0", "a#2 1", "a 2"), ("a red dog", "a dog", "a red dog"))


@pytest.fixture
def timed(monkeypatch):
    """Selection with a step's time given by size, and nothing run."""
    measured = []

    def measure_of(shown, size, images, device):
        measured.append(size.name)
        seconds = dict.fromkeys(shown.methods, work_of(size) / 1e9)
        return measure.Measured(size, loop_for(size, images, 0, device, 0), seconds, 0.1, 0.1)

    def stages_of(shown, found, counts):
        return (Stage("all", found.loop.epochs * counts.rows / found.loop.batch_size * sum(found.steps.values())),)

    monkeypatch.setattr(planning, "measure", measure_of)
    monkeypatch.setattr(planning, "stages_of", stages_of)
    monkeypatch.setattr(planning, "_memory", lambda *about: 0)  # whatever machine the test runs on
    return measured


class Asked:
    methods = ("lfi", "DIST + feature KD", "logit + feature KD")

    def __init__(self, hours: float):
        self.request = Request("t", Path("images"), hours=hours)
        self.questions = SimpleNamespace(teacher=SimpleNamespace(image_size=64))


@pytest.mark.parametrize(
    ("hours", "count", "chosen"),
    [(0.001, 30_000, "least"), (1, 30_000, "little"), (1000, 30_000, "tiny"), (1000, 300, "least")],
)
def test_the_largest_student_that_fits_the_time_and_the_images_is_taken(timed, hours, count, chosen):
    found = planning.largest(Asked(hours), planning.Counts(count, 10, count, 10), "cpu")
    assert found.size.name == chosen
    assert timed[0] == "least"
    assert len(timed) <= 2


def test_images_without_a_caption_are_left_out_and_named(tmp_path):
    folder = images_in(tmp_path / "images", 18)
    table = tmp_path / "elsewhere.csv"
    table.write_text(
        "image,caption\n" + "".join(f"{each}.png,a cat\n" for each in range(16)) + "16.png,\n17.png,null\n"
    )
    listing = Request("t", folder, table).listing()
    assert len(listing) == 16
    assert listing.files[0] == folder / "0.png"
    left_out = next(note for note in listing.notes if note.what.startswith("images left out"))
    assert [name for name, _ in left_out.names] == ["16.png", "17.png"]


def test_the_captions_of_coco_are_read_with_their_first_sentence(tmp_path):
    folder = images_in(tmp_path / "images", 17)
    content = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(17)],
        "annotations": [
            {"id": number, "image_id": number % 16, "caption": f" a cat {number} "} for number in range(32)
        ],
    }
    (tmp_path / "captions.json").write_text(json.dumps(content))
    listing = Request("t", folder, tmp_path / "captions.json").listing()
    assert listing.captions == tuple(f"a cat {number}" for number in range(16))
    assert {note.what: note.count for note in listing.notes} == {
        "captions after the first of an image, which are not read": 16,
        "images left out, since no caption says what they show": 1,
    }
    del content["images"][0]["file_name"]
    (tmp_path / "captions.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="an image lacks 'file_name'"):
        Request("t", folder, tmp_path / "captions.json").listing()


def test_a_listing_reads_a_file_of_several_rows_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LFI_CACHE", str(tmp_path / "cache"))
    folder = images_in(tmp_path / "images", 3)
    (folder / "1.png").write_bytes(b"no image")
    files = tuple(folder / f"{number}.png" for number in (0, 1, 2, 0))
    listing = Listing(files, tuple("abcd"), (), np.full(4, -1), ("", "", "", ""), ((),) * 4)
    for images in (listing.read(8, limit=0.5), listing.load(8, limit=0.5)):
        assert (images.ids, images.keys) == (("a", "c", "d"), ("a", "c", "a"))
        assert images.images[:, 0, 0, 0].tolist() == [0, 2, 0]
        assert len(images.skipped) == 1


def test_what_is_left_is_told_with_the_speed_that_was_measured(monkeypatch):
    clock = iter([0.0, 100.0, 100.0, 101.0])
    monkeypatch.setattr("lfi.training.distil.progress.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    told: list[str] = []
    plan = replace(PLAN, stages=(Stage("one", 50), Stage("two", 600), Stage("three", 60)))
    progress = Progress(plan, told.append)
    with progress.stage("one"):
        pass
    progress.there("three")
    with progress.stage("two"):
        pass
    assert told == [
        "1/3 one: about 50 s; 12 min left in all",
        "3/3 three: finished before",
        "2/3 two: about 20 min; 20 min left in all",
    ]
