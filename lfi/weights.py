"""State dicts as they come out of people's files: read without running code, unwrapped, under the model's own names."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from lfi.errors import CheckpointError

_WRAPPED = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "module")
"""Entries of a training checkpoint that hold the weights; averaged ones first, as timm has it."""

_WRAPPERS = frozenset(("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
"""Parts of a name that torch.compile, DDP, FSDP and activation checkpointing put in."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors by suffix, else a torch file, read with `weights_only`.

    See `state_of` for what is made of a training checkpoint.

    Raises:
        CheckpointError: where there is no such file, it cannot be read, or it holds no state dict.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        content: Any
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            with quiet():
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything from KeyError to UnpicklingError
        raise CheckpointError(f"cannot read {path} as {_format(path)}: {first_line(error)}") from error
    return state_of(content, str(path))


def as_safetensors(source: Path, target: Path) -> None:
    """Write a file's weights, as `read_weights` reads them, as safetensors, under which every package finds them.

    Raises:
        CheckpointError: as `read_weights`.
    """
    # tensors that share memory are refused by the format
    weights = {name: tensor.clone().contiguous() for name, tensor in read_weights(source).items()}
    safetensors.torch.save_file(weights, target, {"format": "pt"})


def state_of(content: Any, source: str) -> dict[str, Tensor]:
    """The state dict in what a file holds: out of its wrappings, however they are nested, by plain names.

    Raises:
        CheckpointError: there is none, or two tensors have one name without their prefixes.
    """
    while isinstance(content, Mapping):
        inner = next((content[name] for name in _WRAPPED if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{source} does not hold a state dict (names and tensors) but a {type(content).__name__}")
    return plain_names({str(key): value for key, value in content.items() if isinstance(value, Tensor)}, source)


def plain_names(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Weights by the names that the model itself gives them: without `module.`, `_orig_mod.` and the like, anywhere.

    Raises:
        CheckpointError: two tensors have one name then.
    """
    found: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for key, value in state.items():
        parts = [part for part in key.split(".") if part not in _WRAPPERS]
        while len(parts) > 1 and parts[0] == "state_dict":
            parts = parts[1:]
        name = ".".join(parts)
        if name in found:
            raise CheckpointError(f"{source} holds {name} twice: as {origin[name]} and as {key}")
        found[name], origin[name] = value, key
    return found


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep warnings and the chatter of these loggers off the terminal: our own error says it in one line."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    try:
        for name in loggers:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _format(path: Path) -> str:
    return "safetensors" if path.suffix == ".safetensors" else "torch weights (weights_only)"


def first_line(error: Exception) -> str:
    """What an error says first, in at most 200 characters."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
