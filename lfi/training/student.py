"""The student's task: it owns the student and every loss, and returns them by name. The loop knows none of it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.data.scenes import CLASSES, SceneBatch
from lfi.images import normalise
from lfi.objectives import (
    assign,
    cross_entropy_cost,
    feature_kd,
    interaction_loss,
    multilabel_kd,
    naming_loss,
    pick,
    relation_loss,
)
from lfi.students import Student, StudentConfig
from lfi.training.config import ObjectiveConfig, StudentSource, TrainConfig
from lfi.training.targets import TeacherTargets


class StudentTask(nn.Module):
    """A student and what it is trained for.

    `bank` holds the teacher's text embedding of every word of the training captions, `[vocabulary, text_dim]`.
    The queries' taps are spread over the teacher's layers, first to first and last to last (`phi` in the README).
    """

    bank: Tensor
    phi: Tensor

    def __init__(self, source: StudentSource, objective: ObjectiveConfig, bank: Tensor, teacher_layers: int):
        super().__init__()
        self.objective, text_dim = objective, bank.shape[1]
        self.register_buffer("bank", bank, persistent=False)
        self.student = Student(
            StudentConfig(
                backbone=source.backbone,
                classes=len(CLASSES),
                queries=source.queries,
                taps=source.taps,
                text_dim=text_dim if objective.naming or objective.feature_kd else 0,
                embed=objective.feature_kd > 0,
                by_name=source.by_name and objective.naming > 0 and source.queries > 0,
                overrides=source.overrides,
            )
        )
        if self.student.config.by_name:
            self.student.labels.copy_(bank)
        taps = len(self.student.taps)
        phi = [round(tap * (teacher_layers - 1) / max(1, taps - 1)) for tap in range(taps)]
        self.register_buffer("phi", torch.tensor(phi), persistent=False)
        self.nothing = nn.Parameter(torch.randn(text_dim) * text_dim**-0.5) if objective.naming > 0 else None

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        weights, out = self.objective, self.student(batch["images"])
        losses = {"task": F.binary_cross_entropy_with_logits(out.logits.float(), batch["labels"])}
        if weights.logit_kd:
            losses["logit_kd"] = multilabel_kd(out.logits.float(), batch["logits"])
        if weights.feature_kd:
            losses["feature_kd"] = feature_kd(out.embedding.float(), batch["latents"])
        if weights.wants_maps or weights.naming:
            losses |= self.interaction(out.attention, out.names, batch)
        total = sum(getattr(weights, name) * value for name, value in losses.items())
        return {"loss": total, **losses}

    def interaction(self, attention: Tensor, names: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Interaction, relation and naming losses under one assignment per image."""
        weights, words = self.objective, batch["words"]
        teacher = batch["maps"].float()[:, self.phi]
        log_student = attention.clamp_min(1e-8).log()
        if weights.wants_maps:
            cost = cross_entropy_cost(teacher, log_student.detach())
        else:  # without maps a query is found by its name
            wanted = F.normalize(self.bank[batch["names"]], dim=-1)
            cost = 1 - wanted @ F.normalize(names.detach().float(), dim=-1).transpose(1, 2)
        assignment = assign(cost, words)
        matched = words & (assignment >= 0)
        losses = {}
        if weights.interaction:
            losses["interaction"] = interaction_loss(teacher, pick(log_student, assignment, 2), matched)
        if weights.relation:
            losses["relation"] = relation_loss(teacher, pick(attention, assignment, 2), matched)
        if weights.naming:
            assert self.nothing is not None
            targets = torch.full(names.shape[:2], -1, device=names.device)
            image, word = matched.nonzero(as_tuple=True)
            targets[image, assignment[image, word]] = batch["names"][image, word]
            losses["naming"] = naming_loss(names.float(), self.bank, self.nothing, targets)
        return losses


class SceneTargets:
    """Batches of scenes with the teacher's targets. Batch `step` depends on `(seed, step)` alone.

    Half of the images are mirrored, and their maps with them. With `shuffle`, every image has the maps of another
    image with as many words, always the same one: as much structure, and the wrong structure.
    """

    def __init__(self, scenes: SceneBatch, targets: TeacherTargets, config: TrainConfig, grid: tuple[int, int]):
        self.images = torch.from_numpy(scenes.images)
        self.labels = torch.from_numpy(scenes.labels)
        self.targets, self.grid = targets, grid
        self.batch_size, self.seed = config.loop.batch_size, config.loop.seed
        self.source = torch.arange(len(scenes))
        if config.objective.shuffle:
            self.source = torch.from_numpy(partners(targets.words.sum(1).numpy(), self.seed))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.images) // self.batch_size

    def batch(self, step: int) -> dict[str, Tensor]:
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.images))
        rows = torch.from_numpy(np.sort(order[position * self.batch_size : (position + 1) * self.batch_size]))
        mirrored = torch.from_numpy(np.random.default_rng((self.seed, epoch, position)).random(len(rows)) < 0.5)
        images = normalise(self.images[rows])
        maps = self.targets.maps[self.source[rows]].unflatten(-1, self.grid)
        return {
            "images": torch.where(mirrored[:, None, None, None], images.flip(-1), images),
            "labels": self.labels[rows],
            "maps": torch.where(mirrored[:, None, None, None, None], maps.flip(-1), maps).flatten(-2),
            "words": self.targets.words[rows],
            "names": self.targets.names[rows],
            "logits": self.targets.logits[rows],
            "latents": self.targets.latents[rows],
        }


def partners(counts: np.ndarray, seed: int) -> np.ndarray:
    """For every image another one with as many words: a random cycle within each group.

    Args:
        counts: words of every image, `[n]`.
    """
    rng = np.random.default_rng((seed, 7))
    partner = np.arange(len(counts))
    for count in np.unique(counts):
        group = rng.permutation(np.flatnonzero(counts == count))
        partner[group] = np.roll(group, 1)
    return partner
