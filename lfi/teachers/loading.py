"""Finding, building and saving teachers: an open_clip name with weights, or a folder that holds both."""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import safetensors.torch
import timm
import torch
from open_clip.coca_model import CoCa
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CLIP, CustomTextCLIP
from torch import nn

from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnsupportedModelError, reason
from lfi.hub import OLD_WEIGHTS, WEIGHTS, is_hub, local_folder
from lfi.plugins import is_reference, load_reference
from lfi.shipped import shipped_teacher
from lfi.teachers.base import BaseTeacher
from lfi.teachers.checkpoints import fetch, fit
from lfi.teachers.clip import ClipTeacher
from lfi.teachers.coca import CoCaTeacher
from lfi.teachers.content import Tokenizer, byte_pairs
from lfi.teachers.generative import load_generative_teacher
from lfi.teachers.names import Names, NameTokenizer
from lfi.teachers.subwords import SubwordTokenizer, need_transformers
from lfi.teachers.timmclip import TimmClipTeacher, is_timm_clip
from lfi.teachers.tower import TimmTower
from lfi.teachers.words import WordTokenizer
from lfi.teachers.writerfiles import copy_writer, family_of
from lfi.weights import as_safetensors, read_weights

CONFIG = "open_clip_config.json"
NAMES = "names.json.gz"
"""Beside them where a teacher reads whole names (`lfi/teachers/names.py`)."""
BACKBONE = "timm_backbone"
"""In `vision_cfg`: the image tower is a `TimmTower` over this backbone, with its arguments next to it."""
TEXT = "text"
"""Beside them the configuration of a text tower from transformers; its tokeniser's files lie beside the weights."""
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_OF_TOKENIZERS = (*_TOKENIZER, "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model")
_OF_TOKENS = (".vision_transformer", ".eva", ".beit", ".deit")
_NO_TOWER = {"image_size": 8, "patch_size": 8, "width": 8, "layers": 0, "head_width": 8}  # until the real one is there


def load_teacher(
    name: str | Path, pretrained: str | Path | None = None, device: str | torch.device = "cpu"
) -> BaseTeacher:
    """A teacher by name or folder, in eval mode on `device`.

    Args:
        name: an open_clip architecture; `scenes`, the teacher that comes with LFI; a folder with
            `open_clip_config.json` (`{"model_cfg", "preprocess_cfg": {"mean", "std"}, "lfi": {"name", "vocabulary",
            "default_layers"}}`) and `open_clip_model.safetensors`; the folder of a BLIP or a LLaVA that transformers
            wrote; `hf-hub:ORG/NAME[@REVISION]`, a repository of the Hugging Face hub with the same files; or
            `FILE.py:NAME`, a function that makes a teacher.
        pretrained: for an architecture: one of open_clip's tags, or a local file, `.safetensors` or a torch
            file that `weights_only` reads. `TAG:FILE` says that the file was trained as the tag's weights were, where
            tags of that architecture differ in activation or colours. A folder brings its own weights.

    Raises:
        UnknownModelError: for an architecture or tag that does not exist; names the nearest ones.
        UnsupportedModelError: for a model that cannot be read faithfully, or whose tokeniser we do not have.
        CheckpointError: for weights that are missing, unreadable, unsuitable, or out of reach.
        ConfigError: for a device that is not there.
    """
    name = str(local_folder(name) if is_hub(name) else shipped_teacher(str(name)) or name)
    if os.path.isdir(name):
        return _to(_from_folder(Path(name), pretrained, device), device)
    if is_reference(name):
        return _to(_made_by(name), device)
    model, model_cfg, preprocess = _named(name, pretrained)
    return _to(_teacher(model, _tokenizer(model_cfg, name), name, preprocess, None), device)


def save_named(name: str, pretrained: str | Path, folder: Path) -> None:
    """A model by its open_clip name, as `load_teacher` takes it, as a folder that `load_teacher` reads.

    Raises:
        UnknownModelError, UnsupportedModelError, CheckpointError: as `load_teacher`.
    """
    model, model_cfg, preprocess = _named(name, pretrained)
    tokenizer: Any = _tokenizer(model_cfg, name)
    if isinstance(tokenizer, SubwordTokenizer):
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(folder)
    mean, std = preprocess.get("mean", OPENAI_DATASET_MEAN), preprocess.get("std", OPENAI_DATASET_STD)
    save_teacher(folder, model, model_cfg, mean=mean, std=std, card={"name": name})


def _named(name: str, pretrained: str | Path | None) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """A model by its open_clip name with its configuration and preprocessing."""
    model_cfg = open_clip.get_model_config(name) if name in open_clip.list_models() else None
    if model_cfg is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), 5, cutoff=0.3)
        hint = f"; nearest: {', '.join(near)}" if near else "; `open_clip.list_models()` names them all"
        raise UnknownModelError(f"{name!r} is neither an open_clip architecture nor a folder with {CONFIG}{hint}")
    _refuse(model_cfg, name)
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is None:
        known = f"one of {', '.join(tags)}, or " if tags else ""
        raise CheckpointError(f"{name} needs weights: pass {known}a local file as pretrained")
    tag, file = _tag_and_file(name, str(pretrained))
    if file is None:
        weights = fetch(name, tag)
    elif not os.path.exists(file) and not file.suffix and len(file.parts) == 1:
        known = ", ".join(tags) if tags else "none"
        raise UnknownModelError(f"{name} has no pretrained tag {str(file)!r} (known: {known}), nor is it a file")
    else:
        weights = file
    state = read_weights(weights)
    training = _training_of(name, [tag] if tag else tags, str(weights))
    # the tag, not the architecture's name, knows which activation its weights were trained with
    model_cfg["quick_gelu"] = training.get("quick_gelu", model_cfg.get("quick_gelu", False))
    model = build(model_cfg, name)
    fit(model, state, name=name, source=str(weights))
    return model, model_cfg, {key: training[key] for key in ("mean", "std") if key in training}


def _tag_and_file(name: str, pretrained: str) -> tuple[str, Path | None]:
    """A tag, a file, or `TAG:FILE`, a file with the weights of a tag: what is not said is empty."""
    tag, colon, file = pretrained.partition(":")
    if open_clip.get_pretrained_cfg(name, tag):
        return tag, Path(file) if colon else None
    return "", Path(pretrained)


def _training_of(name: str, tags: Sequence[str], source: str) -> dict[str, Any]:
    """What open_clip's tags say of their weights and no file does: `mean`, `std` and `quick_gelu`.

    Raises:
        CheckpointError: the tags do not agree; names one of each kind.
    """
    kinds: dict[str, dict[str, Any]] = {}
    for tag in tags:
        said = open_clip.get_pretrained_cfg(name, tag)
        kind = {key: said[key] for key in ("mean", "std", "quick_gelu") if key in said}
        if kind not in kinds.values():
            kinds[tag] = kind
    if len(kinds) > 1:
        named = ", ".join(f"{tag}:FILE ({_in_words(kind)})" for tag, kind in kinds.items())
        raise CheckpointError(
            f"{source}: weights of {name} differ in activation or colours, which no file says; pass one of {named}"
        )
    return next(iter(kinds.values()), {})


def _in_words(kind: Mapping[str, Any]) -> str:
    return f"{'QuickGELU' if kind.get('quick_gelu') else 'GELU'}, mean {kind['mean'][0]:.2f}"


def _made_by(reference: str) -> BaseTeacher:
    """The teacher that a researcher's own function makes."""
    made = load_reference(reference)()
    if not isinstance(made, BaseTeacher):
        raise ConfigError(f"{reference} returned a {type(made).__name__}; a CoCaTeacher or a ClipTeacher was expected")
    return made


def build(model_cfg: Mapping[str, Any], name: str, folder: Path | None = None) -> nn.Module:
    """An open_clip model with random weights; the global random stream is left as it was.

    Args:
        folder: where the configuration of a text tower from transformers lies; it is asked of the hub otherwise.

    Raises:
        UnsupportedModelError: for towers that cannot be read.
        CheckpointError: for a configuration that open_clip does not accept.
    """
    _refuse(model_cfg, name)
    cfg = deepcopy(dict(model_cfg))
    from_transformers = cfg["text_cfg"].get("hf_model_name")
    custom_text = cfg.pop("custom_text", False) or bool(from_transformers)
    if from_transformers:
        cfg["text_cfg"]["hf_model_pretrained"] = False
        if folder is not None and (folder / TEXT / "config.json").is_file():
            cfg["text_cfg"]["hf_model_name"] = str(folder / TEXT)
    if "timm_model_name" in cfg["vision_cfg"]:
        cfg["vision_cfg"]["timm_model_pretrained"] = False
    kind = CoCa if "multimodal_cfg" in cfg else CustomTextCLIP if custom_text else CLIP
    try:
        with torch.random.fork_rng(devices=[]):
            if BACKBONE not in cfg["vision_cfg"]:
                return kind(**cfg)
            backbone, cfg["vision_cfg"] = cfg["vision_cfg"], dict(_NO_TOWER)
            model: Any = kind(**cfg)
            width = cfg["multimodal_cfg"]["width"]
            tower = {key: value for key, value in backbone.items() if key != BACKBONE}
            model.visual = TimmTower(backbone[BACKBONE], **{"width": width, "embed_dim": cfg["embed_dim"], **tower})
            return model
    except (TypeError, KeyError, ValueError, AssertionError, RuntimeError) as error:
        raise CheckpointError(f"model_cfg of {name} does not describe a model: {str(error).splitlines()[0]}") from error


def save_teacher(
    folder: Path,
    model: nn.Module,
    model_cfg: Mapping[str, Any],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    card: Mapping[str, Any],
    dtype: torch.dtype = torch.float32,
    names: Names | None = None,
) -> None:
    """Write a folder that `load_teacher` reads; `card` is its `lfi` part (name, vocabulary, ...).

    With `names`, the teacher reads whole names instead of a vocabulary of words.

    With `dtype` float16 the file is half as large; it is read back into float32, rounded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_cfg": dict(model_cfg),
        "preprocess_cfg": {"mean": list(mean), "std": list(std)},
        "lfi": dict(card),
    }
    if names is not None:
        names.write(folder / NAMES)
    text: Any = getattr(model, "text", None)
    if isinstance(text, HFTextEncoder):
        text.config.save_pretrained(str(folder / TEXT))
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    weights = {key: tensor.detach().cpu().to(dtype).contiguous() for key, tensor in model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / WEIGHTS)


def is_teacher(folder: Path) -> bool:
    """Whether a folder holds what `load_teacher` reads."""
    return (folder / CONFIG).is_file() or bool(family_of(folder))


def copy_teacher(source: Path, folder: Path) -> None:
    """What `load_teacher` reads of a folder: configuration, weights, names, and a tokeniser where it has its own.

    Weights are safetensors afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (source / CONFIG).is_file():
        copy_writer(source, folder)
        return
    for file in (CONFIG, WEIGHTS, NAMES, *_OF_TOKENIZERS):
        if (source / file).is_file():
            shutil.copyfile(source / file, folder / file)
    if not (source / WEIGHTS).is_file():
        as_safetensors(source / OLD_WEIGHTS, folder / WEIGHTS)
    if (source / TEXT).is_dir():
        shutil.copytree(source / TEXT, folder / TEXT, dirs_exist_ok=True)


def _from_folder(folder: Path, pretrained: str | Path | None, device: str | torch.device) -> BaseTeacher:
    if pretrained is not None:
        raise ConfigError(f"{folder} has its own weights; pretrained={str(pretrained)!r} cannot be used with it")
    path = folder / CONFIG
    if not path.is_file() and (family := family_of(folder)):
        return load_generative_teacher(folder, family, device)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model_cfg, preprocess, card = (
            config["model_cfg"],
            config.get("preprocess_cfg", {}),
            config.get("lfi", {}),
        )
    except FileNotFoundError as error:
        raise UnknownModelError(f"{folder} has no {CONFIG}, so it is not a teacher") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"cannot read {path}: {reason(error)}") from error
    name = str(card.get("name", folder.name))
    model = build(model_cfg, name, folder)
    weights = next((folder / file for file in (WEIGHTS, OLD_WEIGHTS) if (folder / file).is_file()), folder / WEIGHTS)
    fit(model, read_weights(weights), name=name, source=str(weights))
    names = Names.read(folder / NAMES) if (folder / NAMES).is_file() else None
    tokenizer = _tokenizer(model_cfg, name, card.get("vocabulary"), names, folder)
    return _teacher(model, tokenizer, name, preprocess, card.get("default_layers"))


def _teacher(
    model: nn.Module,
    tokenizer: Tokenizer,
    name: str,
    preprocess: Mapping[str, Any],
    default_layers: Sequence[int] | None,
) -> BaseTeacher:
    kind: Any = CoCaTeacher if isinstance(model, CoCa) else TimmClipTeacher if is_timm_clip(model) else ClipTeacher
    return kind(
        model,
        tokenizer,
        name=name,
        mean=preprocess.get("mean", OPENAI_DATASET_MEAN),
        std=preprocess.get("std", OPENAI_DATASET_STD),
        default_layers=default_layers,
    )


def _tokenizer(
    model_cfg: Mapping[str, Any],
    name: str,
    vocabulary: Sequence[str] | None = None,
    names: Names | None = None,
    folder: Path | None = None,
) -> Tokenizer:
    text = model_cfg["text_cfg"]
    length, size = text.get("context_length", 77), text.get("vocab_size", 49408)
    source = text.get("hf_tokenizer_name") or text.get("hf_model_name")
    if source and vocabulary is None and names is None:
        beside = folder is not None and any((folder / file).is_file() for file in _TOKENIZER)
        return SubwordTokenizer(str(folder) if beside else source, length, name, text.get("tokenizer_kwargs", {}))
    if vocabulary is None and names is None:
        tokenizer = byte_pairs(length, **text.get("tokenizer_kwargs", {}))
        if size < tokenizer.vocab_size:
            raise CheckpointError(
                f"{name} knows {size} tokens, fewer than open_clip's tokeniser, and has no vocabulary of its own"
            )
        return tokenizer
    words = WordTokenizer(vocabulary or (), length) if names is None else NameTokenizer(names, length)
    if len(words) > size:
        raise CheckpointError(f"{name} has embeddings for {size} ids, but its vocabulary needs {len(words)}")
    if not text.get("embed_cls") and text.get("pool_type", "argmax") == "argmax":
        # open_clip's default takes the highest id for the end of the text, which here is some word
        raise CheckpointError(f"{name}: a text tower with a vocabulary of words needs embed_cls or pool_type = 'eos'")
    return words


def _refuse(model_cfg: Mapping[str, Any], name: str) -> None:
    """Refuse, before anything is built or fetched, models that we cannot read."""
    vision, text = model_cfg.get("vision_cfg"), model_cfg.get("text_cfg")
    if not isinstance(vision, Mapping) or not isinstance(text, Mapping):
        raise CheckpointError(f"model_cfg of {name} needs vision_cfg and text_cfg")
    expected = "a plain open_clip VisionTransformer was expected"
    tower = vision.get("timm_model_name")
    if tower and ("multimodal_cfg" in model_cfg or (vision.get("timm_pool") != "map" and _is_of_tokens(tower))):
        raise UnsupportedModelError(f"{name}: the attention of its timm image tower {tower} cannot be read; {expected}")
    if isinstance(vision.get("layers"), list | tuple):
        raise UnsupportedModelError(f"{name}: its image tower is a ResNet, without attention to read; {expected}")
    if vision.get("attentional_pool") in ("parallel", "cascade"):
        raise UnsupportedModelError(
            f"{name}: attentional_pool = {vision['attentional_pool']!r} is not supported; use true"
        )
    if source := text.get("hf_model_name"):
        if "multimodal_cfg" in model_cfg:
            raise UnsupportedModelError(
                f"{name}: a CoCa whose text side ({source}) comes from transformers is not supported"
            )
        need_transformers(name)


def _is_of_tokens(tower: str) -> bool:
    """Whether a timm model has tokens and no feature map: its places can be read behind a pooling query alone."""
    return not timm.is_model(tower) or timm.models.model_entrypoint(tower).__module__.endswith(_OF_TOKENS)


def _to(teacher: BaseTeacher, device: str | torch.device) -> BaseTeacher:
    try:
        teacher.model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {str(device)!r} cannot be used: {str(error).splitlines()[0]}") from error
    return teacher
