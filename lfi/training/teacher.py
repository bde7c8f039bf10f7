"""The task of a small CoCa whose words should find their objects, on generated scenes or on captioned images.

Captions in reading order ground whole sentences, but not single words: there a word's place in the sentence already
tells where its object is. So every image also comes with *presence statements*, phrases that are true of one of its
objects or false of all of them, mostly by one attribute ("red circle" next to a red star and a blue circle). They can
only be judged by looking where the phrase points. The losses, no mask or box among them:

- caption: cross-entropy of the next word (CoCa, Yu et al. 2022, arXiv 2205.01917) and image-caption contrast;
- answer: cross-entropy of `yes` or `no` after the phrase's last word;
- dense contrast: the log-sum-exp over patches of phrase-patch similarity tells presence;
- vocabulary (images with classes): cross-entropy of the class among all class names, from the image's latent and from
  the log-sum-exp of its patches: what images of one object each can teach of it;
- interaction contrast: so does the log-sum-exp of the phrase's *cross-attention scores*, in every decoder layer and
  head: the attention itself is the evidence (multiple-instance learning; Ilse et al. 2018, arXiv 1802.04712).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from open_clip.coca_model import CoCa
from torch import Tensor, nn

from lfi.objectives.counting import global_count
from lfi.teachers.explicit import decode, encode_image, encode_text
from lfi.teachers.words import PAD
from lfi.training.contrast import class_names, contrast
from lfi.training.teacher_config import TeacherConfig


def build_coca(config: TeacherConfig, words: Sequence[str]) -> CoCa:
    """A freshly initialised model; open_clip leaves the decoder's output projection to us."""
    parts = config.coca(words)
    model = CoCa(*(parts[name] for name in ("embed_dim", "multimodal_cfg", "text_cfg", "vision_cfg")))
    nn.init.normal_(model.text_decoder.text_projection, std=config.width**-0.5)
    return model


class TeacherTask(nn.Module):
    """Owns a CoCa and its losses; those of weight 0 are not computed.

    Args:
        words: of the tokeniser, without its three special ids; none for open_clip's byte pairs.
    """

    def __init__(self, config: TeacherConfig, words: Sequence[str]):
        super().__init__()
        self.config, self.words = config, tuple(words)
        self.model = build_coca(config, words)
        # presence = scale * (log-sum-exp - log patches) + bias, one pair for the dense and one for each decoder layer
        self.presence_scale = nn.Parameter(torch.zeros(1 + config.decoder_layers))
        self.presence_bias = nn.Parameter(torch.zeros(1 + config.decoder_layers))

    def presence(self, scores: Tensor, index: int) -> Tensor:
        """Presence logits `[...]` from scores over patches `[..., patch]`."""
        pooled = torch.logsumexp(scores.float(), -1) - math.log(scores.shape[-1])
        return pooled * self.presence_scale[index].exp() + self.presence_bias[index]

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Named losses of a batch: images, caption ids, `judged` statements; with `vocabulary` class names as well."""
        model, weights = self.model, self.config
        latent, patches = encode_image(model, batch["images"])
        image, captions = F.normalize(latent.float(), dim=-1), batch["captions"]

        caption_latent, states = encode_text(model, captions)
        states, _ = decode(model, states[:, None, :-1], patches)
        words = (states[:, 0] @ model.text_decoder.text_projection).float().flatten(0, 1)
        next_word = captions[:, 1:].flatten()
        count = global_count((next_word != PAD).sum(dtype=torch.float32))
        text = F.normalize(caption_latent.float(), dim=-1)
        losses = {
            "caption": F.cross_entropy(words, next_word, ignore_index=PAD, reduction="sum") / count,
            "contrast": contrast(image, text, self.scale),
        }
        figures: dict[str, Tensor] = {}
        if weights.answer or weights.dense or weights.interaction:
            judged, figures = self.statements(patches, batch)
            losses |= judged
        if weights.vocabulary:
            losses["vocabulary"] = self.vocabulary(image, patches, batch)
        return {"loss": sum(getattr(weights, name) * value for name, value in losses.items()), **losses, **figures}

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by: at most 100, as in CLIP."""
        return self.model.logit_scale.exp().clamp(max=100)

    def statements(self, patches: Tensor, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses of presence statements, and the share that is answered right."""
        model, ids, truth = self.model, batch["statements"], batch["truth"]
        scenes, count, length = ids.shape
        phrases, which = ids.flatten(0, 1).unique(dim=0, return_inverse=True)  # each is read once
        phrase_latent, states = encode_text(model, phrases)
        phrase_latent, states = phrase_latent[which], states[:, : length - 2][which]  # start and phrase
        states, layers = decode(model, states.unflatten(0, (scenes, count)), patches)
        at = batch["last"][..., None, None]
        final = states.gather(2, at.expand(-1, -1, 1, states.shape[-1]))[:, :, 0]
        answers = (final @ model.text_decoder.text_projection).float()
        answer = F.cross_entropy(answers.flatten(0, 1), batch["answers"].flatten())

        interaction = answer.new_zeros(())
        for index, scores in enumerate(layers):
            row = at[:, None].expand(-1, scores.shape[1], -1, 1, scores.shape[-1])
            evidence = self.presence(scores.gather(3, row)[:, :, :, 0], 1 + index)  # [scene, head, statement]
            interaction = interaction + F.binary_cross_entropy_with_logits(evidence, truth[:, None].expand_as(evidence))
        interaction = interaction / len(layers)

        similar = F.normalize((patches @ model.visual.proj).float(), dim=-1) @ F.normalize(
            phrase_latent.float().view(scenes, count, -1), dim=-1
        ).transpose(1, 2)
        evidence = self.presence(similar.transpose(1, 2) * model.logit_scale.exp(), 0)
        dense = F.binary_cross_entropy_with_logits(evidence, truth)

        yes, no = batch["yes_no"][0], batch["yes_no"][1]
        right = ((answers[..., yes] > answers[..., no]).float() == truth).float().mean().detach()
        return {"answer": answer, "dense": dense, "interaction": interaction}, {"answers right": right}

    def vocabulary(self, image: Tensor, patches: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of the classes that are there among all: of the image's latent, and of its best patches.

        `batch["bank"]` holds the ids of all class names; for `named` and `open` see `class_names`.
        """
        model = self.model
        bank = F.normalize(encode_text(model, batch["bank"])[0].float(), dim=-1)
        similar = F.normalize((patches @ model.visual.proj).float(), dim=-1) @ bank.T * self.scale
        best = torch.logsumexp(similar, 1) - math.log(similar.shape[1])
        both = [class_names(logits, batch["named"], batch["open"]) for logits in (image @ bank.T * self.scale, best)]
        return (both[0] + both[1]) / 2
