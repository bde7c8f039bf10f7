"""What the teacher for photographs learns on features of its frozen tower: to point, to name, to miss what is absent.

Images bring names that are true of them, false, or neither (`bank.Truth`). The losses:

- presence: binary cross-entropy of the log-sum-exp over patches of a name's *cross-attention scores*: the attention is
  the evidence (multiple-instance learning; Ilse et al. 2018, arXiv 1802.04712);
- names: cross-entropy of each true name among the false ones, by the same evidence;
- guide: KL from LayerCAM (`guides.py`), and from the known region of a photograph on a canvas, to the attention;
- latent, dense: cross-entropy of each true name among the false ones by the cosine of image and text, and by the
  log-sum-exp of patch and text;
- caption: the next word of a caption that names what an image shows (CoCa, Yu et al. 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.coca_model import CoCa
from torch import Tensor, nn

from lfi.teachers.explicit import block, decode, encode_text
from lfi.teachers.loading import build
from lfi.teachers.words import PAD
from lfi.training.photographs.trunk import BACKBONE, GRID, SIZE


@dataclass(frozen=True)
class EvidenceConfig:
    """Size of the CoCa and weights of its losses.

    Attributes:
        ids: of the tokenizer, special ones included.
    """

    ids: int
    width: int = 192
    context: int = 32
    text_layers: int = 1
    decoder_layers: int = 1
    presence: float = 2.0
    names: float = 1.0
    guide: float = 1.0
    latent: float = 1.0
    dense: float = 0.25
    caption: float = 0.1

    def model_config(self) -> dict[str, Any]:
        """`model_cfg` of a CoCa whose image tower is timm's."""
        text = {"context_length": self.context, "vocab_size": self.ids, "width": self.width}
        return {
            "embed_dim": self.width,
            "vision_cfg": {
                "timm_backbone": BACKBONE,
                "indices": [3, 4],
                "image_size": SIZE,
                "grid": GRID,
                "width": self.width,
            },
            "text_cfg": {**text, "heads": 3, "layers": self.text_layers, "embed_cls": True, "output_tokens": True},
            # one head: what is shown is what was trained to point
            "multimodal_cfg": {**text, "heads": 1, "layers": self.decoder_layers},
            "custom_text": True,
        }


class EvidenceTask(nn.Module):
    """Owns the CoCa and its losses."""

    def __init__(self, config: EvidenceConfig):
        super().__init__()
        self.config = config
        model: Any = build(config.model_config(), "photographs CoCa")
        self.model: CoCa = model
        nn.init.normal_(model.text_decoder.text_projection, std=config.width**-0.5)
        self.scale = nn.Parameter(torch.tensor(0.0))
        self.bias = nn.Parameter(torch.tensor(-3.0))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Named losses of a batch.

        Args:
            batch: `fifth`, `seventh`, `last`: feature maps of the tower; `names`: ids of some names `[name, length]`;
                `truth` float `[n, name]`, NaN unknown; `guides` `[n, guide, cell]` with `guided`, the name of each
                among `names`, -1 for none; `captions`: ids `[m, length]` of the first m images.
        """
        model, weights, truth = self.model, self.config, batch["truth"]
        features = [batch["fifth"], batch["seventh"], batch["last"]]
        tokens, latent = model.visual.tokens(features), model.visual.pooled(features)
        text, states = encode_text(model, batch["names"])
        scores = self.scores(states, (batch["names"] != PAD).sum(1) - 2, tokens)
        evidence = self.evidence(scores)
        known = ~truth.isnan()
        there = known & (truth == 1)
        balance = torch.where(there, 0.5 / there.sum().clamp_min(1), 0.5 / (known & ~there).sum().clamp_min(1)) * known
        presence = F.binary_cross_entropy_with_logits(evidence, truth.nan_to_num(0), reduction="none")
        unit_text = F.normalize(text.float(), dim=-1)
        sharp = model.logit_scale.exp().clamp(max=100)
        similar = F.normalize((tokens @ model.visual.proj).float(), dim=-1) @ unit_text.T * sharp
        losses = {
            "presence": (presence * balance).sum(),
            "names": among(evidence, truth),
            "guide": self.guide(scores, batch["guides"], batch["guided"]),
            "latent": among(F.normalize(latent.float(), dim=-1) @ unit_text.T * sharp, truth),
            "dense": among(similar.logsumexp(1) - math.log(similar.shape[1]), truth),
        }
        if weights.caption:
            losses["caption"] = self.caption(batch["captions"], tokens)
        right = ((evidence > 0) == (truth == 1))[known].float().mean().detach()
        return {"loss": sum(getattr(weights, name) * value for name, value in losses.items()), **losses, "right": right}

    def scores(self, states: Tensor, last: Tensor, tokens: Tensor) -> Tensor:
        """Cross-attention scores of the first decoder layer before softmax, `[n, name, cell]`.

        Args:
            states: the text tower's `[name, length, width]`; last: position of each name's last token.
            tokens: of the images, `[n, cell, width]`.
        """
        decoder: Any = self.model.text_decoder
        length = states.shape[1]
        causal = torch.full((length, length), float("-inf"), device=states.device).triu_(1)
        read, _ = block(decoder.resblocks[0], states, mask=causal)
        cross = decoder.cross_attn[0]
        at = read[torch.arange(len(read)), last]
        dim = cross.attn.embed_dim
        weight, bias = cross.attn.in_proj_weight, cross.attn.in_proj_bias
        queries = F.linear(cross.ln_1(at), weight[:dim], bias[:dim])
        keys = F.linear(cross.ln_1_kv(tokens), weight[dim : 2 * dim], bias[dim : 2 * dim])
        return ((queries * dim**-0.5) @ keys.transpose(1, 2)).float()

    def evidence(self, scores: Tensor) -> Tensor:
        """Logits of presence `[n, name]`."""
        return self.scale.exp() * (scores.logsumexp(-1) - math.log(scores.shape[-1])) + self.bias

    def guide(self, scores: Tensor, guides: Tensor, guided: Tensor) -> Tensor:
        """KL from the guides to the attention of the names that they explain."""
        image, which = (guided >= 0).nonzero(as_tuple=True)
        if not len(image):
            return scores.sum() * 0
        target = guides[image, which]
        attention = scores[image, guided[image, which]].log_softmax(-1)
        return (torch.special.xlogy(target, target) - target * attention).sum(-1).mean()

    def caption(self, captions: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy of the next word."""
        _, states = encode_text(self.model, captions)
        states, _ = decode(self.model, states[:, None, :-1], tokens[: len(captions)])
        words = (states[:, 0] @ self.model.text_decoder.text_projection).float()
        return F.cross_entropy(words.flatten(0, 1), captions[:, 1:].flatten(), ignore_index=PAD)


def among(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of each true name among itself and the false ones, each image's mean, mean over images."""
    there = truth == 1
    false = logits.masked_fill(~(truth == 0), -1e4).logsumexp(1, keepdim=True)
    each = torch.logaddexp(false, logits) - logits
    count = there.sum(1)
    return ((each * there).sum(1) / count.clamp_min(1))[count > 0].mean()
