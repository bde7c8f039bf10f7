"""torchvision's Mask R-CNN on a student's backbone, with ViTDet's heads."""

from __future__ import annotations

import math

from timm.models.vision_transformer import VisionTransformer
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from lfi.detection.pyramid import LEVELS, SimplePyramid
from lfi.detection.regions import PartlyMaskedHeads
from lfi.errors import ConfigError
from lfi.images import MEAN, STD

_ANCHOR = 8
"""Side of an anchor in strides of its level."""


def build_detector(
    backbone: VisionTransformer,
    classes: int,
    side: int,
    *,
    width: int = 256,
    window: int = 0,
    frozen: bool = False,
    regions: int = 512,
    proposals: int = 1000,
    most: int = 100,
) -> MaskRCNN:
    """A detector on a plain vision transformer, such as `Student.backbone`.

    Images are scaled until their longer side is `side`, then padded to a square.

    Args:
        classes: without the background, which is class 0.
        side: in pixels; a multiple of four patches.
        width: channels of pyramid and heads.
        window: see `SimplePyramid`.
        frozen: train pyramid and heads alone.
        regions: how many of an image's proposals the heads learn from in a step.
        proposals: that an image has at most.
        most: detections of an image.

    Raises:
        ConfigError: for a side that four patches do not divide.
    """
    pyramid = SimplePyramid(backbone, width, window)
    if side % pyramid.strides[-1]:
        raise ConfigError(f"images of {side} px do not fit; a multiple of {pyramid.strides[-1]} px was expected")
    if frozen:
        pyramid.backbone.requires_grad_(False)
    anchors = AnchorGenerator(
        tuple((_ANCHOR * stride,) for stride in pyramid.strides), ((0.5, 1.0, 2.0),) * len(pyramid.strides)
    )
    detector = MaskRCNN(
        pyramid,
        num_classes=None,
        min_size=side,
        max_size=side,
        size_divisible=side,
        image_mean=[MEAN] * 3,
        image_std=[STD] * 3,
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(width, anchors.num_anchors_per_location()[0], conv_depth=2),
        rpn_pre_nms_top_n_train=2 * proposals,
        rpn_pre_nms_top_n_test=proposals,
        rpn_post_nms_top_n_train=proposals,
        rpn_post_nms_top_n_test=proposals,
        box_roi_pool=_pool(pyramid, 7),
        box_batch_size_per_image=regions,
        box_head=FastRCNNConvFCHead((width, 7, 7), [width] * 4, [4 * width]),
        box_predictor=FastRCNNPredictor(4 * width, classes + 1),
        mask_roi_pool=_pool(pyramid, 14),
        mask_head=MaskRCNNHeads(width, [width] * 4, 1),
        mask_predictor=MaskRCNNPredictor(width, width, classes + 1),
        box_detections_per_img=most,
    )
    detector.roi_heads.__class__ = PartlyMaskedHeads  # adds no state; MaskRCNN makes its heads itself
    return detector


def _pool(pyramid: SimplePyramid, size: int) -> MultiScaleRoIAlign:
    """Regions from the level that suits their size: of 14 patches and more from that of one patch, as 224 px are for
    patches of 16."""
    patch = pyramid.strides[LEVELS.index("one")]
    return MultiScaleRoIAlign(
        list(LEVELS[:-1]), size, 2, canonical_scale=14 * patch, canonical_level=int(math.log2(patch))
    )
