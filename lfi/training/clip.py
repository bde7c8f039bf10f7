"""Training a CLIP: images and captions by contrast, and class names where there are classes.

Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", arXiv 2103.00020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from open_clip.model import CustomTextCLIP
from torch import Tensor, nn

from lfi.teachers.words import END
from lfi.training.contrast import class_names, contrast
from lfi.training.sentences import padded
from lfi.training.teacher_config import TeacherConfig


def model_config(config: TeacherConfig, words: Sequence[str]) -> dict[str, Any]:
    """`model_cfg` of an open_clip CLIP with the two towers of that size; text is summarised at its end token."""
    parts = config.coca(words)
    text = {name: parts["text_cfg"][name] for name in ("context_length", "vocab_size", "width", "heads", "layers")}
    vision = {name: value for name, value in parts["vision_cfg"].items() if name != "output_tokens"}
    pool = {"pool_type": "eos", "eos_id": END} if words else {"pool_type": "argmax"}
    return {
        "embed_dim": parts["embed_dim"],
        "vision_cfg": vision,
        "text_cfg": {**text, **pool},
        "custom_text": True,  # the class that open_clip builds for it keeps the text tower apart, as CoCa does
    }


class ClipTask(nn.Module):
    """Owns the model and its losses: `contrast`, and `vocabulary` where it has a weight. Other weights do nothing."""

    def __init__(self, config: TeacherConfig, words: Sequence[str]):
        super().__init__()
        self.config, self.words = config, tuple(words)
        parts = model_config(config, words)
        self.model = CustomTextCLIP(*(parts[name] for name in ("embed_dim", "vision_cfg", "text_cfg")))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Named losses of images `[b, 3, s, s]`, caption ids and, with a weight of `vocabulary`, class names."""
        model = self.model
        image = F.normalize(model.encode_image(batch["images"]).float(), dim=-1)
        text = self.embed(batch["captions"])
        scale = model.logit_scale.exp().clamp(max=100)
        losses = {"contrast": contrast(image, text, scale)}
        if self.config.vocabulary:
            logits = image @ self.embed(batch["bank"]).T * scale
            losses["vocabulary"] = class_names(logits, batch["named"], batch["open"])
        return {"loss": sum(getattr(self.config, name) * value for name, value in losses.items()), **losses}

    def embed(self, ids: Tensor) -> Tensor:
        """Unit-norm `[text, dim]`, of ids that may be shorter than the context."""
        return F.normalize(self.model.encode_text(padded(ids, self.config.context)).float(), dim=-1)
