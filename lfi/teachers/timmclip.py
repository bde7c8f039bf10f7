"""SigLIP, SigLIP 2 and other CLIPs whose image tower is timm's: a word looks where single places resemble it.

What a place would give if it were all there is: in a tower with a pooling query (Zhai et al. 2023, "SigLIP", arXiv
2303.15343; Tschannen et al. 2025, "SigLIP 2", arXiv 2502.14786) through that pool's value path, as if the query
attended to this patch alone; in a convolutional tower (ConvNeXt, ResNet) through the head, as if this cell were the
feature map. Both are MaskCLIP's idea for other poolings (Zhou et al. 2022, arXiv 2112.01071).
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.timm_model import TimmModel
from timm.layers import AttentionPoolLatent
from torch import Tensor

from lfi.errors import UnsupportedModelError
from lfi.teachers.base import unit
from lfi.teachers.clip import ClipTeacher
from lfi.teachers.content import Tokenizer
from lfi.teachers.teacher import EncodedImages

POOLED = "attention pool's value path"
PLACES = "each place through the head"


class TimmClipTeacher(ClipTeacher):
    """Dense similarity of places and text, softmaxed over the places; a CLIP's logits as they are.

    SigLIP trains a bias on top of its logits. It is the same for all words, so it is left out of `classify`.

    Args: as for `OpenClipTeacher`.

    Raises:
        UnsupportedModelError: the tower pools in another way, so that no place can be read alone.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, *, name: str = "SigLIP", **options: Any):
        self.pooled = isinstance(getattr(model.visual.trunk, "attn_pool", None), AttentionPoolLatent)
        self.grid = place_grid(model.eval().visual, name)
        super().__init__(model, tokenizer, name=name, dense_variant=POOLED if self.pooled else PLACES, **options)

    @torch.no_grad()
    def encode(self, images: Tensor) -> EncodedImages:
        """Run the image tower once, and every place through what comes behind it."""
        visual = self.model.visual
        features = visual.trunk.forward_features(images.to(self.device))
        latent = visual.head(visual.trunk.forward_head(features))
        places = (self._through_pool if self.pooled else self._through_head)(features)
        return EncodedImages(unit(latent), unit(places), None, None, self.fingerprint)

    def _through_pool(self, tokens: Tensor) -> Tensor:
        visual, pool = self.model.visual, self.model.visual.trunk.attn_pool
        if pool.pos_embed is not None:
            tokens = tokens + pool.pos_embed
        alone = pool.proj(pool.kv(tokens[:, visual.trunk.num_prefix_tokens :]).chunk(2, -1)[1])
        if pool.mlp is not None:
            alone = alone + pool.mlp(pool.norm(alone))
        return visual.head(visual.trunk.head(visual.trunk.fc_norm(alone)))

    def _through_head(self, features: Tensor) -> Tensor:
        visual, last = self.model.visual, _channels_last(self.model.visual)
        cells = features if last else features.permute(0, 2, 3, 1)
        alone = cells.flatten(0, 2)[:, None, None]
        embedded = visual.head(visual.trunk.forward_head(alone if last else alone.permute(0, 3, 1, 2)))
        return embedded.unflatten(0, (len(features), -1))


def is_timm_clip(model: Any) -> bool:
    """Whether a model's image tower is timm's."""
    return isinstance(model.visual, TimmModel)


@torch.no_grad()
def place_grid(visual: TimmModel, name: str) -> tuple[int, int]:
    """Rows and columns of places that can be read alone.

    Raises:
        UnsupportedModelError: none can.
    """
    trunk: Any = visual.trunk
    if isinstance(getattr(trunk, "attn_pool", None), AttentionPoolLatent):
        height, width = trunk.patch_embed.grid_size
        return int(height), int(width)
    weights = next(trunk.parameters())
    features = trunk.forward_features(torch.zeros(1, 3, *visual.image_size).to(weights))
    if features.ndim != 4:
        raise UnsupportedModelError(
            f"{name}: its image tower, a {type(trunk).__name__} of timm, neither pools by attention nor has a feature "
            "map, so no place can be read alone"
        )
    height, width = features.shape[1:3] if _channels_last(visual) else features.shape[2:]
    return int(height), int(width)


def _channels_last(visual: TimmModel) -> bool:
    return getattr(visual.trunk, "output_fmt", "NCHW") == "NHWC"
