"""A student learns from shards that are read while it trains, and a run that was killed ends where it would have."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from shard_files import add, encoded

from lfi.data.imageset import ImageSet
from lfi.data.scenes import Scenes
from lfi.data.shards import ShardStream, read_shards, write_shards
from lfi.errors import ConfigError, DataError
from lfi.training import checkpoints
from lfi.training.config import DataConfig, LoopConfig, ObjectiveConfig, StudentSource, TeacherSource, TrainConfig
from lfi.training.distributed import Processes
from lfi.training.feeding import Feed
from lfi.training.run import Prepared, prepare, train_student
from lfi.training.sources import labelled
from lfi.training.streaming import StreamViews, labelled_samples

GRID, SIZE = (8, 8), (64, 64)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    """24 scenes in 4 shards, 8 others to validate on, and the teacher that ships."""
    folder = tmp_path_factory.mktemp("shards")
    for name, count, seed in (("train", 24, 0), ("held", 8, 1)):
        write_shards(Scenes(count, seed).load(masks=False).image_set(name), folder / name, per_shard=6)
    config = TrainConfig(
        data=DataConfig(
            source="shards",
            root=str(folder / "train"),
            validation_root=str(folder / "held"),
            stream=True,
            length=24,
            crop=0.6,
        ),
        teacher=TeacherSource(model="static/models/scenes/teacher", online=True),
        student=StudentSource(
            queries=4, overrides={"img_size": 64, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
        ),
        objective=ObjectiveConfig(interaction=0.1, relation=0.1, naming=0.1),
        loop=LoopConfig(epochs=2, batch_size=8, checkpoint_every=2, log_every=1, evaluations=1, tensorboard=False),
    )
    return prepare(config)


def views(prepared: Prepared, **data) -> StreamViews:
    config = replace(prepared.config, data=replace(prepared.config.data, **data))
    return StreamViews(prepared.questions, config, GRID, "cpu", SIZE)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_depends_on_the_step_alone_whatever_was_asked_before(prepared, workers):
    data = views(prepared, workers=workers)
    inorder = [data.batch(step) for step in range(6)]
    assert not torch.equal(inorder[0]["images"], inorder[3]["images"]), "epochs differ in their order"
    for step in (4, 1, 2, 5):
        torch.rand(3)  # must not matter
        assert equal(views(prepared, workers=workers).batch(step), inorder[step])
        assert equal(data.batch(step), inorder[step])


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_wrong_with_a_stream_is_said_in_a_line(prepared, tmp_path, workers):
    add(tmp_path / "a.tar", {"1.jpg": b"", "2.jpg": b""})
    with pytest.raises(DataError) as found:
        views(prepared, root=str(tmp_path), limit=1.0, workers=workers).batch(0)
    assert str(found.value) == f"{tmp_path}/a.tar: no image in it can be read"


def test_nothing_is_drawn_from_the_generators_of_the_run(prepared):
    before = torch.get_rng_state()
    views(prepared, workers=1).batch(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_come_with_their_own_labels_and_the_teachers_maps(prepared):
    batch = views(prepared, crop=1.0, flip=0.0).batch(1)
    images = read_shards(prepared.config.data.root, size=64)
    for picture, labels, names, words in zip(
        batch["images"], batch["labels"], batch["names"], batch["words"], strict=True
    ):
        pixels = (picture.permute(1, 2, 0).double() * 0.25 + 0.5) * 255
        row = int(np.abs(images.images - pixels.numpy()).mean((1, 2, 3)).argmin())
        assert labels.tolist() == images.labels[row].tolist()
        asked = [prepared.questions.vocabulary[name] for name in names[words]]
        assert asked == [word for word in images.words[row] if word in prepared.questions.vocabulary]
    assert torch.allclose(batch["maps"].sum(-1), torch.ones(batch["maps"].shape[:3]), atol=1e-4)
    assert batch["maps"].shape[-1] == 64


def test_processes_have_batches_of_their_own_and_the_loop_asks_for_them(prepared):
    data = [views(prepared) for _ in range(2)]
    shares = [
        [batch["images"] for batch in Feed(data[rank], Processes(rank, 2, torch.device("cpu")), 0, 3)]
        for rank in range(2)
    ]
    assert [len(images) for share in shares for images in share] == [4] * 6
    ones, others = (torch.cat(share).flatten(1) for share in shares)
    assert (torch.cdist(ones, others) > 1).all(), "no image is in both"
    with pytest.raises(ConfigError, match=r"loop.batch_size is 8; a multiple of 3 processes was expected"):
        views(prepared).batch(0, 0, 3)


class KilledError(Exception):
    pass


def test_a_killed_run_ends_with_the_same_weights(prepared, tmp_path, monkeypatch):
    whole, records = train_student(prepared, tmp_path / "whole")
    assert {"interaction", "relation", "naming", "task"} <= records[0].keys()
    assert "mAP" in records[-1]
    save = checkpoints.save

    def die(path, tensors, meta):
        save(path, tensors, meta)
        if meta["step"] == 4:  # in the middle of the second epoch
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", die)
        with pytest.raises(KilledError):
            train_student(prepared, tmp_path / "part")
    torch.manual_seed(99)
    resumed, _ = train_student(prepared, tmp_path / "part", resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def like(classes: tuple[str, ...], labels: np.ndarray) -> ImageSet:
    count = len(labels)
    pixels = np.zeros((count, 8, 8, 3), np.uint8)
    return ImageSet(pixels, tuple(map(str, range(count))), classes, labels, ("",) * count, ((),) * count)


def sample(label: int = -1, caption: str = "", **facts) -> dict:
    return {
        "key": "0/1",
        "image": np.zeros((8, 8, 3), np.uint8),
        "caption": caption,
        "label": label,
        "facts": facts,
    }


def test_words_are_those_given_or_the_classes_or_those_of_the_caption():
    single = like(("cat", "dog"), np.array([0]))
    found = labelled_samples([sample(1), sample(0, words=["tabby"])], single)
    assert (found.labels.tolist(), found.words) == ([1, 0], (("dog",), ("tabby",)))
    several = like(("cat", "dog"), np.zeros((1, 2), np.float32))
    found = labelled_samples([sample(labels=[0, 1]), sample(1), sample(labels=[], caption="a dog")], several)
    assert found.labels.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert found.words == (("cat", "dog"), ("dog",), ())
    said = replace(several, by_words=True)
    found = labelled_samples([sample(caption="a dog by a tree"), sample(7, "a dog", words=["cat"])], said)
    assert found.labels.tolist() == [[0, 1], [1, 0]]
    assert found.words == (("dog", "tree"), ("cat",))
    for images in (single, several):
        with pytest.raises(DataError, match="0/1 has no class; 0 to 1 were expected"):
            labelled_samples([sample(caption="a dog")], images)
    with pytest.raises(DataError, match="0/1 has the class 2; 0 to 1 were expected"):
        labelled_samples([sample(labels=[0, 2])], several)


def test_a_stream_of_mixed_samples_has_the_labels_and_words_that_are_read_into_memory(tmp_path):
    members = {f"{row}.jpg": encoded(row) for row in range(3)} | {"0.cls": b"1"}
    members |= {"1.json": b'{"labels": [0, 1]}', "2.json": b'{"labels": [], "words": ["tabby"]}', "2.txt": b"a dog"}
    add(tmp_path / "a.tar", dict(sorted(members.items())))
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    images = labelled(read_shards(tmp_path, size=8))
    found = labelled_samples(list(ShardStream(tmp_path, size=8, shuffle=0, facts=True)), images)
    assert found.labels.tolist() == images.labels.tolist() == [[0, 1], [1, 1], [0, 0]]
    assert found.words == images.words == (("dog",), ("cat", "dog"), ("tabby",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "folders"}, "data.source is 'folders'; only 'shards' are streamed"),
        ({"length": 0}, "data.length is 0; a stream needs the number of samples per epoch"),
        ({"validation_root": ""}, "no share of a stream can be held out"),
        ({"fraction": 0.5}, "data.fraction is 0.5; no share can be taken of a stream"),
        ({"workers": -1}, "data.workers is -1"),
    ],
)
def test_a_stream_that_cannot_be_read_is_refused_by_name(prepared, change, message):
    with pytest.raises(ConfigError, match=message):
        replace(prepared.config.data, **change)


def test_a_stream_cannot_be_cached_and_trains_no_teacher(prepared):
    config = prepared.config
    with pytest.raises(ConfigError, match=r"teacher.cache is 'kept': a cache needs images that are known beforehand"):
        replace(config, teacher=replace(config.teacher, cache="kept"))
    with pytest.raises(ConfigError, match=r"teacher.online is not.*for maps"):
        replace(config, teacher=replace(config.teacher, online=False))
    with pytest.raises(ConfigError, match="only a student can be trained from a stream"):
        replace(config, task="teacher")
    with pytest.raises(ConfigError, match=r"data.length is 7; at least a batch of 8"):
        views(prepared, length=7)
