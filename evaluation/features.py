"""Features of images by any model: a student of ours, any timm model, any open_clip model."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor
from tqdm import tqdm

from evaluation.transfer import similarity
from lfi.errors import CheckpointError, ConfigError, UnknownModelError
from lfi.images import normalise
from lfi.students import Student
from lfi.teachers import load_teacher
from lfi.training.views import resized

RANDOM = "random"
_BATCH = 128


@dataclass(frozen=True, eq=False)
class Features:
    """A frozen model.

    Attributes:
        name: as given.
        of: uint8 `[n, size, size, 3]` to float32 `[n, dim]`.
        likeness: the same images and class names in a teacher's text space `[class, text_dim]`, unit norm, to cosines
            `[n, class]`; None where the model has no such space.
    """

    name: str
    of: Callable[[Tensor], Tensor]
    likeness: Callable[[Tensor, Tensor], Tensor] | None = None

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


def load_features(model: str, device: str = "cpu") -> Features:
    """A model by what a user types.

    Args:
        model: a `student.safetensors` or its folder; a folder with `open_clip_config.json`; `timm:NAME` with the
            weights that timm knows, `timm:NAME:FILE`, `timm:NAME:random` (a control); `open_clip:NAME:TAG` or a file
            for TAG.

    Raises:
        UnknownModelError: no such model; names the nearest.
        CheckpointError: weights that are missing or do not fit.
    """
    kind, _, rest = model.partition(":")
    if kind == "timm" and rest:
        return _timm(model, *rest.partition(":")[::2], device)
    if kind == "open_clip" and rest:
        name, _, tag = rest.partition(":")
        return _teacher(model, load_teacher(name, tag or None, device))
    path = Path(model)
    if (path / "open_clip_config.json").is_file():
        return _teacher(model, load_teacher(path, device=device))
    file = path / "student.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise UnknownModelError(
            f"{model!r} is no model; a student's or open_clip's folder, timm:NAME or open_clip:NAME:TAG was expected"
        )
    return _student(model, Student.load(file).to(device).eval(), device)


def _student(name: str, student: Student, device: str) -> Features:
    def run(images: Tensor) -> Any:
        return student(resized(normalise(images.to(device)), student.image_size))

    def likeness(images: Tensor, texts: Tensor) -> Tensor:
        out = run(images)
        return similarity(out.names, out.embedding, texts)

    projects = student.embed is not None or student.name is not None
    return Features(name, lambda images: run(images).features, likeness if projects else None)


def _teacher(name: str, teacher: Any) -> Features:
    def embed(images: Tensor) -> Tensor:
        return teacher.embed_images(teacher.from_pixels(images.permute(0, 3, 1, 2).float() / 255))

    return Features(name, embed, lambda images, texts: embed(images) @ texts.T)


def _timm(model: str, name: str, weights: str, device: str) -> Features:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise UnknownModelError(f"timm knows no model {name!r}; nearest: {', '.join(near) or 'see timm.list_models()'}")
    try:
        file = weights if weights not in ("", RANDOM) else ""
        made: Any = timm.create_model(name, pretrained=not weights, num_classes=0, checkpoint_path=file)
    except Exception as error:  # of the network, of files and of shapes, raised by three libraries
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"cannot get the weights of {model}: {reason}; timm:{name}:FILE reads a file") from error
    made = made.to(device).eval()
    data = resolve_model_data_config(made)
    mean, std = (torch.tensor(data[key], device=device)[:, None, None] for key in ("mean", "std"))

    def run(images: Tensor) -> Tensor:
        pixels = images.to(device).permute(0, 3, 1, 2).float() / 255
        return made((resized(pixels, data["input_size"][1:]) - mean) / std)

    return Features(model, run)
