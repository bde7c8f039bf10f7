"""The backbone that a detector starts from: a student's, one of timm's, or one with fresh weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timm.models.vision_transformer import VisionTransformer

from lfi.errors import CheckpointError, UnknownModelError
from lfi.students import Student
from lfi.students.vit import create_backbone
from lfi.weights import read_weights


def load_backbone(
    source: str, fresh: str, overrides: dict[str, Any] | None
) -> tuple[VisionTransformer, str, dict[str, Any]]:
    """A backbone by what a user types.

    Args:
        source: see `DetectionConfig.backbone`.
        fresh, overrides: name and arguments of the one that is made where `source` is empty.

    Returns:
        The backbone, and the name and arguments with which timm makes one of its shape.

    Raises:
        UnknownModelError: no such model or file.
        CheckpointError: weights that cannot be read.
    """
    if not source:
        return create_backbone(fresh, overrides), fresh, overrides or {}
    kind, _, rest = source.partition(":")
    if kind == "timm" and rest:
        name, _, file = rest.partition(":")
        if file:
            return _filled(create_backbone(name), name, Path(file)), name, {}
        try:
            return create_backbone(name, {"pretrained": True}), name, {}
        except OSError as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise CheckpointError(
                f"cannot get the weights of {source}: {reason}; timm:NAME:FILE reads a file"
            ) from error
    path = Path(source)
    path = path / "student.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise UnknownModelError(f"{source!r} is not a backbone; a student's folder or file, or timm:NAME was expected")
    student = Student.load(path)
    return student.backbone, student.config.backbone, student.config.overrides or {}


def _filled(backbone: VisionTransformer, name: str, file: Path) -> VisionTransformer:
    if file.suffix in (".npz", ".npy"):  # of Google's own ViTs, which timm reads
        backbone.load_pretrained(str(file))
        return backbone
    try:
        backbone.load_state_dict(read_weights(file))
    except RuntimeError as error:
        raise CheckpointError(f"{file} does not fit {name}: {' '.join(str(error).split())[:200]}") from error
    return backbone
