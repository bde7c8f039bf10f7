"""Mask R-CNN on a student: it trains, it answers in the image's own pixels, and it can learn."""

import numpy as np
import pytest
import torch

from lfi.data.scenes import Scenes
from lfi.detection import build_detector
from lfi.errors import ConfigError
from lfi.students import Student, StudentConfig

SMALL = {"img_size": 64, "patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 3}


def student():
    torch.manual_seed(0)
    return Student(StudentConfig(queries=2, text_dim=8, overrides=SMALL))


def targets(count=2):
    images, wanted = [], []
    for scene in Scenes(count, 1, 64):
        images.append(torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255)
        labels = torch.tensor([thing.label + 1 for thing in scene.objects])
        masks = torch.from_numpy(scene.masks.astype(np.uint8))
        wanted.append({"boxes": torch.from_numpy(scene.boxes), "labels": labels, "masks": masks})
    return images, wanted


def test_a_step_reaches_every_part_and_not_a_frozen_backbone():
    for frozen in (False, True):
        detector = build_detector(student().backbone, 80, 64, width=16, frozen=frozen).train()
        losses = detector(*targets())
        assert set(losses) == {
            "loss_classifier",
            "loss_box_reg",
            "loss_mask",
            "loss_objectness",
            "loss_rpn_box_reg",
        }
        sum(losses.values()).backward()
        assert all(torch.isfinite(loss) for loss in losses.values())
        backbone = detector.backbone.backbone.patch_embed.proj.weight
        assert (backbone.grad is None) == frozen
        assert detector.backbone.levels[0][0].weight.grad.abs().sum() > 0
        assert detector.roi_heads.mask_predictor.mask_fcn_logits.weight.grad is not None


def test_answers_are_in_the_pixels_of_the_image():
    detector = build_detector(student().backbone, 80, 64, width=16, most=5).eval()
    detector.roi_heads.score_thresh = 0.0
    image = torch.rand(3, 100, 150)
    with torch.no_grad():
        (found,) = detector([image])
    assert len(found["boxes"]) == 5
    assert found["masks"].shape == (5, 1, 100, 150)
    assert (found["boxes"][:, 2] <= 150).all()
    assert (found["boxes"][:, 3] <= 100).all()
    assert ((found["labels"] >= 1) & (found["labels"] <= 80)).all(), "0 is the background"


def test_images_are_squares_of_one_side():
    detector = build_detector(student().backbone, 3, 64, width=16)
    shown, _ = detector.transform([torch.rand(3, 40, 80), torch.rand(3, 100, 50)])
    assert shown.tensors.shape == (2, 3, 64, 64)
    assert shown.image_sizes == [(32, 64), (64, 32)]


@pytest.mark.slow
def test_the_losses_fall_on_two_images():
    torch.manual_seed(0)
    detector = build_detector(student().backbone, 80, 64, width=16).train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    history = []
    for _ in range(25):
        losses = sum(detector(*targets()).values())
        optimizer.zero_grad()
        losses.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
        optimizer.step()
        history.append(losses.item())
    assert np.mean(history[-5:]) < 0.6 * history[0]


def test_a_side_that_patches_do_not_fit_is_refused():
    with pytest.raises(ConfigError, match="a multiple of 32 px was expected"):
        build_detector(student().backbone, 3, 80)
