"""Checkpoints that survive a crash: safetensors, written next to the old one and renamed over it, the last two kept."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lfi.errors import CheckpointError, reason
from lfi.training.ema import Average
from lfi.training.parallel import spread, whole

CHECKPOINT = "checkpoint.safetensors"
"""In a run's folder."""


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write atomically; the file that was at `path` moves to `path.previous`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    tensors = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    save_file(tensors, fresh, {"meta": json.dumps(meta), "crc32": str(checksum(tensors))})
    sync(fresh)
    if path.exists():
        os.replace(path, previous(path))
    os.replace(fresh, path)
    sync(path.parent)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and meta data of one file.

    Raises:
        CheckpointError: if it is missing, truncated, damaged or not a checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        tensors, meta = load_file(path), json.loads(header.get("meta", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {reason(error)}") from error
    if "crc32" in header and header["crc32"] != str(checksum(tensors)):
        raise CheckpointError(f"cannot read the checkpoint {path}: its checksum does not match its contents")
    return tensors, meta


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


def exists(path: Path) -> bool:
    """Whether there is anything to resume from."""
    return path.exists() or previous(path).exists()


def discard(path: Path) -> None:
    """Remove the checkpoints of an earlier run, so that a new one cannot fall back on them."""
    path.unlink(missing_ok=True)
    previous(path).unlink(missing_ok=True)


def checksum(tensors: dict[str, Tensor]) -> int:
    """CRC-32 over the bytes of all tensors, by name: a file of the right length may still hold pages of zeros."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def pack(model: torch.nn.Module, optimizer: torch.optim.Optimizer, average: Average | None = None) -> dict[str, Tensor]:
    """Weights, optimiser state and moving average by name, gathered where they are sharded (then a collective)."""
    tensors = {f"model.{name}": whole(tensor) for name, tensor in model.state_dict().items()}
    for key, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{key}.{name}": whole(torch.as_tensor(value)) for name, value in state.items()}
    if average:
        tensors |= {f"ema.{name}": whole(tensor) for name, tensor in average.weights.items()}
    return tensors


def unpack(
    tensors: dict[str, Tensor],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None = None,
) -> None:
    """The reverse of `pack`, sharding what is sharded here. An average that was not kept starts from the weights.

    Raises:
        CheckpointError: the checkpoint is of another architecture, or of other trained parameters.
    """
    _fill(model.state_dict(), part(tensors, "model."))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor | bool]] = {}
    for name, tensor in part(tensors, "optimizer.").items():
        key, field = name.split(".", 1)
        if int(key) >= len(parameters) or (tensor.ndim and tensor.shape != parameters[int(key)].shape):
            raise CheckpointError(
                "the checkpoint does not fit the optimiser: it has a state for parameter "
                f"{key} of shape {list(tensor.shape)}; other parameters were trained then, or in another order"
            )
        flag = field == "use_muon"  # no tensor where it comes from: as one on a GPU, every step would wait for it
        state.setdefault(int(key), {})[field] = bool(tensor) if flag else spread(tensor, parameters[int(key)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if average:
        model_weights = {name: tensor for name, tensor in part(tensors, "model.").items() if name in average.weights}
        _fill(average.weights, model_weights | part(tensors, "ema."))


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start so, without that start."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def _fill(target: dict[str, Tensor], source: dict[str, Tensor]) -> None:
    for name in sorted(target.keys() | source.keys()):
        here, there = (list(each[name].shape) if name in each else "nothing" for each in (target, source))
        if here != there:
            raise CheckpointError(
                f"the checkpoint does not fit the model: {name} is {there} in the checkpoint and {here} in the model"
            )
    for name, tensor in target.items():
        tensor.copy_(spread(source[name], tensor))


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors that share memory with another (tied weights), which safetensors refuses."""
    seen: set[int] = set()
    for name, tensor in tensors.items():
        where = tensor.untyped_storage().data_ptr()
        if where in seen:
            tensors[name] = tensor.clone()
        seen.add(where)
    return tensors


def sync(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
