"""What the teacher for photographs of `lfi benchmark transfer` itself reaches, without training."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from evaluation.runs import keep
from evaluation.transfer import TransferSetup, prepared
from evaluation.transfer_scales import TransferScale
from evaluation.transfer_scores import ZERO_SHOT
from lfi.accuracy import among_best
from lfi.data.imageset import ImageSet
from lfi.data.prompts import fill
from lfi.devices import faster_in_bfloat16
from lfi.teachers import load_teacher
from lfi.training.run import Prepared


def teacher_scores(setup: TransferSetup) -> dict[str, float]:
    """Zero-shot accuracy of the teacher for photographs itself, in percent, by part; kept next to the runs."""
    if not setup.tiny:
        return {}
    kept = setup.folder / "teacher.json"
    label = load_teacher(setup.photographs).label
    wanted = {"TinyImageNet", *(ZERO_SHOT[name] for name in setup.roots)}
    stored: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"teacher": ""}
    if stored["teacher"] == label and wanted <= stored["scores"].keys():
        return {name: score for name, score in stored["scores"].items() if name in wanted}
    ready, tests = prepared(setup, setup.parts[0])
    found = {"TinyImageNet": teacher_top1(ready, tests["test"], setup.at)}
    found |= {name: teacher_top1(ready, tests[name], setup.at) for name in ZERO_SHOT.values() if name in tests}
    keep(kept, {"teacher": label, "scores": found})
    return found


@torch.inference_mode()
def teacher_top1(ready: Prepared, images: ImageSet, scale: TransferScale, batch: int = 250) -> float:
    """Top-1 of the teacher's zero-shot logits, in percent."""
    teacher = load_teacher(ready.config.teacher.model)
    labels, right = [fill(ready.config.teacher.prompt, name) for name in images.classes], 0
    images = images.take(np.random.default_rng(1).permutation(len(images))[: scale.judged or len(images)])
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.ascontiguousarray(images.images[start : start + batch]))
        with torch.autocast(teacher.device.type, torch.bfloat16, enabled=faster_in_bfloat16(teacher.device.type)):
            logits = teacher.classify(teacher.from_pixels(pixels.permute(0, 3, 1, 2).float() / 255), labels)
        right += int(among_best(logits, torch.from_numpy(images.labels[start : start + batch]), 1).sum())
    return 100 * right / len(images)
