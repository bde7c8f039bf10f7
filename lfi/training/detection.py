"""Training a detector on a student's backbone, from images in COCO's layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from timm.layers import set_fused_attn
from torchvision.models.detection import MaskRCNN

from lfi.data.instances import Instances
from lfi.data.notes import announce
from lfi.detection.backbones import load_backbone
from lfi.detection.files import FILE, DetectorCard, make, save_detector
from lfi.detection.task import DetectionTask, layer_groups
from lfi.detection.views import InstanceViews
from lfi.errors import ConfigError
from lfi.training.config import TrainConfig
from lfi.training.distributed import connect
from lfi.training.loop import train
from lfi.training.provenance import write_provenance

Measure = Callable[[MaskRCNN], dict[str, float]]
Measuring = Callable[[Sequence[tuple[int, str]]], Measure]
"""Given id and name of a detector's categories, how to measure it."""


def train_detector(
    config: TrainConfig,
    folder: Path | None = None,
    *,
    resume: bool = False,
    device: str = "cpu",
    measure: Measuring | None = None,
    title: str = "detector",
) -> tuple[MaskRCNN, DetectorCard, list[dict[str, float]]]:
    """Train pyramid and heads, and the backbone unless it is frozen.

    Args:
        folder: of the run, as for `loop.train`; the detector goes to `folder/detector.safetensors`.
        measure: what is logged at the evaluations of the loop; it is asked for before anything is trained.

    Returns:
        The detector in eval mode, its card, and the records of the loop.

    Raises:
        ConfigError: data that is not in COCO's layout, a side that the patches do not fit, or FSDP.
        DataError, UnknownModelError, CheckpointError: each says what is wrong.
    """
    data, chosen = config.data, config.detection
    if data.source != "coco":
        raise ConfigError(f"data.source is {data.source!r}; a detector reads 'coco' (lfi scenes write makes a set)")
    if data.crop != 1:
        raise ConfigError(f"data.crop is {data.crop}; a detector's images are cut by detection.jitter")
    if config.loop.parallel == "fsdp":
        raise ConfigError("loop.parallel is 'fsdp'; a detector is trained with 'ddp'")
    processes = connect(device)
    if processes.device.type == "cpu":
        set_fused_attn(False)  # as for students: faster on a CPU
    instances = Instances(Path(data.root), Path(data.annotations), data.limit)
    announce(instances.notes, data.annotations)
    measured = None if measure is None else measure(instances.categories)
    torch.manual_seed(config.loop.seed)
    backbone, name, overrides = load_backbone(chosen.backbone, config.student.backbone, config.student.overrides)
    card = DetectorCard(
        backbone=name,
        overrides=overrides,
        categories=instances.categories,
        side=data.size,
        **{key: getattr(chosen, key) for key in ("width", "window", "frozen", "regions", "proposals", "most")},
    )
    torch.manual_seed(config.loop.seed)  # heads begin alike, whatever was drawn for the backbone
    task = DetectionTask(make(card, backbone))
    rows = np.random.default_rng((data.seed, 23)).permutation(len(instances))
    views = InstanceViews(
        instances,
        data.size,
        config.loop.batch_size,
        config.loop.seed,
        flip=data.flip,
        jitter=chosen.jitter,
        rows=np.sort(rows[: max(1, round(data.fraction * len(rows)))]),
    )
    if folder:
        write_provenance(folder, config, resume, processes.main, backbone=chosen.backbone or name)
    records = train(
        task,
        views,
        config.loop,
        folder,
        resume=resume,
        device=device,
        evaluate=None if measured is None else lambda step: measured(task.detector),
        title=title,
        groups=partial(layer_groups, decay=chosen.layer_decay),
    )
    detector = task.detector.cpu().eval()
    if folder and processes.main:
        save_detector(detector, card, folder / FILE)
    return detector, card, records
