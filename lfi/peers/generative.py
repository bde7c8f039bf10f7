"""Models that write, as peers: where the words of BLIP and of LLaVA look while they are written.

A word is put into the model's mouth: after a prompt that asks for it, the decoder reads the word as if it had written
it itself, and its attention is read at the word's last token, as CoCa's is. `described` does the same with what the
model writes by itself.

- *BLIP* (Li et al. 2022, arXiv 2201.12086): cross-attention of the text decoder to the image's patches;
- *LLaVA* (Liu et al. 2023, arXiv 2304.08485) and its like: attention of the language model to the image's tokens; what
  falls on the text before is outside of the map.

The weights are heard by hooks that change nothing. BLIP forms its attention in any case; a LLaVA is loaded with
transformers' `eager` attention, since fused kernels never form it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex
import torch
from torch import Tensor, nn

from lfi.errors import CheckpointError, UnsupportedModelError, WordsError
from lfi.maps import InteractionMaps
from lfi.peers.peer import Peer
from lfi.teachers.checkpoints import fingerprint_of
from lfi.teachers.content import STOP_WORDS
from lfi.teachers.subwords import need_transformers
from lfi.weights import first_line, quiet

KINDS = ("blip", "llava")
"""`model_type` in a configuration of transformers."""

_CLASSES = {"blip": "BlipForConditionalGeneration", "llava": "LlavaForConditionalGeneration"}
_PROMPTS = {"blip": "a picture of ", "llava": "USER: <image>\nWhat is in the picture? ASSISTANT: "}
_ATTENTION = "cross-attention"
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_LONGEST = 32
"""Tokens that are written at most."""


@dataclass(frozen=True, eq=False)
class GenerativePeer(Peer):
    """A BLIP or a LLaVA.

    Attributes:
        tokenizer: of its text side, a fast one.
        family: one of `KINDS`.
    """

    tokenizer: Any = None
    family: str = "blip"

    @property
    def model(self) -> Any:
        """The model of transformers."""
        return self.module

    @property
    def explanations(self) -> tuple[str, ...]:
        return (_ATTENTION,)

    def check(self, words: Sequence[str]) -> None:
        """Any word will do that has a letter.

        Raises:
            WordsError: one has none.
        """
        for word in words:
            if not any(letter.isalnum() for letter in word):
                raise WordsError(f"{word!r} has no word in it")

    def project(self, images: Tensor) -> Tensor:
        """Nothing to compare words with, `[batch, 0]`: it writes words and scores none."""
        return torch.zeros(len(images), self._outputs(), device=self.device)

    def _outputs(self) -> int:
        return 0

    @torch.no_grad()
    def described(self, images: Tensor, *, model: str = "peer") -> list[tuple[str, InteractionMaps | None]]:
        """What the model writes about each image, and where the content words of that look.

        Returns:
            Of each image the text and its maps `[1, layer, word, height, width]`; no maps of a text without such words.
        """
        found: list[tuple[str, InteractionMaps | None]] = []
        for image in images.split(1):
            text = self._written(image)
            spans = [(begin, end) for begin, end in _words(text) if text[begin:end].lower() not in STOP_WORDS]
            names = [text[begin:end] for begin, end in spans]
            rows = self._read(image, text, [end for _, end in spans]) if spans else None
            found.append((text, None if rows is None else self._maps(rows[None], names, model)))
        return found

    def _layers(self, explanation: str) -> tuple[str, ...]:
        return tuple(f"decoder layer {number}" for number in range(1, len(_heard(self.model, self.family)) + 1))

    @torch.no_grad()
    def _explain(
        self, explanation: str, images: Tensor, words: Sequence[str], embeddings: Tensor, heads: bool, model: str
    ) -> InteractionMaps:
        rows = [torch.cat([self._read(image, word, [len(word)]) for word in words], 1) for image in images.split(1)]
        return self._maps(torch.stack(rows), words, model)

    def _maps(self, rows: Tensor, words: Sequence[str], model: str) -> InteractionMaps:
        vision: Any = self.model.config.vision_config
        side = vision.image_size // vision.patch_size
        return InteractionMaps.from_scores(
            rows,
            grid=(side, side),
            queries=[list(words)] * len(rows),
            layers=self._layers(_ATTENTION),
            kind=_ATTENTION,
            model=model,
            prefix=rows.shape[-1] - side * side,
        )

    def _read(self, image: Tensor, answer: str, ends: Sequence[int]) -> Tensor:
        """What the decoder attends to where words of its answer end, mean over heads, `[layer, word, outside + patch]`.

        Args:
            image: `[1, 3, height, width]`.
            ends: of words in the answer, in characters.
        """
        prompt = _PROMPTS[self.family]
        ids, spans = self._ids(prompt + answer)
        places = [_token_at(spans, len(prompt) + end) for end in ends]
        if self.family == "blip":
            seen = self.model.vision_model(pixel_values=image).last_hidden_state
            with heard(self.model, self.family) as layers:
                self.model.text_decoder(input_ids=ids, encoder_hidden_states=seen)
            return torch.stack([layer.float().mean(1)[0, places] for layer in layers])
        ids, at, count = self._with_image(ids, image)
        with heard(self.model, self.family) as layers:
            self.model(input_ids=ids, pixel_values=image, attention_mask=torch.ones_like(ids))
        moved = [place + (count - 1 if place > at else 0) for place in places]
        rows = torch.stack([layer.float().mean(1)[0, moved] for layer in layers])
        patches = rows[..., at : at + count]
        side = self.model.config.vision_config.image_size // self.model.config.vision_config.patch_size
        patches = patches[..., count - side * side :]  # of a tower whose class token stays, that comes first
        return torch.cat([(1 - patches.sum(-1, keepdim=True)).clamp_min(0), patches], -1)

    def _written(self, image: Tensor) -> str:
        """What the model writes by itself, greedily."""
        prompt = _PROMPTS[self.family]
        ids, _ = self._ids(prompt)
        limits = {"max_new_tokens": _LONGEST, "do_sample": False}
        if self.family == "blip":
            seen = self.model.vision_model(pixel_values=image).last_hidden_state
            text: Any = self.model.config.text_config
            found = self.model.text_decoder.generate(
                input_ids=ids,
                encoder_hidden_states=seen,
                eos_token_id=text.sep_token_id,
                pad_token_id=text.pad_token_id,
                **limits,
            )
        else:
            ids, _, _ = self._with_image(ids, image)
            mask = torch.ones_like(ids)
            found = self.model.generate(input_ids=ids, pixel_values=image, attention_mask=mask, **limits)
        return self.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True).strip()

    def _ids(self, text: str) -> tuple[Tensor, list[tuple[int, int]]]:
        """Tokens of a text that goes on, `[1, token]`, and which letters each stands for."""
        encoded = self.tokenizer(text, return_offsets_mapping=True)
        ids, spans = list(encoded["input_ids"]), [tuple(each) for each in encoded["offset_mapping"]]
        while ids and spans[-1][0] == spans[-1][1]:  # the end of the text, which it does not have
            ids, spans = ids[:-1], spans[:-1]
        if self.family == "blip":
            ids[0] = self.model.config.text_config.bos_token_id  # as its own `generate` has it
        return torch.tensor([ids], device=self.device), spans

    def _with_image(self, ids: Tensor, image: Tensor) -> tuple[Tensor, int, int]:
        """Tokens with one for every token of the image instead of the one that stands for it; where and how many."""
        config = self.model.config
        features = self.model.get_image_features(
            pixel_values=image,
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
        )
        count = len(getattr(features, "pooler_output", features)[0])
        (at,) = (ids[0] == config.image_token_id).nonzero()[:, 0].tolist()
        places = ids.new_full((1, count), config.image_token_id)
        return torch.cat([ids[:, :at], places, ids[:, at + 1 :]], 1), at, count


@contextmanager
def heard(model: Any, family: str) -> Iterator[list[Tensor]]:
    """The decoder's attention after softmax while the block runs, `[batch, head, token, key]` of each layer."""
    found: list[Tensor] = []
    modules = _heard(model, family)
    if family == "blip":
        handles = [each.register_forward_pre_hook(lambda module, inputs: found.append(inputs[0])) for each in modules]
    else:
        handles = [
            each.register_forward_hook(lambda module, inputs, output: found.append(output[1])) for each in modules
        ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _heard(model: Any, family: str) -> list[nn.Module]:
    """Where the attention of every layer passes by: what drops some of it out, or the attention itself."""
    if family == "blip":
        return [layer.crossattention.self.dropout for layer in model.text_decoder.bert.encoder.layer]
    return [layer.self_attn for layer in model.get_decoder().layers]


def load_generative(folder: Path, config: dict[str, Any], name: str, device: str, write: Any) -> GenerativePeer:
    """A BLIP or a LLaVA from a folder that transformers wrote.

    Args:
        config: what its `config.json` says.
        write: puts it into another folder.

    Raises:
        UnsupportedModelError: transformers is not installed, or the tokeniser cannot say which letters a token is.
        CheckpointError: it cannot be read.
    """
    need_transformers(name)
    import transformers

    family = str(config["model_type"])
    kind: Any = getattr(transformers, _CLASSES[family])
    try:
        with quiet("transformers"):
            options = {} if family == "blip" else {"attn_implementation": "eager"}
            model = kind.from_pretrained(str(folder), local_files_only=True, **options).to(device).eval()
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # of files, shapes and packages
        raise CheckpointError(f"cannot read {folder} as a {family} of transformers: {first_line(error)}") from error
    if not tokenizer.is_fast:
        raise UnsupportedModelError(f"{name}: its tokeniser cannot say which letters a token stands for")
    mean, std = _normalisation(folder)
    size = int(model.config.vision_config.image_size)
    about = {
        "title": name,
        "kind": "BLIP" if family == "blip" else "LLaVA",
        "summary": "A model that writes; a word's map is its decoder's attention to the image where it has written the "
        "word. It takes any word.",
        "parameters": sum(each.numel() for each in model.parameters()),
    }
    return GenerativePeer(
        model, (size, size), mean, std, about, fingerprint_of(model), write, tokenizer=tokenizer, family=family
    )


def _normalisation(folder: Path) -> tuple[Tensor, Tensor]:
    path = folder / "preprocessor_config.json"
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    mean, std = said.get("image_mean", _CLIP_MEAN), said.get("image_std", _CLIP_STD)
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)


def _token_at(spans: Sequence[tuple[int, int]], end: int) -> int:
    """The last token that begins before a place in the text."""
    return max(index for index, (begin, stop) in enumerate(spans) if begin < end and stop > begin)


def _words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in regex.finditer(r"[\p{L}\p{M}\p{N}]+", text)]
