"""Finding and building peers: a name that timm or open_clip knows, or a folder that one of them wrote."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from open_clip.transformer import QuickGELU
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_model_data_config
from timm.models import save_for_hf
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

from lfi.errors import CheckpointError, UnknownModelError, UnsupportedModelError
from lfi.hub import is_hub, local_folder
from lfi.peers.featured import FeaturePeer
from lfi.peers.generative import load_generative
from lfi.peers.peer import Classifier, Peer, StudentPeer
from lfi.students import Student, StudentConfig
from lfi.students.vit import is_plain
from lfi.teachers import ClipTeacher, load_teacher
from lfi.teachers.checkpoints import fingerprint_of
from lfi.teachers.loading import CONFIG, copy_teacher, save_named
from lfi.teachers.timmclip import TimmClipTeacher
from lfi.teachers.writerfiles import copy_writer, family_of

RANDOM = "random"
_TIMM_CONFIG = "config.json"


def load_peer(model: str, device: str = "cpu") -> Peer:
    """A peer by what a user types.

    Args:
        model: `timm:NAME` with the weights that timm knows, `timm:NAME:FILE`, `timm:NAME:random` (a control);
            `open_clip:NAME:TAG`, or `TAG:FILE` or a file for TAG; a folder that open_clip reads, one that timm wrote,
            or a BLIP or LLaVA that transformers wrote; such a repository of the hub, `hf-hub:ORG/NAME`.

    Raises:
        UnknownModelError: no such model; names the nearest.
        UnsupportedModelError: there is nothing of it that could be shown.
        CheckpointError: weights that are missing or do not fit.
    """
    kind, _, rest = model.partition(":")
    if kind == "timm" and rest:
        name, _, weights = rest.partition(":")
        return _timm(timm_model(name, weights), name, device)
    if kind == "open_clip" and rest:
        name, _, tag = rest.partition(":")
        if not tag:
            raise CheckpointError(f"{model} does not name its weights; {model}:TAG or {model}:FILE was expected")
        return _clip(load_teacher(name, tag, device), lambda folder: save_named(name, tag, folder))
    folder = local_folder(model)
    if (folder / CONFIG).is_file():
        return _clip(load_teacher(folder, device=device), lambda into: copy_teacher(folder, into))
    if family := family_of(folder):
        name = model.rpartition("/")[2] if is_hub(model) else folder.name
        return load_generative(folder, family, name, device, lambda into: copy_writer(folder, into))
    if (folder / _TIMM_CONFIG).is_file():
        name = model.rpartition("/")[2] if is_hub(model) else folder.name
        return _timm(_created(f"local-dir:{folder}", pretrained=True), name, device)
    raise UnknownModelError(
        f"{model!r} is not a peer; timm:NAME, open_clip:NAME:TAG or the folder of such a model was expected"
    )


def timm_model(name: str, weights: str = "", **options: Any) -> Any:
    """A timm model.

    Args:
        weights: a file; `random`; the weights that timm knows where empty.
        options: as for `timm.create_model`.

    Raises:
        UnknownModelError: timm knows no such model; names the nearest.
        CheckpointError: the weights are not available.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        hint = f"nearest: {', '.join(near)}" if near else "`timm.list_models()` names them all"
        raise UnknownModelError(f"timm has no model {name!r}; {hint}")
    file = weights if weights not in ("", RANDOM) else ""
    if file and not Path(file).is_file():
        raise CheckpointError(f"cannot get the weights of timm:{name}: there is no file {file}")
    return _created(name, f"; timm:{name}:FILE reads a file", pretrained=not weights, checkpoint_path=file, **options)


def _created(name: str, hint: str = "", **options: Any) -> Any:
    """What `timm.create_model` makes; every failure is a `CheckpointError`."""
    try:
        return timm.create_model(name, **options)
    except Exception as error:  # network, file and shape errors of three libraries
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"cannot get the weights of timm:{name}: {reason}{hint}") from error


def _timm(model: Any, name: str, device: str) -> Peer:
    classes = _classes(model)
    data = resolve_model_data_config(model)
    mean, std = (torch.tensor(data[key])[:, None, None] for key in ("mean", "std"))
    knows = f"A word is scored by the logit of its class ({len(classes):,} names)." if classes else "It knows no words."
    kind = "ViT" if is_plain(model) else type(model).__name__
    about = {
        "title": name,
        "kind": f"{kind} of timm",
        "summary": f"A vision transformer of timm, explained afterwards. {knows}",
        "parameters": sum(each.numel() for each in model.parameters()),
    }

    def write(folder: Path) -> None:
        save_for_hf(model, str(folder), safe_serialization=True)

    fingerprint = fingerprint_of(model)
    if not _reads_class_token(model):
        size = tuple(getattr(getattr(model, "patch_embed", None), "img_size", None) or data["input_size"][1:])
        module = model.to(device).eval()
        peer = FeaturePeer(module, size, mean, std, about, fingerprint, write, classes=classes or None, trunk=module)
        about["summary"] = f"A {kind} of timm: {peer.said}. {knows}"
        return peer
    width = model.num_classes if classes else 0
    config = StudentConfig(backbone=name, classes=1, queries=0, text_dim=width, embed=bool(width))
    student = Classifier(config, model).to(device).eval()
    if student.embed is not None:
        student.embed.load_state_dict(model.head.state_dict())
    return StudentPeer(student, student.image_size, mean, std, about, fingerprint, write, classes=classes or None)


def _reads_class_token(model: Any) -> bool:
    """Whether a model is a plain vision transformer whose head reads its class token alone, as explanations do."""
    return (
        is_plain(model)
        and model.global_pool == "token"
        and model.has_class_token
        and isinstance(model.fc_norm, nn.Identity)
    )


def _classes(model: Any) -> dict[str, int]:
    """Numbers of a classifier's classes by name, where the names are known.

    A class of several names has each of them; a name of several classes is the first one's.
    """
    names, said = model.pretrained_cfg.get("label_names"), model.pretrained_cfg.get("label_descriptions") or {}
    if names:
        texts = [said.get(name, name) for name in names]
    elif subset := infer_imagenet_subset(model):
        info = ImageNetInfo(subset)
        texts = [info.index_to_description(index) for index in range(model.num_classes)]
    else:
        return {}
    if len(texts) != model.num_classes:
        raise CheckpointError(f"a model of {model.num_classes} classes names {len(texts)} of them")
    found: dict[str, int] = {}
    for index, text in enumerate(texts):
        for name in str(text).split(","):
            found.setdefault(name.strip().lower().replace("_", " "), index)
    return found


def _clip(teacher: Any, write: Callable[[Path], None]) -> Peer:
    if not isinstance(teacher, ClipTeacher):
        raise UnsupportedModelError(f"{teacher.name} is a CoCa, which can teach but not be a peer; a CLIP was expected")
    about = {
        "title": teacher.name,
        "kind": "CLIP",
        "summary": "A CLIP, explained afterwards; a word is scored in its own text space.",
        "parameters": sum(each.numel() for each in teacher.model.parameters()),
    }
    size, common = (teacher.image_size,) * 2, (teacher.mean, teacher.std, about, teacher.fingerprint, write, teacher)
    if isinstance(teacher, TimmClipTeacher):
        visual: Any = teacher.model.visual
        peer = FeaturePeer(visual, size, *common, trunk=visual.trunk)
        about["summary"] = f"A CLIP whose image tower is timm's: {peer.said}. Words are scored in its text space."
        return peer
    return StudentPeer(_tower(teacher), size, *common)


def _tower(teacher: ClipTeacher) -> Student:
    """CLIP's image tower as a timm vision transformer; its projection as that into the text space."""
    visual: Any = teacher.model.visual
    block, name = visual.transformer.resblocks[0], teacher.name
    if visual.pool_type != "tok" or visual.final_ln_after_pool:
        raise UnsupportedModelError(f"{name} does not pool its class token alone, as a peer must")
    activation = block.mlp.gelu
    quick = isinstance(activation, QuickGELU)
    if not quick and not (isinstance(activation, nn.GELU) and activation.approximate == "none"):
        raise UnsupportedModelError(f"{name}: its activation {activation} cannot be read; GELU or QuickGELU is needed")
    width, dim = visual.proj.shape
    backbone = VisionTransformer(
        img_size=visual.image_size,
        patch_size=visual.patch_size,
        num_classes=0,
        embed_dim=width,
        depth=len(visual.transformer.resblocks),
        num_heads=block.attn.num_heads,
        mlp_ratio=block.mlp.c_fc.out_features / width,
        pre_norm=isinstance(visual.ln_pre, nn.LayerNorm),
        norm_layer=partial(nn.LayerNorm, eps=visual.ln_post.eps),
        act_layer="quick_gelu" if quick else "gelu",
    )
    weights = {f"visual.{key}": value for key, value in visual.state_dict().items()}
    converted = checkpoint_filter_fn(weights, backbone)
    projection, _ = converted.pop("head.weight"), converted.pop("head.bias")
    try:
        backbone.load_state_dict(converted)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UnsupportedModelError(f"{name}: its image tower is not a plain ViT: {reason}") from error
    config = StudentConfig(backbone=name, classes=1, queries=0, text_dim=dim, embed=True)
    student = Student(config, backbone).to(teacher.device).eval()
    assert student.embed is not None
    with torch.no_grad():
        student.embed.weight.copy_(projection)
        student.embed.bias.zero_()
    return student
