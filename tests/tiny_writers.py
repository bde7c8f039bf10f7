"""A BLIP and a LLaVA, tiny, of transformers' own classes, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

SPECIAL = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "bos_token": "[DEC]"}
WORDS = [
    "a",
    "picture",
    "of",
    "red",
    "blue",
    "squ",
    "##are",
    "user",
    ":",
    "what",
    "is",
    "in",
    "the",
    "?",
    "assistant",
    "green",
    "wall",
    "door",
    "beside",
]
SIZES = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SIZES, "image_size": 24, "patch_size": 8}


def tokenizer(at: Path, *more: str) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {piece: index for index, piece in enumerate([*SPECIAL.values(), *WORDS, *more])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    whole = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)
    if more:
        whole.add_special_tokens({"additional_special_tokens": list(more)})
    whole.save_pretrained(str(at))
    return whole


def spread(model: Any) -> None:
    """Weights so large that attention is not even."""
    torch.manual_seed(5)
    for weights in model.parameters():
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=3 * max(weights[0].numel(), 1) ** -0.5)


def write_blip(folder: Path) -> Path:
    """Write one that `load_peer` and `load_teacher` read into `folder`, and return it."""
    words = tokenizer(folder)
    text = {
        **SIZES,
        "vocab_size": len(words),
        "encoder_hidden_size": 32,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "sep_token_id": 2,
        "eos_token_id": 2,
        "bos_token_id": 4,
    }
    model = transformers.BlipForConditionalGeneration(transformers.BlipConfig(text_config=text, vision_config=VISION))
    spread(model)
    model.save_pretrained(str(folder))
    return folder


def write_llava(folder: Path) -> Path:
    """Write one that `load_peer` and `load_teacher` read into `folder`, and return it."""
    words = tokenizer(folder, "<image>")
    text = transformers.LlamaConfig(
        **SIZES, vocab_size=len(words), max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2
    )
    vision = transformers.CLIPVisionConfig(**VISION)
    image = words.convert_tokens_to_ids("<image>")
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=image, image_seq_length=9
    )
    model = transformers.LlavaForConditionalGeneration(config)
    spread(model)
    model.save_pretrained(str(folder))
    return folder
