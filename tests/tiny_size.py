"""A size of an untrained trio, as `lfi benchmark serve --size` knows some, but tiny."""

from __future__ import annotations

from bench.untrained import SIZES, Size

_COCA = SIZES["small"].teacher
TINY_SIZE = Size(
    _COCA
    | {
        "embed_dim": 32,
        "vision_cfg": _COCA["vision_cfg"]
        | {"image_size": 32, "width": 48, "head_width": 12, "layers": 1, "patch_size": 8, "attn_pooler_queries": 9},
        "text_cfg": _COCA["text_cfg"] | {"width": 32, "layers": 1},
        "multimodal_cfg": _COCA["multimodal_cfg"] | {"width": 32, "layers": 2},
    },
    "vit_small_patch16_224",
    "tiny",
    {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
)
