"""An LFI student as ONNX: maps, names of its queries and the image's embedding from an image.

The folder that `export` writes holds all that `lfi.exporting.runner` needs: no torch and no teacher. Words are
addressed by their embeddings in the teacher's text space, so those of a vocabulary are written beside the graph.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lfi.errors import ConfigError, UnsupportedModelError
from lfi.exporting.runner import ABOUT, GRAPH, WORDS
from lfi.images import MEAN, STD
from lfi.objectives.patch_words import TEMPERATURE
from lfi.students import Student
from lfi.teachers.base import BaseTeacher
from lfi.teachers.checkpoints import fingerprint_of

EXTRA = "pip install 'learning-from-interactions[onnx]'"
_OPSET = 18


class Exported(nn.Module):
    """What the graph computes, of images `[batch, 3, height, width]`.

    `maps` `[batch, layer, query, row, column]`, each summing to 1; `names` of the queries in the teacher's text space,
    unit norm, `[batch, query, text_dim]`; `logits` `[batch, class]`; of a student that projects the whole image there,
    `embedding` `[batch, text_dim]`, unit norm; and of one that names patches, their names `patches`
    `[batch, patch, text_dim]`, unit norm.

    Raises:
        UnsupportedModelError: the student has no named queries.
    """

    def __init__(self, student: Student):
        super().__init__()
        if student.queries is None or student.name is None:
            raise UnsupportedModelError("only a student with named Interaction Queries can be exported")
        self.student = student

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is computed, in order."""
        more = {"embedding": self.student.embed is not None, "patches": self.student.config.patch_words}
        return ("maps", "names", "logits", *(name for name, has in more.items() if has))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        out = self.student(images)
        maps = out.attention.unflatten(-1, self.student.grid)
        found = [maps, F.normalize(out.names.float(), dim=-1), out.logits]
        if out.embedding is not None:
            found.append(F.normalize(out.embedding, dim=-1))
        if self.student.config.patch_words:
            found.append(self.student.named(out.patches))
        return tuple(found)


def export(
    student: Student,
    folder: Path,
    texts: BaseTeacher | None = None,
    vocabulary: Sequence[str] = (),
    name: str = "",
    phrases: Sequence[str] = (),
) -> Path:
    """Write `student.onnx`, `student.json` and, with a teacher, `words.npz`; returns the graph's path.

    Args:
        texts: the teacher in whose text space the queries are named; embeds the vocabulary.
        vocabulary: words that can be asked for afterwards.
        name: of the model, for its maps.
        phrases: among which queries and patches speak to a word, as for `lfi.answerers.QueriesAnswerer`.

    Raises:
        ConfigError: onnx is not installed.
        UnsupportedModelError: as `Exported`.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 -- torch writes the graph with it
    except ImportError as error:
        raise ConfigError(f"exporting needs onnx and onnxscript, which are an extra: {EXTRA}") from error
    module = Exported(student.eval().cpu()).eval()
    folder.mkdir(parents=True, exist_ok=True)
    images = torch.zeros(2, 3, *student.image_size)
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            (images,),
            input_names=["images"],
            output_names=list(module.outputs),
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    about = {
        "name": name or student.config.backbone,
        "fingerprint": fingerprint_of(student),
        "image_size": list(student.image_size),
        "mean": MEAN,
        "std": STD,
        "layers": list(student.layers),
        "grid": list(student.grid),
        "outputs": list(module.outputs),
        "temperature": TEMPERATURE,
    }
    program.save(folder / GRAPH)
    model = onnx.load(folder / GRAPH)
    onnx.helper.set_model_props(model, {"lfi": json.dumps(about)})
    onnx.save(model, folder / GRAPH)
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    if texts is not None and vocabulary:
        embeddings, named = (
            texts.embed_texts(list(each)).cpu().numpy().astype(np.float32) for each in (vocabulary, phrases)
        )
        np.savez(folder / WORDS, words=np.array(list(vocabulary)), embeddings=embeddings, phrases=named)
    return folder / GRAPH
