"""The students for photographs: LFI and the best result-oriented one, on the same images, steps and teacher.

The teacher is asked about features that are on disk already, so its answers about every image take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lfi.data.imageset import ImageSet
from lfi.methods import METHODS, Method
from lfi.students import Student
from lfi.teachers import CoCaTeacher, EncodedImages, load_teacher
from lfi.teachers.base import unit
from lfi.teachers.names import NameTokenizer
from lfi.training.config import DataConfig, LoopConfig, StudentSource, TeacherSource, TrainConfig
from lfi.training.photographs.bank import Part, Truth, shrunk
from lfi.training.photographs.teacher import SHARES, Sources, images
from lfi.training.photographs.trunk import CHUNK, Features, Stages, pretrained
from lfi.training.provenance import check_begun
from lfi.training.run import Prepared, train_student
from lfi.training.targets import InMemory, Questions
from lfi.writing import whole

BACKBONE = StudentSource(
    overrides={"img_size": 64, "patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4, "mlp_ratio": 3.0}
)
LOOP = LoopConfig(epochs=5, batch_size=64, learning_rate=3e-3, optimizer="muon", checkpoint_every=300, evaluations=6)
WORDS = 6
"""Words of an image: the names of its photographs, then some of those above them."""


def methods() -> dict[str, Method]:
    """LFI and the baseline; what both copy weighs the same, somewhat less than a search found elsewhere."""
    ours, theirs = METHODS["LFI + patch words + DIST + feature KD"], METHODS["DIST + feature KD"]
    copied = replace(theirs.objective, dist=12.0, feature_kd=18.0)
    own = replace(copied, interaction=1.0, relation=0.1, naming=2.0, patch_words=2.0)
    return {"lfi": replace(ours, objective=own), "baseline": replace(theirs, objective=copied)}


def words_of(labels: np.ndarray, truth: Truth, rng: np.random.Generator) -> tuple[str, ...]:
    """What the teacher is asked about an image: its photographs' names, and names above one of them alone."""
    own = list(dict.fromkeys(labels[labels >= 0].tolist()))
    above = truth.above[own].sum(0) == 1
    above[own] = False
    drawn = rng.permutation(np.flatnonzero(above))[: max(0, min(3 if len(own) == 1 else 2, WORDS - len(own)))]
    return tuple(truth.names.names[number] for number in (*own, *drawn.tolist()))


def image_set(parts: Sequence[Part], truth: Truth, classes: Sequence[int], seed: int = 0) -> ImageSet:
    """All parts as one set at 64 px; images of several photographs have the labels of all."""
    place = {number: index for index, number in enumerate(classes)}
    rng = np.random.default_rng((seed, 11))
    rows = np.concatenate([part.labels for part in parts])
    return ImageSet(
        images=np.concatenate([shrunk(part.images) for part in parts]),
        ids=tuple(f"{part.name}/{row}" for part in parts for row in range(len(part))),
        classes=tuple(truth.names.names[number] for number in classes),
        labels=np.array([[place.get(number, -1) for number in row] for row in rows.tolist()], np.int64),
        captions=("",) * len(rows),
        words=tuple(words_of(row, truth, rng) for row in rows),
    )


class Asked:
    """Answers of the teacher about features that are on disk."""

    def __init__(self, teacher: CoCaTeacher, questions: Questions, sources: Sources):
        self.teacher, self.questions, self.sources = teacher, questions, sources
        self.stages = Stages(pretrained().to(memory_format=torch.channels_last))

    @torch.no_grad()
    def all(self, parts: Sequence[Part], batch: int = 100) -> InMemory:
        """Words, names, maps, logits and latents of every image, in the order of the parts."""
        found: dict[str, list[Tensor]] = {}
        at = 0
        for part in parts:
            features = Features(self.sources.runs / "features", part.name, len(part))
            for number in tqdm(range(features.chunks), desc=f"asking about {part.name}", unit="k images"):
                fifth, sixth = features.load(number)
                for start in range(0, min(len(fifth), len(part) - number * CHUNK), batch):
                    encoded = self.encoded(fifth[start : start + batch], sixth[start : start + batch])
                    rows = np.arange(at, at + len(encoded))
                    for name, value in self.questions.answer(encoded, rows).items():
                        found.setdefault(name, []).append(value.half() if value.is_floating_point() else value)
                    at += len(encoded)
        return InMemory({name: torch.cat(values) for name, values in found.items()})

    def encoded(self, fifth: np.ndarray, sixth: np.ndarray) -> EncodedImages:
        """Images as the teacher encodes them."""
        maps = [torch.from_numpy(each).float().permute(0, 3, 1, 2) for each in (fifth, sixth)]
        seventh, last = self.stages.last(maps[1].contiguous(memory_format=torch.channels_last))
        tower = self.teacher.model.visual
        tokens = tower.tokens([maps[0], seventh, last])
        latent = tower.pooled([maps[0], seventh, last])
        return EncodedImages(unit(latent), unit(tokens @ tower.proj), tokens, None, self.teacher.fingerprint)


def config_of(teacher_folder: Path) -> TrainConfig:
    """What both students have in common."""
    source = TeacherSource(model=str(teacher_folder), layers=(0,))
    return TrainConfig(data=DataConfig(crop=0.6, size=64), teacher=source, student=BACKBONE, loop=LOOP)


def prepare_students(sources: Sources, teacher_folder: Path) -> Prepared:
    """Images, and what the teacher says of them; kept in `answers.pt`."""
    teacher = load_teacher(teacher_folder)
    assert isinstance(teacher, CoCaTeacher)
    assert isinstance(teacher.tokenizer, NameTokenizer)
    truth = Truth(teacher.tokenizer.names)
    every = images(sources, teacher.tokenizer.names)
    parts = [every[name] for name in SHARES]
    classes = sorted({int(label) for part in parts for label in np.unique(part.labels) if label >= 0})
    learnt, held_out = image_set(parts, truth, classes), image_set([every["held-out"]], truth, classes)
    held_out = replace(held_out, labels=held_out.labels[:, 0])
    config = config_of(teacher_folder)
    questions = Questions(teacher, config.teacher, learnt, ("maps", "logits", "latents"))
    path = sources.runs / f"answers-{teacher.fingerprint}.pt"
    answers = kept(path, lambda: Asked(teacher, questions, sources).all(parts))
    return Prepared(config, teacher, learnt, held_out, questions, answers)


def kept(path: Path, ask: Callable[[], InMemory]) -> InMemory:
    """Answers that are on disk; where they are not, they are asked for and written, whole or not at all."""
    if path.exists():
        return InMemory(torch.load(path, weights_only=True))
    answers = ask()
    with whole(path) as part:
        torch.save(answers.fields, part)
    return answers


def train_photo_student(
    part: str, sources: Sources, teacher_folder: Path, *, resume: bool = True, device: str = "cpu"
) -> Student:
    """Train `lfi` or `baseline` in `runs/PART`; one that is finished there is read.

    Raises:
        ConfigError: what is there learnt from another teacher, or for other losses.
    """
    folder = sources.runs / part
    method = methods()[part]
    own = replace(config_of(teacher_folder), objective=method.objective, student=method.student(BACKBONE))
    if resume and (folder / "student.safetensors").exists():
        check_begun(folder, own, teacher=load_teacher(teacher_folder).label)
        return Student.load(folder / "student.safetensors")
    prepared = replace(prepare_students(sources, teacher_folder), config=own)
    student, _ = train_student(prepared, folder, resume=resume, device=device, title=part)
    return student
