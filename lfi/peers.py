"""Peers: models of other people beside a trio, explained by the same means on the same scale.

A peer is a vision transformer of timm or the image tower of an open_clip CLIP. Either is read as a student without
queries, so `lfi.students.explanations` explains it as it does a baseline. What differs is where a word is scored: in
CLIP's own text space, or by a classifier's logit of the class of that name. A timm model that names no classes shows
what does not depend on a word.
"""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from open_clip.transformer import QuickGELU
from PIL import Image
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_model_data_config
from timm.models import save_for_hf
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnknownWordError, UnsupportedModelError
from lfi.images import MEAN, STD, pixels
from lfi.maps import InteractionMaps
from lfi.students import Student, StudentConfig
from lfi.students.explanations import EXPLANATIONS, WORDLESS, explain
from lfi.students.vit import plain
from lfi.teachers import ClipTeacher, load_teacher
from lfi.teachers.checkpoints import fingerprint_of
from lfi.teachers.loading import CONFIG, WEIGHTS, save_named

RANDOM = "random"
NAMES = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
"""What a peer can be called."""
PREFERRED = ("dense-similarity", "self-attention")
"""What a peer shows when it is asked for by its name alone: the first of these that it can give."""
_TIMM_CONFIG = "config.json"


class Classifier(Student):
    """A student whose words are classes: a word is scored by its logit, which is not normalised."""

    def project(self, features: Tensor) -> Tensor:
        """Logits `[..., class]`."""
        assert self.embed is not None
        return self.embed(features)


@dataclass(frozen=True, eq=False)
class Peer:
    """Another model, as the explanations of students read it. `load_peer` makes one.

    Attributes:
        student: the image tower.
        mean, std: of the RGB channels (0 to 1), as in its training, `[3, 1, 1]`.
        about: what its card says where nothing else is known: `title`, `kind`, `summary`, `parameters`.
        fingerprint: of its weights.
        write: puts it into a folder that `load_peer` reads.
        clip: the whole CLIP, if it is one.
        classes: numbers of a classifier's classes by their names, lower case.
    """

    student: Student
    mean: Tensor
    std: Tensor
    about: Mapping[str, Any]
    fingerprint: str
    write: Callable[[Path], None]
    clip: ClipTeacher | None = None
    classes: Mapping[str, int] | None = None

    @property
    def explanations(self) -> tuple[str, ...]:
        """What it can give of `EXPLANATIONS`."""
        if self.clip is not None:
            return EXPLANATIONS
        return tuple(each for each in EXPLANATIONS if each in WORDLESS or (self.classes and each != "dense-similarity"))

    @property
    def explanation(self) -> str:
        """What it shows where none is named."""
        return next(each for each in PREFERRED if each in self.explanations)

    def layers(self, explanation: str) -> tuple[str, ...]:
        """Names of the layers of an explanation."""
        if explanation == "dense-similarity":
            assert self.clip is not None
            return self.clip.layers
        return tuple(f"block {block + 1}" for block in range(len(self.student.backbone.blocks)))

    def preprocess(self, images: Sequence[Image.Image]) -> Tensor:
        """Images as the model expects them, float32 `[batch, 3, height, width]`; the whole image stays visible."""
        return self.read(pixels(images, self.student.image_size))

    def read(self, images: Tensor) -> Tensor:
        """The same of images that are normalised as `lfi.images` does, and of the right size."""
        return (images * STD + MEAN - self.mean.to(images)) / self.std.to(images)

    def check(self, words: Sequence[str]) -> None:
        """Refuse words that it does not know.

        Raises:
            UnknownWordError: names the nearest that it knows.
            WordsError: as a teacher's `check_prompts`.
        """
        if self.clip is not None:
            self.clip.check_prompts(words)
        elif self.classes is not None:
            known = list(self.classes)
            unknown = [word for word in words if word.lower() not in self.classes]
            if unknown:
                raise UnknownWordError({word: difflib.get_close_matches(word, known, 3, cutoff=0) for word in unknown})

    def embed(self, words: Sequence[str]) -> Tensor:
        """Words where the model scores them: unit-norm embeddings, or classes one-hot, `[word, dim]`."""
        device = next(self.student.parameters()).device
        if self.clip is not None:
            return self.clip.embed_texts(words)
        if self.classes is None:
            return torch.zeros(len(words), 0, device=device)
        assert self.student.embed is not None
        rows = torch.tensor([self.classes[word.lower()] for word in words], dtype=torch.int64, device=device)
        return nn.functional.one_hot(rows, self.student.embed.out_features).float()

    def explain(
        self, explanation: str, images: Tensor, words: Sequence[str], *, heads: bool = False, model: str = "peer"
    ) -> InteractionMaps:
        """Maps for words, as `lfi.students.explanations.explain` gives them.

        Args:
            explanation: one of `explanations`.
            images: `[batch, 3, height, width]`, as from `preprocess`.
            model: `name@fingerprint` of the maps.

        Raises:
            UnsupportedModelError: for an explanation that it cannot give.
            UnknownWordError, WordsError: as `check`, where the explanation depends on the words.
        """
        if explanation not in self.explanations:
            possible = ", ".join(self.explanations)
            raise UnsupportedModelError(f"this peer cannot be explained by {explanation!r}; it can by {possible}")
        if explanation not in WORDLESS:
            self.check(words)
        if explanation == "dense-similarity":
            assert self.clip is not None
            return replace(self.clip.dense(images, words), model=model)
        embeddings = self.embed(words if explanation not in WORDLESS else ())
        return explain(self.student, explanation, images, words, embeddings, heads=heads, model=model)


def load_peer(model: str, device: str = "cpu") -> Peer:
    """A peer by what a user types.

    Args:
        model: `timm:NAME` with the weights that timm knows, `timm:NAME:FILE`, `timm:NAME:random` (a control);
            `open_clip:NAME:TAG` or a file for TAG; a folder that open_clip reads, or one that timm wrote.

    Raises:
        UnknownModelError: no such model; names the nearest.
        UnsupportedModelError: its attention cannot be read.
        CheckpointError: weights that are missing or do not fit.
    """
    kind, _, rest = model.partition(":")
    if kind == "timm" and rest:
        name, _, weights = rest.partition(":")
        return _timm(timm_model(name, weights), name, device)
    if kind == "open_clip" and rest:
        name, _, tag = rest.partition(":")
        return _clip(load_teacher(name, tag or None, device), lambda folder: save_named(name, tag, folder))
    folder = Path(model)
    if (folder / CONFIG).is_file():
        return _clip(load_teacher(folder, device=device), lambda into: _copy(folder, into, (CONFIG, WEIGHTS)))
    if (folder / _TIMM_CONFIG).is_file():
        return _timm(_local(folder), folder.name, device)
    raise UnknownModelError(
        f"{model!r} is no peer; timm:NAME, open_clip:NAME:TAG or the folder of such a model was expected"
    )


def check_name(name: str, taken: Sequence[str]) -> None:
    """Refuse what a peer cannot be called.

    Raises:
        ConfigError: it is taken, or holds other characters than lower-case letters, digits and dashes.
    """
    if name in taken or not NAMES.fullmatch(name):
        raise ConfigError(
            f"a peer cannot be called {name!r}; lower-case letters, digits and dashes were expected, and a name "
            f"other than {', '.join(taken)}"
        )


def timm_model(name: str, weights: str = "", **options: Any) -> Any:
    """A timm model.

    Args:
        weights: a file; `random`; the weights that timm knows where empty.
        options: as for `timm.create_model`.

    Raises:
        UnknownModelError: timm knows no such model; names the nearest.
        CheckpointError: the weights cannot be had.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise UnknownModelError(f"timm knows no model {name!r}; nearest: {', '.join(near) or 'see timm.list_models()'}")
    try:
        file = weights if weights not in ("", RANDOM) else ""
        return timm.create_model(name, pretrained=not weights, checkpoint_path=file, **options)
    except Exception as error:  # of the network, of files and of shapes, raised by three libraries
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"cannot get the weights of timm:{name}: {reason}; timm:{name}:FILE reads a file"
        ) from error


def _local(folder: Path) -> Any:
    try:
        return timm.create_model(f"local-dir:{folder}", pretrained=True)
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"timm cannot read the model in {folder}: {reason}") from error


def _timm(model: Any, name: str, device: str) -> Peer:
    backbone = plain(model, name)
    if backbone.global_pool != "token" or not backbone.has_class_token:
        raise UnsupportedModelError(f"{name} does not read its class token alone; that of a peer must be read")
    classes = _classes(model)
    width = model.num_classes if classes else 0
    config = StudentConfig(backbone=name, classes=1, queries=0, text_dim=width, embed=bool(width))
    student = Classifier(config, backbone)
    if student.embed is not None:
        student.embed.load_state_dict(model.head.state_dict())
    data = resolve_model_data_config(model)
    mean, std = (torch.tensor(data[key])[:, None, None] for key in ("mean", "std"))
    knows = f"A word is scored by the logit of its class ({len(classes):,} names)." if classes else "It knows no words."
    about = {
        "title": name,
        "kind": "ViT of timm",
        "summary": f"A vision transformer of timm, explained afterwards. {knows}",
        "parameters": sum(each.numel() for each in model.parameters()),
    }

    def write(folder: Path) -> None:
        save_for_hf(model, str(folder), safe_serialization=True)

    return Peer(student.to(device).eval(), mean, std, about, fingerprint_of(model), write, classes=classes or None)


def _classes(model: Any) -> dict[str, int]:
    """Numbers of a classifier's classes by name, where the names are known; of several names of a class, each."""
    names, said = model.pretrained_cfg.get("label_names"), model.pretrained_cfg.get("label_descriptions") or {}
    if names:
        texts = [said.get(name, name) for name in names]
    elif subset := infer_imagenet_subset(model):
        info = ImageNetInfo(subset)
        texts = [info.index_to_description(index) for index in range(model.num_classes)]
    else:
        return {}
    found: dict[str, int] = {}
    for index, text in enumerate(texts):
        for name in text.split(","):
            found.setdefault(name.strip().lower().replace("_", " "), index)
    return found


def _clip(teacher: Any, write: Callable[[Path], None]) -> Peer:
    if not isinstance(teacher, ClipTeacher):
        raise UnsupportedModelError(f"{teacher.name} is a CoCa: a teacher, but no peer; a CLIP was expected")
    student = _tower(teacher)
    about = {
        "title": teacher.name,
        "kind": "CLIP",
        "summary": "A CLIP, explained afterwards; a word is scored in its own text space.",
        "parameters": sum(each.numel() for each in teacher.model.parameters()),
    }
    return Peer(student, teacher.mean, teacher.std, about, teacher.fingerprint, write, clip=teacher)


def _tower(teacher: ClipTeacher) -> Student:
    """CLIP's image tower as a timm vision transformer; its projection as that into the text space."""
    visual: Any = teacher.model.visual
    block, name = visual.transformer.resblocks[0], teacher.name
    if visual.pool_type != "tok" or visual.final_ln_after_pool:
        raise UnsupportedModelError(f"{name} does not read its class token alone; that of a peer must be read")
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
        raise UnsupportedModelError(f"{name}: its image tower is no plain one: {reason}") from error
    config = StudentConfig(backbone=name, classes=1, queries=0, text_dim=dim, embed=True)
    student = Student(config, backbone).to(teacher.device).eval()
    assert student.embed is not None
    with torch.no_grad():
        student.embed.weight.copy_(projection)
        student.embed.bias.zero_()
    return student


def _copy(source: Path, folder: Path, files: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(source / file, folder / file)
