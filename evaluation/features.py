"""Features of images by any model: a student of ours, any timm model, any open_clip model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from tqdm import tqdm

from evaluation.convergence import read_curve
from evaluation.results import read
from evaluation.transfer_scores import similarity
from lfi.errors import ConfigError, UnknownModelError
from lfi.images import MEAN, STD
from lfi.methods import ORDER
from lfi.peers import timm_model
from lfi.students import Student
from lfi.teachers import load_teacher
from lfi.teachers.base import BaseTeacher
from lfi.training.cards import taught_by
from lfi.training.views import resized

_BATCH = 128


@dataclass(frozen=True, eq=False)
class Backbone:
    """A module and how it computes features: `of(module, pixels)` of float pixels 0 to 1, `[n, 3, height, width]`."""

    module: nn.Module
    of: Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Features:
    """A model, frozen unless it is fine-tuned.

    Attributes:
        name: as given, or the name that stands before it (`NAME=MODEL`).
        of: uint8 `[n, size, size, 3]` to float32 `[n, dim]`.
        likeness: the same images and class names in the model's text space `[class, text_dim]`, unit norm, to cosines
            `[n, class]`; None where the model has no such space.
        backbone: what computes the features, for fine-tuning, or None.
        speaks: the model itself, where it has a text tower; others learnt the text space of a teacher.
        text_dim: width of that text space; 0 where it is not known.
        taught_by: label of that teacher; "" where it is not known.
    """

    name: str
    of: Callable[[Tensor], Tensor]
    likeness: Callable[[Tensor, Tensor], Tensor] | None = None
    backbone: Backbone | None = None
    speaks: BaseTeacher | None = None
    text_dim: int = 0
    taught_by: str = ""

    @torch.inference_mode()
    def all(self, images: np.ndarray, texts: Tensor | None = None) -> Tensor:
        """Features of many images, or their likeness to these texts, float32 on the CPU.

        Raises:
            ConfigError: `texts` for a model that has no text space.
        """
        run, likeness = self.of, self.likeness
        if texts is not None:
            if likeness is None:
                raise ConfigError(f"{self.name} does not project into a text space, so it has no zero-shot accuracy")
            run = lambda batch: likeness(batch, texts)  # noqa: E731
        starts = tqdm(range(0, len(images), _BATCH), desc=self.name, unit="batch", dynamic_ncols=True, leave=False)
        parts = [run(torch.from_numpy(np.array(images[start : start + _BATCH]))) for start in starts]
        return torch.cat([part.float().cpu() for part in parts])


def texts_for(model: Features, texts: Sequence[str], teacher: BaseTeacher) -> Tensor:
    """Class names in the text space of a model, unit norm `[text, dim]`: by its own text tower, or else the teacher's.

    Raises:
        ConfigError: a model without a text space, or with that of another teacher.
    """
    if model.likeness is None:
        raise ConfigError(f"{model.name} does not project into a text space, so it has no zero-shot accuracy")
    if model.speaks is not None:
        return model.speaks.embed_texts(texts)
    if model.taught_by and model.taught_by.rpartition("@")[2] != teacher.fingerprint:
        raise ConfigError(
            f"{model.name} knows the words of {model.taught_by}, not those of {teacher.label}; --teacher must be the "
            "one that it learnt from"
        )
    if model.text_dim and model.text_dim != teacher.embed_dim:
        raise ConfigError(
            f"{model.name} projects into {model.text_dim} dimensions, the texts of {teacher.label} have "
            f"{teacher.embed_dim}; --teacher must be the one that it learnt from"
        )
    return teacher.embed_texts(texts)


def load_models(models: Sequence[str], device: str = "cpu") -> list[Features]:
    """Models as a user lists them: each as for `load_features`, `NAME=MODEL`, or a record of `lfi benchmark transfer`.

    Models of one name are one method trained with several seeds; a record's name is its method. Records come first, in
    the order of the benchmark's table.

    Raises:
        UnknownModelError, CheckpointError: as `load_features`.
        DataError: a file that is not a record.
    """
    recorded, found = [], []
    for given in models:
        name, equals, model = given.partition("=")
        if given.endswith(".json"):
            curve, weights = read_curve(Path(given)), Path(given).with_suffix(".safetensors")
            if not weights.is_file():
                raise UnknownModelError(f"{given} has no student next to it; {weights.name} was expected")
            student = load_features(str(weights), device)
            student = replace(student, name=curve.method, taught_by=str(read(Path(given)).get("teacher", "")))
            recorded.append((curve.method, curve.seed, student))
        elif equals and not Path(given).exists():
            found.append(replace(load_features(model, device), name=name))
        else:
            found.append(load_features(given, device))
    recorded.sort(key=lambda each: (ORDER.index(each[0]) if each[0] in ORDER else len(ORDER), *each[:2]))
    return [*(each[2] for each in recorded), *found]


def by_name(models: Sequence[Features]) -> dict[str, list[Features]]:
    """Models by their names, in order."""
    found: dict[str, list[Features]] = {}
    for model in models:
        found.setdefault(model.name, []).append(model)
    return found


def seeds_of(models: Sequence[Features], first: int) -> list[int]:
    """Numbers from `first` on, as many as the name with the most models has."""
    return list(range(first, first + max(map(len, by_name(models).values()))))


def load_features(model: str, device: str = "cpu") -> Features:
    """A model by what a user types.

    Args:
        model: a `student.safetensors` or its folder; a folder with `open_clip_config.json`; `timm:NAME` with the
            weights that timm knows, `timm:NAME:FILE`, `timm:NAME:random` (a control); `open_clip:NAME:TAG`, or
            `TAG:FILE` or a file for TAG.

    Raises:
        UnknownModelError: no such model; names the nearest.
        CheckpointError: weights that are missing or do not fit.
    """
    kind, _, rest = model.partition(":")
    if kind == "timm" and rest:
        return _timm(model, *rest.partition(":")[::2], device)
    if kind == "open_clip" and rest:
        name, _, tag = rest.partition(":")
        return _teacher(model, load_teacher(name, tag or None, device), device)
    path = Path(model)
    if (path / "open_clip_config.json").is_file():
        return _teacher(model, load_teacher(path, device=device), device)
    file = path / "student.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UnknownModelError(
            f"{model!r} is not a model; a student's or open_clip's folder, timm:NAME or open_clip:NAME:TAG was expected"
        )
    return replace(
        _student(model, Student.load(file).to(device).eval(), device), taught_by=taught_by(file.resolve().parent)
    )


def _student(name: str, student: Student, device: str) -> Features:
    def features(module: Any, pixels: Tensor) -> Tensor:
        return module(resized((pixels - MEAN) / STD, student.image_size)).features

    def likeness(images: Tensor, texts: Tensor) -> Tensor:
        out = student(resized((_pixels(images, device) - MEAN) / STD, student.image_size))
        return similarity(out.names, out.embedding, texts.to(device))

    projects = student.embed is not None or student.name is not None
    made = _features(name, Backbone(student, features), device, likeness if projects else None)
    return replace(made, text_dim=student.config.text_dim)


def _teacher(name: str, teacher: BaseTeacher, device: str) -> Features:
    def features(module: Any, pixels: Tensor) -> Tensor:
        return module.encode_image(teacher.from_pixels(pixels), normalize=True)

    def likeness(images: Tensor, texts: Tensor) -> Tensor:
        return features(teacher.model, _pixels(images, device)) @ texts.T

    return replace(_features(name, Backbone(teacher.model, features), device, likeness), speaks=teacher)


def _timm(model: str, name: str, weights: str, device: str) -> Features:
    made = timm_model(name, weights, num_classes=0)
    data = resolve_model_data_config(made)
    mean, std = (torch.tensor(data[key], device=device)[:, None, None] for key in ("mean", "std"))

    def features(module: nn.Module, pixels: Tensor) -> Tensor:
        return module((resized(pixels, data["input_size"][1:]) - mean) / std)

    return _features(model, Backbone(made.to(device).eval(), features), device)


def _features(name: str, backbone: Backbone, device: str, likeness: Any = None) -> Features:
    return Features(name, lambda images: backbone.of(backbone.module, _pixels(images, device)), likeness, backbone)


def _pixels(images: Tensor, device: str) -> Tensor:
    """Uint8 `[n, height, width, 3]` to float 0 to 1, `[n, 3, height, width]`."""
    return images.to(device).permute(0, 3, 1, 2).float() / 255
