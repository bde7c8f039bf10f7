"""Trained detectors as files: weights as safetensors, with the configuration in the header."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torchvision.models.detection import MaskRCNN

from lfi.detection.detector import build_detector
from lfi.errors import CheckpointError, LFIError
from lfi.students.vit import create_backbone
from lfi.weights import plain_names

FILE = "detector.safetensors"


@dataclass(frozen=True)
class DetectorCard:
    """What a detector is: the arguments of `create_backbone` and `build_detector`, and what its labels mean.

    Attributes:
        categories: id and name of each in the data that it was trained on; label 1 is the first.
    """

    backbone: str
    overrides: dict[str, Any]
    categories: tuple[tuple[int, str], ...]
    side: int
    width: int
    window: int
    frozen: bool
    regions: int
    proposals: int
    most: int


def save_detector(detector: MaskRCNN, card: DetectorCard, path: Path) -> None:
    """Write `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in detector.state_dict().items()}
    save_file(tensors, path, {"detector": json.dumps(asdict(card))})


def load_detector(path: Path) -> tuple[MaskRCNN, DetectorCard]:
    """A detector in eval mode.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        CheckpointError: it is missing, truncated, or none that `save_detector` wrote.
    """
    file = path / FILE if path.is_dir() else path
    try:
        with safe_open(file, framework="pt") as opened:
            stored = json.loads((opened.metadata() or {})["detector"])
        card = DetectorCard(**{**stored, "categories": tuple((number, name) for number, name in stored["categories"])})
        detector = make(card)
        detector.load_state_dict(plain_names(load_file(file), str(file)))
    except KeyError as error:
        raise CheckpointError(f"{file} has no detector card in its header; was it written by lfi?") from error
    except (OSError, SafetensorError, TypeError, ValueError, RuntimeError, LFIError) as error:
        raise CheckpointError(f"cannot read the detector {file}: {str(error).splitlines()[0]}") from error
    return detector.eval(), card


def make(card: DetectorCard, backbone: Any = None) -> MaskRCNN:
    """The detector of a card, on this backbone or on one with fresh weights."""
    return build_detector(
        backbone or create_backbone(card.backbone, card.overrides),
        len(card.categories),
        card.side,
        width=card.width,
        window=card.window,
        frozen=card.frozen,
        regions=card.regions,
        proposals=card.proposals,
        most=card.most,
    )
