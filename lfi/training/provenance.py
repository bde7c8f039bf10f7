"""What a run's folder says about how it was made: the resolved configuration, versions, the git revision."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from lfi.errors import ConfigError
from lfi.images import MEAN, STD
from lfi.revision import revision
from lfi.training.checkpoints import CHECKPOINT, exists
from lfi.training.config import TrainConfig

_PLACES = {
    *("data.root", "data.annotations", "data.captions", "data.limit"),
    *("data.validation_root", "data.validation_annotations", "data.validation_captions"),
    *("teacher.model", "teacher.pretrained", "teacher.cache"),
    *("detection.backbone", "environment.backbone", "pretraining.start_from"),
}
"""Settings that may change while a run is interrupted: where things lie (a teacher's fingerprint may not), and how many
files may be damaged."""


def write_provenance(folder: Path, config: TrainConfig, resume: bool = False, main: bool = True, **more: str) -> None:
    """`config.json` and `environment.json` in a run's folder, which is made if it is not there.

    Args:
        resume: the run goes on, if it was begun: then it must be for the same.
        main: whether this process writes them; all of them check.
        more: what else the run depends on, such as its teacher.

    Raises:
        ConfigError: the run that is to go on was begun with other models, losses or data.
    """
    if resume and exists(folder / CHECKPOINT):
        check_begun(folder, config, **more)
    if not main:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    (folder / "environment.json").write_text(json.dumps(environment() | more, indent=2) + "\n")


def check_begun(folder: Path, config: TrainConfig, **more: str) -> None:
    """Refuse to go on with a run that was begun with another task, other data, models, losses or another optimiser.

    The loop's other settings may change: `lfi.training.loop` tells of it.

    Raises:
        ConfigError: names the first difference, and both values.
    """
    try:
        begun = json.loads((folder / "config.json").read_text())
        begun["environment"] = json.loads((folder / "environment.json").read_text())
    except (OSError, ValueError):
        return  # its checkpoint alone was copied here
    begun["loop"] = {"optimizer": "adamw"} | begun.get("loop", {})  # from before there was a choice
    now = config.to_dict() | {"environment": more, "loop": {"optimizer": config.loop.optimizer}}
    if found := difference(begun, now, _PLACES):
        name, was, value = found
        raise ConfigError(
            f"{folder} was begun with {name.removeprefix('environment.')} {was!r}, and {value!r} was asked for; go on "
            "with the former, or start anew: without --resume, with --fresh, or in another folder"
        )


def difference(
    before: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()
) -> tuple[str, Any, Any] | None:
    """The first setting that is not what it was: its name, what it was, what it is.

    Args:
        before: settings, or sections of settings, as JSON has them. What is not named there counts as unchanged.
        now: the same as they are, in any form that JSON can hold.
        free: names (`section.setting`) that may differ.
    """
    old, new = _by_name(before), _by_name(json.loads(json.dumps(now)))
    changed = (name for name in new if name in old and name not in free and old[name] != new[name])
    return next(((name, old[name], new[name]) for name in changed), None)


def _by_name(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings; those of a section as `section.setting`."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= {f"{name}.{each}": own for each, own in value.items()} if isinstance(value, dict) else {name: value}
    return found


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
