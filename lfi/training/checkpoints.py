"""Checkpoints that survive a crash: safetensors, written beside the old one and renamed over, the last two kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lfi.errors import CheckpointError


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write atomically; the file that was at `path` moves to `path.previous`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        fresh,
        {"meta": json.dumps(meta)},
    )
    with open(fresh, "rb") as file:
        os.fsync(file.fileno())
    if path.exists():
        os.replace(path, previous(path))
    os.replace(fresh, path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and meta data of one file.

    Raises:
        CheckpointError: if it is missing, truncated or not a checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("meta", "{}"))
        return load_file(path), meta
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error}") from error


def load_latest(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], str | None]:
    """The checkpoint at `path` or, if that is damaged, the one before it with a line that says so."""
    try:
        return *load(path), None
    except CheckpointError as error:
        if not previous(path).exists():
            raise
        return *load(previous(path)), f"{error}; going on from the one before it, {previous(path)}"


def previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def pack(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights, optimiser state and the state of the random generator, by name."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for key, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{key}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["rng"] = torch.get_rng_state()
    return tensors


def unpack_weights(tensors: dict[str, Tensor], model: torch.nn.Module) -> None:
    """The model's part of a checkpoint alone."""
    model.load_state_dict({name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")})


def unpack(tensors: dict[str, Tensor], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The reverse of `pack`."""
    unpack_weights(tensors, model)
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, key, field = name.split(".", 2)
            state.setdefault(int(key), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["rng"])
