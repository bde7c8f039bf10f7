"""One training run from a configuration: data, teacher's targets, task, loop, folder."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from timm.layers import set_fused_attn

from lfi.data.scenes import SceneBatch, Scenes
from lfi.errors import UnsupportedModelError
from lfi.images import normalise
from lfi.students import Student
from lfi.teachers import CoCaTeacher, load_teacher
from lfi.training.config import TrainConfig
from lfi.training.loop import train
from lfi.training.student import SceneTargets, StudentTask
from lfi.training.targets import TeacherTargets, scene_targets


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that runs with the same data and teacher share."""

    config: TrainConfig
    teacher: CoCaTeacher
    scenes: SceneBatch
    validation: SceneBatch
    targets: TeacherTargets


def prepare(config: TrainConfig, device: str = "cpu") -> Prepared:
    """Draw the scenes, load the teacher and ask it about every training scene.

    Raises:
        UnsupportedModelError: the teacher is no CoCa trained on presence statements.
    """
    teacher = load_teacher(config.teacher.model, device=device)
    if not isinstance(teacher, CoCaTeacher):
        raise UnsupportedModelError(f"{config.teacher.model} holds {teacher.name}; a CoCa was expected")
    data = config.data
    scenes = Scenes(data.count, data.seed, data.size, data.domains, data.objects).load()
    validation = Scenes(data.validation, data.validation_seed, data.size, data.domains, data.objects).load()
    targets = scene_targets(teacher, scenes, config.teacher.maps, config.teacher.layers)
    return Prepared(config, teacher, scenes, validation, targets)


def train_student(
    prepared: Prepared,
    folder: Path | None = None,
    *,
    resume: bool = False,
    device: str = "cpu",
    title: str = "student",
) -> tuple[Student, list[dict[str, float]]]:
    """Train one student. In `folder`: the resolved configuration, the environment, metrics, checkpoints, the student.

    Returns:
        The student in eval mode and the records of the loop; validation records hold `mAP` in percent.
    """
    config, teacher = prepared.config, prepared.teacher
    if torch.device(device).type == "cpu":
        set_fused_attn(False)  # written-out attention trains three times as fast on a CPU in bfloat16
    torch.manual_seed(config.loop.seed)
    task = StudentTask(config.student, config.objective, prepared.targets.embeddings, len(config.teacher.layers))
    data = SceneTargets(prepared.scenes, prepared.targets, config, task.student.grid)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
        (folder / "environment.json").write_text(json.dumps(environment(teacher), indent=2) + "\n")
    records = train(
        task,
        data,
        config.loop,
        folder,
        resume=resume,
        device=device,
        evaluate=lambda step: {"mAP": validate(task.student, prepared.validation)},
        title=title,
    )
    student = task.student.cpu().eval()
    if folder:
        student.save(folder / "student.safetensors")
    return student, records


@torch.inference_mode()
def validate(student: Student, scenes: SceneBatch, batch: int = 250) -> float:
    """Mean average precision over the classes that occur, in percent."""
    device = next(student.parameters()).device
    images = torch.from_numpy(scenes.images)
    logits = torch.cat(
        [student(normalise(images[i : i + batch]).to(device)).logits for i in range(0, len(images), batch)]
    )
    scores = logits.float().cpu().numpy()
    present = np.flatnonzero(scenes.labels.any(0))
    return 100 * float(np.mean([average_precision_score(scenes.labels[:, c], scores[:, c]) for c in present]))


def environment(teacher: CoCaTeacher) -> dict[str, str]:
    """What a run depends on besides its configuration."""
    import open_clip
    import timm

    try:
        revision = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        revision = "unknown"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "open_clip": open_clip.__version__,
        "revision": revision,
        "teacher": f"{teacher.name}@{teacher.fingerprint}",
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{torch.get_num_threads()} CPU threads",
    }
