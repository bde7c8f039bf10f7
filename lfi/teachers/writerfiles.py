"""Folders of models that write, as transformers keeps them: which there are, reading and copying them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lfi.errors import CheckpointError, UnsupportedModelError, reason
from lfi.hub import TORCH_WEIGHTS
from lfi.teachers.subwords import need_transformers
from lfi.teachers.writers import FAMILIES, Writer
from lfi.weights import as_safetensors, first_line, quiet

_CLASSES = {"blip": "BlipForConditionalGeneration", "llava": "LlavaForConditionalGeneration"}
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_CONFIG, _PREPROCESSING = "config.json", "preprocessor_config.json"
_CARD = "lfi.json"
"""What we keep of a model beside transformers' files, if anything: its `name`, and the `default_layers` of its maps."""


def family_of(folder: Path) -> str:
    """One of `FAMILIES`; empty for the folder of something else.

    Raises:
        CheckpointError: its configuration cannot be read.
    """
    try:
        kind = json.loads((folder / _CONFIG).read_text(encoding="utf-8")).get("model_type", "")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"cannot read {folder / _CONFIG}: {reason(error)}") from error
    return kind if kind in FAMILIES else ""


def load_writer(folder: Path, family: str, name: str, device: str | torch.device) -> Writer:
    """A model that writes from a folder that transformers wrote.

    Raises:
        UnsupportedModelError: transformers is not installed, the tokeniser cannot say which letters a token is, or the
            model's input is not square.
        CheckpointError: it cannot be read.
    """
    need_transformers(name)
    import transformers

    kind: Any = getattr(transformers, _CLASSES[family])
    try:
        with quiet("transformers"), _no_bars():
            options = {} if family == "blip" else {"attn_implementation": "eager"}
            model = kind.from_pretrained(str(folder), local_files_only=True, **options).to(device)
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # of files, shapes and packages
        raise CheckpointError(f"cannot read {folder} as a {family} of transformers: {first_line(error)}") from error
    if not tokenizer.is_fast:
        raise UnsupportedModelError(f"{name}: its tokeniser cannot say which letters a token stands for")
    size = model.config.vision_config.image_size
    if not isinstance(size, int):
        raise UnsupportedModelError(f"{name}: its input is {size}; a square one was expected")
    return Writer(model, tokenizer, family)


@contextmanager
def _no_bars() -> Iterator[None]:
    """A block in which transformers draws no bars of progress."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def normalisation(folder: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the RGB channels (0 to 1)."""
    path = folder / _PREPROCESSING
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return said.get("image_mean", _CLIP_MEAN), said.get("image_std", _CLIP_STD)


def card_of(folder: Path) -> dict[str, Any]:
    """What is known of a model besides its weights: `name`, and `default_layers` where somebody chose them.

    Without a card the name is that of the folder; in the hub's cache, of the repository.

    Raises:
        CheckpointError: the card cannot be read.
    """
    kept = folder.parent.name == "snapshots"
    name = folder.parent.parent.name.rpartition("--")[2] if kept else folder.name
    path = folder / _CARD
    try:
        return {"name": name} | (json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {})
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"cannot read {path}: {reason(error)}") from error


def copy_writer(source: Path, folder: Path) -> None:
    """All files of a folder that transformers wrote, but for weights in other formats, and the model's name.

    Weights are safetensors afterwards.
    """
    unwanted = shutil.ignore_patterns("*.bin", "*.bin.index.json", "*.h5", "*.msgpack", ".*")
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=unwanted)
    if not any(source.glob("*.safetensors")):
        for file in source.glob(TORCH_WEIGHTS):
            as_safetensors(file, folder / _renamed(file.name))
        for index in source.glob("pytorch_model.bin.index.json"):  # of weights in several files
            said = json.loads(index.read_text(encoding="utf-8"))
            said["weight_map"] = {key: _renamed(name) for key, name in said["weight_map"].items()}
            (folder / "model.safetensors.index.json").write_text(json.dumps(said), encoding="utf-8")
    (folder / _CARD).write_text(json.dumps(card_of(source)) + "\n", encoding="utf-8")


def _renamed(name: str) -> str:
    """What transformers calls a file of weights as safetensors."""
    return name.replace("pytorch_model", "model").replace(".bin", ".safetensors")
