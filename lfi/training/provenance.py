"""What a run's folder says about how it was made: the resolved configuration, versions, the git revision."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import torch

from lfi.images import MEAN, STD
from lfi.revision import revision
from lfi.training.config import TrainConfig


def write_provenance(folder: Path, config: TrainConfig, **more: str) -> None:
    """`config.json` and `environment.json` in a run's folder, which is made if it is not there.

    Args:
        more: what else the run depends on, such as its teacher.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    (folder / "environment.json").write_text(json.dumps(environment() | more, indent=2) + "\n")


def environment() -> dict[str, str]:
    """What any run depends on besides its configuration."""
    import open_clip
    import timm

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "open_clip": open_clip.__version__,
        "revision": revision(),
        "normalisation": f"mean {MEAN}, std {STD}",
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{torch.get_num_threads()} CPU threads",
    }
