"""What a configuration's data section reads, and how a student learns from it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from shard_files import add, encoded

from lfi.data.imageset import ImageSet
from lfi.data.notes import Note
from lfi.data.scenes import DOMAINS, Scenes
from lfi.data.shards import write_shards
from lfi.errors import ConfigError, DataError
from lfi.training import sources
from lfi.training.config import DataConfig, LoopConfig, ObjectiveConfig, TeacherSource, TrainConfig
from lfi.training.pretraining import captions_to_read
from lfi.training.run import prepare, train_student
from lfi.training.sources import image_sets, labelled, labelled_by_words, split_off
from lfi.training.teacher_config import TeacherConfig
from lfi.training.views import TargetViews

COLOURS = {"red_circle": (220, 30, 30), "blue_star": (30, 30, 220), "green_square": (30, 200, 30)}
TEACHER = TeacherSource(model="static/models/scenes/teacher")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LFI_CACHE", str(tmp_path / "decoded"))


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(10):
            noisy = np.clip(np.array(colour) + rng.integers(-20, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / "images" / name / f"{index}.png")
    return tmp_path / "images"


def named(count: int = 6) -> ImageSet:
    words = ["red circle", "blue star"]
    return ImageSet(
        images=np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3)).astype(np.uint8),
        ids=tuple(map(str, range(count))),
        classes=(),
        labels=np.full(count, -1),
        captions=tuple(f"a photo of a {words[row % 2]}" for row in range(count)),
        words=((),) * count,
    )


def test_folders_are_split_by_a_share_and_learnt_from(folders):
    config = TrainConfig(
        data=DataConfig(source="folders", root=str(folders), crop=0.7),
        teacher=TEACHER,
        objective=ObjectiveConfig(interaction=0.1, naming=0.1, logit_kd=0.1),
        loop=LoopConfig(epochs=6, batch_size=8, autocast=False, evaluations=1),
    )
    overrides = {"img_size": 64, "patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    config = replace(config, student=replace(config.student, overrides=overrides, queries=2))
    prepared = prepare(config)
    assert (len(prepared.images), len(prepared.validation)) == (24, 6)
    assert prepared.images.classes == ("blue star", "green square", "red circle")
    _, records = train_student(prepared)
    assert records[-1]["top-1"] > 60, "three colours are easily told apart"


def test_a_fraction_is_taken_of_every_class(folders):
    data = DataConfig(source="folders", root=str(folders), validation_root=str(folders), fraction=0.2)
    train, validation = image_sets(data)
    assert np.bincount(train.labels).tolist() == [2, 2, 2]
    assert len(validation) == 30


def test_scenes_and_their_held_out_domain():
    train, validation = image_sets(DataConfig(count=12, validation=8, domains=("cartoon",)))
    assert set(train.domains) == {"cartoon"}
    assert train.multilabel
    assert len(validation) == 8
    assert set(train.ids).isdisjoint(validation.ids)
    assert all(set(row) <= set(train.classes) for row in train.words)


def test_captions_without_labels_are_labelled_by_their_words():
    images = labelled_by_words(named())
    assert images.words[0] == ("photo", "red", "circle")
    assert images.classes == ("blue", "circle", "photo", "red", "star")
    assert images.labels[0].tolist() == [0, 1, 1, 1, 0]
    with pytest.raises(DataError, match="no word occurs in 9 of the 6 captions"):
        labelled_by_words(named(), fewest=9)


def test_the_most_frequent_words_are_labels_and_validation_images_have_the_same():
    images = labelled_by_words(named(), most=2)
    assert images.classes == ("blue", "photo")
    assert images.words[0] == ("photo", "red", "circle"), "the teacher is asked about all of them"
    other = labelled_by_words(named().take([0]), images.classes)
    assert other.labels.tolist() == [[0, 1]]


def test_every_row_has_the_words_that_it_lists_or_those_of_its_caption():
    images = labelled_by_words(replace(named(), words=(("star",), *((),) * 5)))
    assert images.words[:3] == (("star",), ("photo", "blue", "star"), ("photo", "red", "circle"))
    assert images.labels.sum(1).tolist() == [1, 3, 3, 3, 3, 3]


def test_captions_validated_on_a_list_of_their_own_have_one_order_of_classes(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for name, said in (("train", ["a red cat", "a red dog", "a dog and a cat"]), ("held", ["a dog", "a tree"])):
        rows = "".join(f"a.png,{caption}\n" for caption in said)
        (tmp_path / f"{name}.csv").write_text(f"image,caption\n{rows}")
    lists = {"root": str(tmp_path / "train.csv"), "validation_root": str(tmp_path / "held.csv")}
    train, validation = image_sets(DataConfig(source="captions", size=8, **lists))
    assert train.classes == validation.classes == ("cat", "dog", "red")
    assert validation.labels.tolist() == [[0, 1, 0], [0, 0, 0]]


def test_a_validation_set_of_other_classes_is_refused(folders, tmp_path):
    for name in ("red_circle", "blue_star", "tree"):
        (tmp_path / "held" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "held" / name / "a.png")
    data = DataConfig(source="folders", root=str(folders), validation_root=str(tmp_path / "held"))
    with pytest.raises(DataError, match=r"held has other classes than .*: 'red circle' in place of 'green square'"):
        image_sets(data)


def test_images_of_classes_are_asked_about_them_where_nothing_is_said():
    quiet = replace(named(), classes=("cat", "dog"), labels=np.array([0, 1, 0, 1, 0, 1]))
    assert labelled(quiet).words[:2] == (("cat",), ("dog",))
    with pytest.raises(DataError, match="3 has no class"):
        labelled(replace(quiet, labels=np.array([0, 1, 0, -1, 0, 1])))


def test_shards_are_read_back(tmp_path):
    write_shards(named(), tmp_path / "shards", per_shard=4)
    train, validation = image_sets(DataConfig(source="shards", root=str(tmp_path / "shards"), validation_share=0.5))
    assert (len(train), len(validation)) == (3, 3)
    assert train.multilabel


def test_without_an_image_that_comes_twice_the_split_is_of_the_rows():
    images = named(50)
    order = np.random.default_rng((3, 5)).permutation(50)
    train, held = split_off(images, 0.2, 3)
    assert train.ids == tuple(map(str, np.sort(order[10:])))
    assert held.ids == tuple(map(str, np.sort(order[:10])))


def test_an_image_with_several_captions_is_on_one_side_of_a_split(tmp_path):
    for name in range(20):
        Image.new("RGB", (8, 8), (name,) * 3).save(tmp_path / f"{name}.png")
    rows = [(f"{name}.png", f"caption {turn} of a thing") for turn in range(5) for name in range(20)]
    rows[0], rows[21] = ("0.png", ""), ("./1.png", "the same file")
    (tmp_path / "list.csv").write_text("image,caption\n" + "".join(f"{name},{said}\n" for name, said in rows))
    train, held = image_sets(DataConfig(source="captions", root=str(tmp_path / "list.csv"), size=8))
    colours = [set(images.images[:, 0, 0, 0].tolist()) for images in (train, held)]
    assert not colours[0] & colours[1]
    assert (len(colours[0]), len(colours[1]), len(train) + len(held)) == (16, 4, 99)
    write_shards(train, tmp_path / "shards")
    parts = image_sets(DataConfig(source="shards", root=str(tmp_path / "shards"), size=8, validation_share=0.5))
    again, other = (set(images.images[:, 0, 0, 0].tolist()) for images in parts)
    assert not again & other


def test_a_split_that_leaves_a_side_empty_is_refused():
    with pytest.raises(DataError, match="leaves one side empty"):
        split_off(named(), 0.01, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "imagenet"}, "data.source is 'imagenet'; one of scenes"),
        ({"source": "folders"}, "data.root is missing"),
        ({"source": "coco", "root": "x"}, "data.annotations is missing"),
        ({"source": "domains", "root": "x"}, "data.held_out is missing"),
        ({"source": "tiny-imagenet", "root": "x", "validation_root": "y"}, "has its own validation split"),
        ({"crop": 0.0}, "data.crop is 0.0"),
        ({"flip": 1.5}, "data.flip is 1.5"),
    ],
)
def test_a_data_section_says_what_is_wrong_with_it(wrong, message):
    with pytest.raises(ConfigError, match=message):
        DataConfig(**wrong)


@pytest.mark.parametrize(
    ("objective", "maps"),
    [({"interaction": 0.1}, "statements"), ({"logit_kd": 0.1}, "captions"), ({"naming": 0.1}, "seen")],
)
def test_a_teacher_is_not_asked_about_numbers(tmp_path, objective, maps):
    members = {f"{row}.cls": str(row % 2).encode() for row in range(8)}
    members |= {f"{row}.jpg": encoded(row) for row in range(8)}
    add(tmp_path / "a.tar", dict(sorted(members.items())))
    data = DataConfig(source="shards", root=str(tmp_path), size=8, validation_share=0.5)
    images, _ = image_sets(data)
    config = TrainConfig(data=data, objective=ObjectiveConfig(**objective), loop=LoopConfig(batch_size=2))
    teacher = SimpleNamespace(grid=(8, 8))
    questions = SimpleNamespace(source=TeacherSource(maps=maps), images=images, teacher=teacher)
    with pytest.raises(DataError, match=r"classes\.json is missing, so the teacher would be asked about '0' .* a JSON"):
        TargetViews(images, questions, None, config, (8, 8))
    for harmless in (ObjectiveConfig(), ObjectiveConfig(feature_kd=0.1)):
        TargetViews(images, questions, None, replace(config, objective=harmless), (8, 8))
    with pytest.raises(DataError, match="the teacher would be asked about '0'"):
        captions_to_read(images, TeacherConfig(image_size=8, patch_size=8), LoopConfig(batch_size=2))


@pytest.mark.parametrize(("share", "side"), [(0.0, "validation"), (1.0, "training")])
def test_domains_that_leave_a_side_without_images_are_refused(tmp_path, share, side):
    for domain in ("a", "b"):
        (tmp_path / "D" / domain / "cat").mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "D" / domain / "cat" / f"{number}.png")
    config = DataConfig(source="domains", root=str(tmp_path / "D"), held_out="a", size=8, validation_share=share)
    with pytest.raises(DataError, match=f"leaves no image for {side}"):
        image_sets(config)


def test_notes_of_validation_images_are_told_once_where_they_were_read(monkeypatch):
    told = []
    monkeypatch.setattr(sources, "announce", lambda notes, place: told.append(([each.what for each in notes], place)))
    images = Scenes(8, 1, 16, DOMAINS, (2, 4)).load(masks=False).image_set("1")

    def noting(what):
        return replace(images, notes=(Note(what, (("x", 3),)),))

    monkeypatch.setattr(sources, "tiny_imagenet", lambda root, part, size, limit: noting(part))
    image_sets(DataConfig(source="tiny-imagenet", root="T", size=16))
    assert told == [(["train"], "T"), (["val"], "T, validation")]
    told.clear()
    monkeypatch.setattr(sources, "class_folders", lambda root, size, limit: noting("odd"))
    image_sets(DataConfig(source="folders", root="F", size=16))
    assert told == [(["odd"], "F")]
    told.clear()
    image_sets(DataConfig(source="folders", root="F", validation_root="V", size=16))
    assert told == [(["odd"], "F"), (["odd"], "V")]


def test_own_words_need_shuffled_maps():
    with pytest.raises(ConfigError, match=r"set objective\.shuffle = true, too"):
        ObjectiveConfig(interaction=0.1, own_words=True)


def test_the_shuffled_control_cannot_be_asked_online():
    config = TrainConfig(
        data=DataConfig(count=4, validation=2),
        teacher=replace(TEACHER, online=True),
        objective=ObjectiveConfig(interaction=0.1, shuffle=True),
    )
    with pytest.raises(ConfigError, match="shuffle needs the maps of other images"):
        prepare(config)
