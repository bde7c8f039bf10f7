"""Weights of a teacher: fetching them, fitting them into a model, fingerprinting them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import huggingface_hub
import open_clip
import torch
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor, nn

from lfi.errors import CheckpointError
from lfi.hub import hub_answers
from lfi.weights import first_line, quiet


def fingerprint_of(model: nn.Module) -> str:
    """12 hex digits of SHA-256 over the state dict: names, shapes and bytes, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


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
    online = hub_answers()  # asked once: the hub's client would retry for most of a minute
    reason = "" if online else "the model hub cannot be reached"
    for candidate in (f"{safe}.safetensors", filename):
        try:
            with quiet("huggingface_hub"):
                path = huggingface_hub.hf_hub_download(repository, candidate, local_files_only=not online)
            return Path(path)
        except Exception as error:
            reason = reason if not online else first_line(error)
    raise CheckpointError(
        f"cannot fetch {name} with {tag!r} ({reason}); download {repository}/{filename} on a machine with "
        f"a network and pass {tag}:FILE as pretrained"
    )
