"""What is measured of a student that `lfi benchmark transfer` trained, and what the scores are called."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evaluation.transfer_pointing import pointing_scores
from lfi.accuracy import among_best
from lfi.data.imageset import ImageSet
from lfi.data.prompts import fill
from lfi.images import normalise
from lfi.students import Student
from lfi.teachers import load_teacher
from lfi.training.run import Prepared, validate
from lfi.training.views import resized

DOMAINS_OF = {
    "PACS": ("art_painting", "cartoon", "photo", "sketch"),
    "VLCS": ("Caltech101", "LabelMe", "SUN09", "VOC2007"),
}
ZERO_SHOT = {name: f"{name} zero-shot" for name in DOMAINS_OF}
"""Names of scores and of parts: all of a data set's domains, of which a student of TinyImageNet had no labels."""
EMBEDDED = {name: f"{score}, by the image's embedding" for name, score in ZERO_SHOT.items()}
"""The same of students with queries and an embedding by the latter alone, as students without queries are asked."""


def main_score(ready: Prepared) -> str:
    """What a part is measured by."""
    return "mAP" if ready.images.multilabel else "top-1"


def scores_of(student: Student, ready: Prepared, tests: dict[str, ImageSet]) -> dict[str, float]:
    """All that is measured of a trained student of a part, in percent."""
    main = main_score(ready)
    scores = {main: validate(student, tests["test"])[main]}
    for data, name in ZERO_SHOT.items():
        if name in tests and (student.embed is not None or student.name is not None):
            scores[name] = zero_shot(student, ready, tests[name])
            if student.embed is not None:
                scores[EMBEDDED[data]] = zero_shot(student, ready, tests[name], by_names=False)
    if tests["test"].boxes is not None:
        scores |= pointing_scores(student, load_teacher(ready.config.teacher.model), tests["test"])  # both on the CPU
    return scores


@torch.inference_mode()
def zero_shot(student: Student, ready: Prepared, images: ImageSet, batch: int = 250, by_names: bool = True) -> float:
    """Top-1 in percent on classes that the student had no labels of, by their text embeddings alone.

    Args:
        by_names: by the names of its queries, if it has any; else by the image's embedding.
    """
    texts = ready.teacher.embed_texts([fill(ready.config.teacher.prompt, name) for name in images.classes]).cpu()
    pixels, right = torch.from_numpy(np.ascontiguousarray(images.images)), 0
    for start in range(0, len(pixels), batch):
        out = student(resized(normalise(pixels[start : start + batch]), student.image_size))
        scores = similarity(out.names if by_names else None, out.embedding, texts)
        right += int(among_best(scores, torch.from_numpy(images.labels[start : start + batch]), 1).sum())
    return 100 * right / len(images)


def similarity(names: Tensor | None, embedding: Tensor | None, texts: Tensor) -> Tensor:
    """Cosine of every class to the nearest query's name, or to the image's embedding, `[batch, class]`."""
    if names is not None:
        return (torch.nn.functional.normalize(names.float(), dim=-1) @ texts.T).amax(1)
    assert embedding is not None
    return torch.nn.functional.normalize(embedding.float(), dim=-1) @ texts.T
