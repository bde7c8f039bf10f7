"""The student's task: it owns the student and every loss, and returns them by name. The loop knows none of it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.objectives import (
    activation_attention_loss,
    activation_map,
    assign,
    assign_per_layer,
    attention_transfer_loss,
    cross_entropy_cost,
    cross_entropy_cost_per_layer,
    dist,
    feature_kd,
    interaction_loss,
    logit_kd,
    multilabel_kd,
    naming_loss,
    patch_words_loss,
    pick,
    relation_loss,
    relational_kd,
    supervision,
    token_labelling_loss,
)
from lfi.plugins import load_reference
from lfi.students import Student, StudentConfig, StudentOutput, self_attention
from lfi.training.config import ObjectiveConfig, StudentSource


@dataclass(frozen=True, eq=False)
class TargetSpec:
    """What a student's task must know of data and teacher.

    Attributes:
        classes: how many.
        multilabel: whether an image can have several.
        bank: the teacher's text embedding of every word, the classes first, `[vocabulary, text_dim]`, unit norm.
        layers: teacher layers whose maps are copied.
        tower: where in the teacher's image tower attention transfer reads, as shares of its depth, 0 to 1.
    """

    classes: int
    multilabel: bool
    bank: Tensor
    layers: int
    tower: tuple[float, ...] = ()


class StudentTask(nn.Module):
    """A student and what it is trained for.

    The queries' taps are spread over the teacher's layers, first to first and last to last (`phi` in the README); a
    block of the teacher's tower is paired with the student's block at the same share of the depth.
    """

    bank: Tensor
    phi: Tensor

    def __init__(self, source: StudentSource, objective: ObjectiveConfig, spec: TargetSpec):
        super().__init__()
        self.objective, self.spec = objective, spec
        text_dim = spec.bank.shape[1]
        embeds = objective.feature_kd > 0
        self.register_buffer("bank", spec.bank, persistent=False)
        self.student = Student(
            StudentConfig(
                backbone=source.backbone,
                classes=spec.classes,
                queries=source.queries,
                taps=source.taps,
                text_dim=text_dim if objective.naming or embeds else 0,
                embed=embeds,
                by_name=source.by_name and objective.naming > 0 and source.queries > 0,
                feedback=source.feedback,
                patch_words=objective.patch_words > 0,
                overrides=source.overrides,
            )
        )
        if self.student.config.by_name:
            self.student.labels.copy_(spec.bank[: spec.classes])
        taps, blocks = len(self.student.taps), len(self.student.backbone.blocks)
        phi = [round(tap * (spec.layers - 1) / max(1, taps - 1)) for tap in range(taps)]
        self.register_buffer("phi", torch.tensor(phi), persistent=False)
        self.paired = [max(0, round(share * blocks) - 1) for share in spec.tower]
        self.extra = {reference: load_reference(reference) for reference in objective.extra}
        dim = self.student.backbone.embed_dim
        self.token_head = nn.Linear(dim, spec.classes) if objective.token_labelling else None
        self.nothing = nn.Parameter(torch.randn(text_dim) * text_dim**-0.5) if objective.naming > 0 else None

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        weights = self.objective
        reading = self_attention(self.student, self.paired) if weights.attention_transfer else nullcontext(list)
        with reading as attention:
            out = self.student(batch["images"], self.paired if weights.activation_attention else ())
            attended = attention()
        with torch.autocast(batch["images"].device.type, enabled=False):
            losses = self.losses(out, attended, batch)
        total = torch.stack([self.weight(name) * value for name, value in losses.items()]).sum()
        return {"loss": total, **losses}

    def weight(self, name: str) -> float:
        """Of a loss in the sum."""
        return self.objective.extra[name] if name in self.extra else getattr(self.objective, name)

    def losses(self, out: StudentOutput, attended: list[Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Every loss with a weight, by its name in `ObjectiveConfig`.

        One of `objective.extra` is called with the student's output and the batch (images, labels, and the teacher's
        answers that its attribute `fields` names) and gives a scalar.
        """
        weights, logits = self.objective, out.logits.float()
        losses = {}
        if weights.task:
            losses["task"] = supervision(logits, batch["labels"], weights.smoothing)
        if weights.logit_kd and self.spec.multilabel:
            losses["logit_kd"] = multilabel_kd(logits, batch["logits"])
        elif weights.logit_kd:
            losses["logit_kd"] = logit_kd(logits, batch["logits"], weights.temperature)
        if weights.dist:
            losses["dist"] = dist(logits, batch["logits"], multilabel=self.spec.multilabel)
        if weights.feature_kd:
            assert out.embedding is not None
            losses["feature_kd"] = feature_kd(out.embedding.float(), batch["latents"])
        if weights.relational_kd:
            losses["relational_kd"] = relational_kd(out.features.float(), batch["latents"])
        if weights.activation_attention:
            maps = torch.stack([activation_map(tokens.float()) for tokens in out.read], 1)
            losses["activation_attention"] = activation_attention_loss(maps, batch["activations"].float())
        if weights.attention_transfer:
            losses["attention_transfer"] = attention_transfer_loss(batch["attentions"].float(), self.rows_of(attended))
        if weights.places_words or weights.naming:
            assert out.attention is not None
            losses |= self.interaction(out.attention, out.names, batch)
        if weights.patch_words:
            assert self.student.name is not None
            patches, last = self.student.name(out.patches.float()), present(batch)[:, -1]
            losses["patch_words"] = patch_words_loss(last, patches, self.bank, batch["names"], batch["words"])
        if self.token_head is not None:
            tokens, last = self.token_head(out.patches.float()), present(batch)[:, -1]
            losses["token_labelling"] = token_labelling_loss(last, tokens, batch["names"], batch["words"])
        return losses | {name: loss(out, batch) for name, loss in self.extra.items()}

    def rows_of(self, attended: list[Tensor]) -> Tensor:
        """Log of self-attention over patches, mean over heads: of CLS (or the mean patch) and of every patch."""
        prefix = self.student.backbone.num_prefix_tokens
        over = torch.stack([layer.float().mean(1) for layer in attended], 1)[..., prefix:]
        over = over / over.sum(-1, keepdim=True).clamp_min(1e-9)
        first = over[:, :, :1] if self.student.backbone.has_class_token else over[:, :, prefix:].mean(2, keepdim=True)
        return torch.cat([first, over[:, :, prefix:]], 2).clamp_min(1e-9).log()

    def interaction(self, attention: Tensor, names: Tensor | None, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Interaction, relation and naming losses under one assignment per image (or per layer, the ablation)."""
        weights, words = self.objective, batch["words"]
        losses = {}
        if weights.places_words:
            teacher = batch["maps"].float()[:, self.phi]
            log_student = attention.detach().clamp_min(1e-8).log()
            assignment = assign(cross_entropy_cost(teacher, log_student), words)
            placed, mask = assignment, words
            if not weights.persistent:
                placed = assign_per_layer(cross_entropy_cost_per_layer(teacher, log_student), words)
                mask = words[:, None].expand_as(placed)
            matched = mask & (placed >= 0)
            student = pick(attention, placed, 2)
            if weights.interaction:
                counts = matched
                if "presence" in batch:
                    counts = matched * (batch["presence"] if matched.ndim == 2 else batch["presence"][:, None])
                losses["interaction"] = interaction_loss(teacher, student.clamp_min(1e-8).log(), counts)
            if weights.relation:
                losses["relation"] = relation_loss(teacher, student, matched)
        else:  # without maps a query is found by its name
            assert names is not None
            wanted = F.normalize(self.bank[batch["names"]], dim=-1)
            cost = 1 - wanted @ F.normalize(names.detach().float(), dim=-1).transpose(1, 2)
            assignment = assign(cost, words)
        if weights.naming:
            assert self.nothing is not None
            assert names is not None
            targets = torch.full(names.shape[:2], -1, device=names.device)
            image, word = (words & (assignment >= 0)).nonzero(as_tuple=True)
            targets[image, assignment[image, word]] = batch["names"][image, word]
            losses["naming"] = naming_loss(names.float(), self.bank, self.nothing, targets)
        return losses


def present(batch: dict[str, Tensor]) -> Tensor:
    """The teacher's maps `[batch, layer, word, patch]`, each summing to how likely the word is there, else to 1."""
    maps = batch["maps"].float()
    return maps * batch["presence"][:, None, :, None] if "presence" in batch else maps
