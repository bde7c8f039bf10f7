"""Weights of a teacher: reading them without running code, fitting them into a model, fingerprinting them."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import safetensors.torch
import torch
from huggingface_hub.utils import get_session
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor, nn

from lfi.errors import CheckpointError

_HUB_TIMEOUT = 5.0


def fingerprint_of(model: nn.Module) -> str:
    """12 hex digits of SHA-256 over the state dict: names, shapes and bytes, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors by suffix, else a torch file, read with `weights_only`.

    A training checkpoint with a `state_dict` entry is unwrapped, a `module.` prefix (DDP) removed.

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
            with _quiet():
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything from KeyError to UnpicklingError
        raise CheckpointError(f"cannot read {path} as {_format(path)}: {_first_line(error)}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no state dict (names and tensors) but a {type(content).__name__}")
    return {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}


def fit(model: nn.Module, state: Mapping[str, Tensor], *, name: str, source: str) -> None:
    """Load weights into the model: every tensor, of exactly the model's shape.

    open_clip would resize position embeddings that do not fit; a teacher's maps would change, so
    that is an error.

    Raises:
        CheckpointError: that counts what is missing, unexpected or of another shape, with an example of each.
    """
    weights = dict(state)
    if "positional_embedding" in weights and hasattr(model, "text"):  # saved by the class with the text tower inline
        weights = convert_to_custom_text_state_dict(weights)
    expected = model.state_dict()
    for key in ("logit_scale", "logit_bias"):  # stored as a scalar by some versions, as one number by others
        if key in weights and key in expected and weights[key].numel() == expected[key].numel():
            weights[key] = weights[key].reshape(expected[key].shape)
    missing = sorted(expected.keys() - weights.keys())
    surplus = sorted(weights.keys() - expected.keys())
    common = sorted(expected.keys() & weights.keys())
    reshaped = [key for key in common if weights[key].shape != expected[key].shape]
    faults = []
    if missing:
        faults.append(f"{len(missing)} tensors are missing (such as {missing[0]})")
    if surplus:
        faults.append(f"{len(surplus)} are unknown (such as {surplus[0]})")
    if reshaped:
        key = reshaped[0]
        faults.append(
            f"{len(reshaped)} have another shape (such as {key}: "
            f"{list(weights[key].shape)} in the file, {list(expected[key].shape)} in the model)"
        )
    if faults:
        raise CheckpointError(f"{source} does not fit {name}: {', '.join(faults)}")
    model.load_state_dict(weights)


def fetch(name: str, tag: str) -> Path:
    """The file of one of open_clip's pretrained tags, from the local hub cache or else the network.

    Raises:
        CheckpointError: where it is not in the cache and cannot be fetched.
    """
    repository, _, filename = open_clip.get_pretrained_cfg(name, tag)["hf_hub"].rpartition("/")
    filename = filename or "open_clip_pytorch_model.bin"
    safe = "open_clip_model" if filename == "open_clip_pytorch_model.bin" else filename.rpartition(".")[0]
    online = _hub_answers()  # asked once: the hub's client would retry for most of a minute
    reason = "" if online else "the model hub cannot be reached"
    for candidate in (f"{safe}.safetensors", filename):
        try:
            with _quiet("huggingface_hub"):
                path = huggingface_hub.hf_hub_download(repository, candidate, local_files_only=not online)
            return Path(path)
        except Exception as error:
            reason = reason if not online else _first_line(error)
    raise CheckpointError(
        f"cannot fetch {name} with {tag!r} ({reason}); download {repository}/{filename} where there is "
        "a network and pass the file as pretrained"
    )


def _hub_answers() -> bool:
    try:
        with _quiet("huggingface_hub", "httpx"):
            get_session().head(huggingface_hub.constants.ENDPOINT, timeout=_HUB_TIMEOUT)
    except Exception:  # whatever the client raises: no network, no proxy, offline mode
        return False
    return True


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
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


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
