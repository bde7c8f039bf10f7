"""Students: plain timm vision transformers that read with Interaction Queries."""

from lfi.students.queries import InteractionQueries
from lfi.students.reading import self_attention
from lfi.students.vit import Description, Student, StudentConfig, StudentOutput, create_backbone, describe

__all__ = [
    "Description",
    "InteractionQueries",
    "Student",
    "StudentConfig",
    "StudentOutput",
    "create_backbone",
    "describe",
    "self_attention",
]
