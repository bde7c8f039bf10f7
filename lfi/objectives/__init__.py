"""Objectives: what makes a student look where the teacher looks, and what that is compared with.

All of them take float32 or float64, and the teacher's side without gradient: callers widen what autocast narrowed.
"""

from lfi.objectives.activation_attention import activation_attention_loss, activation_map
from lfi.objectives.assignment import (
    assign,
    assign_per_layer,
    cross_entropy_cost,
    cross_entropy_cost_per_layer,
    pick,
)
from lfi.objectives.attention_transfer import attention_transfer_loss
from lfi.objectives.counting import gathered, global_count, masked_mean
from lfi.objectives.dist import dist
from lfi.objectives.feature_kd import feature_kd
from lfi.objectives.interaction import interaction_loss
from lfi.objectives.logit_kd import logit_kd, multilabel_kd
from lfi.objectives.naming import naming_loss
from lfi.objectives.patch_words import patch_words_loss
from lfi.objectives.relation import relation_loss
from lfi.objectives.relational_kd import relational_kd
from lfi.objectives.supervision import supervision
from lfi.objectives.token_labelling import token_labelling_loss

__all__ = [
    "activation_attention_loss",
    "activation_map",
    "assign",
    "assign_per_layer",
    "attention_transfer_loss",
    "cross_entropy_cost",
    "cross_entropy_cost_per_layer",
    "dist",
    "feature_kd",
    "gathered",
    "global_count",
    "interaction_loss",
    "logit_kd",
    "masked_mean",
    "multilabel_kd",
    "naming_loss",
    "patch_words_loss",
    "pick",
    "relation_loss",
    "relational_kd",
    "supervision",
    "token_labelling_loss",
]
