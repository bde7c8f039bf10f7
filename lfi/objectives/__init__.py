"""Objectives: what makes a student look where the teacher looks, and what that is compared with."""

from lfi.objectives.assignment import assign, cross_entropy_cost, pick
from lfi.objectives.interaction import interaction_loss, naming_loss, relation_loss
from lfi.objectives.results import feature_kd, logit_kd, multilabel_kd

__all__ = [
    "assign",
    "cross_entropy_cost",
    "feature_kd",
    "interaction_loss",
    "logit_kd",
    "multilabel_kd",
    "naming_loss",
    "pick",
    "relation_loss",
]
