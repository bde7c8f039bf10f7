"""Training a detector: on a student, in COCO's layout, exactly resumable, each layer at its own rate."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from lfi.data.coco_writer import write_coco
from lfi.data.instances import Instances
from lfi.data.scenes import Scenes
from lfi.detection import load_detector
from lfi.detection.task import DetectionTask, layer_groups
from lfi.detection.views import InstanceViews, view
from lfi.errors import CheckpointError, ConfigError, DataError, UnknownModelError
from lfi.students import Student, StudentConfig
from lfi.training.config import DataConfig, LoopConfig, StudentSource, TrainConfig
from lfi.training.detection import train_detector
from lfi.training.detection_config import DetectionConfig

SMALL = {"img_size": 64, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3}
SCENES = Scenes(8, 3, 64)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "set"
    write_coco(SCENES, folder)
    return folder


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(1)
    Student(StudentConfig(queries=2, text_dim=8, overrides=SMALL)).save(folder / "student.safetensors")
    return folder


@pytest.fixture
def config(scenes, student):
    return TrainConfig(
        task="detection",
        data=DataConfig(source="coco", root=str(scenes / "images"), annotations=str(scenes / "instances.json")),
        student=StudentSource(overrides=SMALL),
        detection=DetectionConfig(str(student), width=8, regions=8, proposals=20, most=5),
        loop=LoopConfig(epochs=2, batch_size=4, autocast=False, checkpoint_every=1, log_every=1, evaluations=4),
    )


def same(one, other):
    return all(torch.equal(each, other.state_dict()[name]) for name, each in one.state_dict().items())


def test_a_run_that_was_broken_off_ends_with_the_same_weights(config, tmp_path):
    def fails(detector, calls=[0]):  # noqa: B006
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return {"box mAP": 0.0}

    def measured(detector):
        torch.rand(3)
        return {"box mAP": 0.0}

    whole, card, records = train_detector(config, tmp_path / "whole", measure=lambda _: measured)
    with pytest.raises(KeyboardInterrupt):
        train_detector(config, tmp_path / "broken", measure=lambda _: fails)
    resumed, _, _ = train_detector(config, tmp_path / "broken", measure=lambda _: measured, resume=True)
    assert same(whole, resumed)
    losses = {"classes", "boxes", "masks", "objectness", "proposals"}
    assert losses <= set(records[0])
    assert records[0]["loss"] == pytest.approx(sum(records[0][name] for name in losses), rel=1e-5)
    read, same_card = load_detector(tmp_path / "whole")
    assert same(whole, read)
    assert same_card == card
    assert [name for _, name in card.categories] == list(dict.fromkeys(name for _, name in card.categories))
    image = torch.rand(3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(whole([image])[0]["boxes"], read([image])[0]["boxes"])


def test_a_frozen_backbone_is_the_students_and_a_trained_one_is_not(config, student):
    given = Student.load(student / "student.safetensors").backbone
    for frozen in (True, False):
        once = replace(config, detection=replace(config.detection, frozen=frozen), loop=replace(config.loop, epochs=1))
        detector, card, _ = train_detector(once)
        assert same(detector.backbone.backbone, given) == frozen
        assert card.frozen == frozen


def test_blocks_attend_in_windows_where_they_are_asked_to(config, tmp_path):
    windowed = replace(config, detection=replace(config.detection, window=2), loop=replace(config.loop, epochs=1))
    deep = replace(windowed, detection=replace(windowed.detection, backbone=""))
    deep = replace(
        deep,
        student=StudentSource(overrides=SMALL | {"depth": 6}),
        loop=replace(deep.loop, autocast=True),
    )
    train_detector(deep, tmp_path)
    detector, card = load_detector(tmp_path)
    pyramid = detector.backbone
    assert card.window == pyramid.window == 2
    assert pyramid.whole == {1, 2, 3, 5}, "four blocks of six stay global"
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        seen = pyramid.last_map(image)
        pyramid.window = 0
        assert not torch.allclose(seen, pyramid.last_map(image))


def test_every_layer_learns_at_the_rate_of_its_depth(config):
    detector, _, _ = train_detector(replace(config, loop=replace(config.loop, epochs=1)))
    task = DetectionTask(detector)
    groups = layer_groups(task, 0.05, 0.5)
    scale = {id(each): group["scale"] for group in groups for each in group["params"]}
    decay = {id(each): group["weight_decay"] for group in groups for each in group["params"]}
    assert len(scale) == sum(1 for _ in task.parameters())
    vit = detector.backbone.backbone
    assert [scale[id(block.attn.qkv.weight)] for block in vit.blocks] == [0.5**4, 0.5**3, 0.5**2, 0.5]
    assert {scale[id(each)] for each in (vit.patch_embed.proj.weight, vit.pos_embed, vit.cls_token)} == {0.5**5}
    assert scale[id(vit.norm.weight)] == scale[id(detector.roi_heads.box_predictor.cls_score.weight)] == 1
    assert decay[id(vit.blocks[0].attn.qkv.weight)] == 0.05
    assert decay[id(vit.blocks[0].norm1.weight)] == decay[id(vit.pos_embed)] == 0
    assert {group["scale"] for group in layer_groups(task, 0.05, 1.0)} == {1.0}


def test_a_mirrored_image_mirrors_boxes_and_masks(scenes):
    example = Instances(scenes / "images", scenes / "instances.json")[0]
    plain, mirrored = (view(example, 64, np.random.default_rng(0), flip, (1.0, 1.0)) for flip in (0.0, 1.0))
    assert np.array_equal(plain["images"].permute(1, 2, 0).numpy(), example.image)
    for name in ("images", "masks"):
        assert torch.equal(mirrored[name], plain[name].flip(-1))
    moved = plain["boxes"].clone()
    moved[:, [0, 2]] = 64 - plain["boxes"][:, [2, 0]]
    assert torch.equal(mirrored["boxes"], moved)


@pytest.mark.parametrize("jitter", [(0.5, 0.8), (1.3, 2.0)])
def test_boxes_enclose_their_masks_at_every_scale(scenes, jitter):
    instances = Instances(scenes / "images", scenes / "instances.json")
    for row in range(len(instances)):
        seen = view(instances[row], 64, np.random.default_rng(row), 0.5, jitter)
        assert seen["images"].shape == (3, 64, 64)
        assert len(seen["boxes"]) == len(seen["labels"]) == len(seen["masks"]) <= len(instances[row].labels)
        for box, mask in zip(seen["boxes"], seen["masks"].bool(), strict=True):
            rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
            tight = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
            assert (box - tight).abs().max() <= 2, "thin ends fall between pixels"


def test_a_batch_is_a_function_of_its_step(scenes):
    instances = Instances(scenes / "images", scenes / "instances.json")
    views, again = (InstanceViews(instances, 64, 4, seed=5, jitter=(0.8, 1.2)) for _ in range(2))
    with pytest.raises(ConfigError, match="a batch has 4 images; a multiple of 3 processes was expected"):
        views.batch(0, rank=0, world=3)
    assert views.steps_per_epoch == 2
    views.batch(0)
    whole = views.batch(3)
    for name, value in again.batch(3).items():
        assert torch.equal(value, whole[name])
    shares = [views.batch(3, rank, 2) for rank in range(2)]
    assert torch.equal(torch.stack([each["images"] for each in shares], 1).flatten(0, 1), whole["images"])
    assert torch.equal(torch.stack([each["count"] for each in shares], 1).flatten(), whole["count"])
    epoch = torch.cat([views.batch(step)["count"] for step in range(2)])
    assert sorted(epoch.tolist()) == sorted(len(scene.objects) for scene in SCENES)


@pytest.mark.parametrize(
    ("section", "value", "error", "message"),
    [
        ("data", {"source": "scenes"}, ConfigError, "a detector reads 'coco'"),
        ("data", {"crop": 0.5}, ConfigError, "detection.jitter"),
        ("data", {"size": 80}, ConfigError, "a multiple of 32 px was expected"),
        ("data", {"annotations": "none.json"}, DataError, "none.json cannot be read"),
        ("data", {"root": "elsewhere"}, DataError, "are not in elsewhere"),
        ("loop", {"parallel": "fsdp"}, ConfigError, "'ddp'"),
        ("detection", {"backbone": "nowhere"}, UnknownModelError, "'nowhere' is not a backbone"),
        ("detection", {"backbone": "timm:vit_tini"}, UnknownModelError, "nearest"),
        ("detection", {"backbone": "timm:vit_tiny_patch16_224:none.pth"}, CheckpointError, "none.pth"),
        ("detection", {"layer_decay": 0.0}, ConfigError, "detection.layer_decay is 0.0"),
        ("detection", {"window": -1}, ConfigError, "detection.window is -1"),
        ("detection", {"jitter": (2.0, 1.0)}, ConfigError, "the smaller first"),
        ("detection", {"regions": 0}, ConfigError, "detection.regions is 0"),
    ],
)
def test_what_cannot_be_trained_is_refused(config, section, value, error, message):
    with pytest.raises(error, match=message):
        train_detector(replace(config, **{section: replace(getattr(config, section), **value)}))


def test_images_that_cannot_be_decoded_are_left_out_up_to_the_limit(config, scenes, tmp_path, capsys):
    shutil.copytree(scenes, tmp_path / "set")
    images = tmp_path / "set" / "images"
    cut, text = sorted(images.iterdir())[2:4]
    cut.write_bytes(cut.read_bytes()[:-200])  # its header is whole
    text.write_text("not an image")
    once = replace(
        config,
        data=replace(config.data, root=str(images), annotations=str(tmp_path / "set" / "instances.json")),
        loop=replace(config.loop, epochs=1, batch_size=6),
    )
    with pytest.raises(DataError, match=r"of 8 images cannot be read, more than the 1\.0% that may be .*000003\.png"):
        train_detector(once)
    _, _, records = train_detector(replace(once, data=replace(once.data, limit=0.25)))
    assert records[-1]["step"] == 1, "all six that are left"
    assert f"skipped 2 of 8 images: {cut}: " in capsys.readouterr().err
    left = Instances(images, tmp_path / "set" / "instances.json", limit=0.25)
    assert [line.split(": ")[0] for line in left.skipped] == [str(cut), str(text)]
    whole = Instances(scenes / "images", scenes / "instances.json")
    assert [entry["id"] for entry in left.entries] == [whole.entries[row]["id"] for row in (0, 1, 4, 5, 6, 7)]
    assert np.array_equal(left[2].masks, whole[4].masks)


def test_a_file_that_is_no_detector_is_refused(student, tmp_path):
    with pytest.raises(CheckpointError, match="no detector card"):
        load_detector(student / "student.safetensors")
    with pytest.raises(CheckpointError, match="cannot read the detector"):
        load_detector(tmp_path)
