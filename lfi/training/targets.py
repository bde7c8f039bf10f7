"""What a teacher says of images: where their words look, embeddings, logits, what its image tower attends to.

Asked once before training and kept in memory or in a cache on disk (`cache.py`), or asked online about every view.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from lfi.data.imageset import ImageSet
from lfi.data.prompts import fill
from lfi.errors import UnsupportedModelError
from lfi.images import MEAN, STD
from lfi.objectives import activation_map
from lfi.teachers import CoCaTeacher, EncodedImages
from lfi.teachers.base import BaseTeacher
from lfi.teachers.content import align, content_words
from lfi.teachers.explicit import decode, encode_text
from lfi.teachers.names import NameTokenizer
from lfi.teachers.taps import outputs_of, tap
from lfi.teachers.words import WordTokenizer
from lfi.training.config import TeacherSource
from lfi.training.seen import SeenWords

MOST_WORDS = 8
"""Words of an image that the teacher is asked about, most important first."""


class Answers(Protocol):
    """What was asked, row by row."""

    @property
    def fields(self) -> Collection[str]:
        """Their names."""

    def __len__(self) -> int: ...

    def rows(self, indices: Tensor, fields: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The fields (all without `fields`) of some images; see `Questions.ask`."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Answers as tensors, `[n, ...]` each."""

    fields: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.fields.values())))

    def rows(self, indices: Tensor, fields: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {
            name: values[indices.to(values.device)]
            for name, values in self.fields.items()
            if fields is None or name in fields
        }

    def to(self, device: str | torch.device) -> InMemory:
        """The same on a device."""
        return InMemory({name: values.to(device) for name, values in self.fields.items()})


@dataclass(eq=False)
class Questions:
    """What is asked of a teacher about a set of images.

    Attributes:
        teacher: any open_clip teacher.
        source: which of its maps and layers.
        images: whose words are asked for; without captions and words where the teacher chooses.
        wanted: which of `maps`, `logits`, `latents`, `activations`, `attentions`.
        words: per image the words that are asked for, at most `MOST_WORDS`; empty where the teacher chooses (`seen`).
        vocabulary: every word, the classes first; `bank`: their text embeddings `[word, dim]`, unit norm.
    """

    teacher: BaseTeacher
    source: TeacherSource
    images: ImageSet
    wanted: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] = field(init=False)
    vocabulary: tuple[str, ...] = field(init=False)
    bank: Tensor = field(init=False)

    def __post_init__(self) -> None:
        layers = len(self.teacher.layers)
        if not self.source.layers or not all(0 <= layer < layers for layer in self.source.layers):
            raise UnsupportedModelError(
                f"teacher.layers is {list(self.source.layers)}; {self.teacher.name} has layers 0 to {layers - 1}"
            )
        self.seen: SeenWords | None = None
        if self.source.maps == "seen":
            self.seen = seen_words(self.teacher, self.images, self.source.sure)
            self.images, self.words = unsaid(self.images), ((),) * len(self.images)
            self.vocabulary, self.most = self.seen.vocabulary, self.seen.most
        else:
            self.words = tuple(row[:MOST_WORDS] for row in self._said(self.images))
            every = (word for row in self.words for word in row)
            self.vocabulary = tuple(dict.fromkeys((*self.images.classes, *every)))
            self.most = max(map(len, self.words), default=0) or 1
        self.bank = self.teacher.embed_texts(list(self.vocabulary)).cpu()
        self._place = {word: index for index, word in enumerate(self.vocabulary)}

    def _said(self, images: ImageSet) -> tuple[tuple[str, ...], ...]:
        if self.source.maps == "statements":
            return images.words
        tokenizer = self.teacher.tokenizer
        return tuple(
            tuple(word.text for word in content_words(align(tokenizer, caption))) for caption in images.captions
        )

    def about(self, images: ImageSet) -> Questions:
        """The same questions, with the same vocabulary, about other images; words that are not in it do not count."""
        other = copy.copy(self)
        other.images = images
        if self.seen is not None:
            other.images, other.words = unsaid(images), ((),) * len(images)
            return other
        said = self._said(images)
        if self.source.maps == "statements":  # within a caption every word keeps its place
            said = tuple(tuple(word for word in row if word in self._place) for row in said)
        other.words = tuple(row[:MOST_WORDS] for row in said)
        other.most = max(map(len, other.words), default=0) or 1
        return other

    @property
    def tower_layers(self) -> tuple[int, ...]:
        """Blocks of the image tower that attention transfer reads."""
        depth = len(blocks_of(self.teacher))
        if not depth and not self.source.tower_layers:
            return ()
        layers = self.source.tower_layers or tuple(sorted({max(0, depth // 2 - 1), depth - 1}))
        if not all(0 <= layer < depth for layer in layers):
            raise UnsupportedModelError(f"teacher.tower_layers is {list(layers)}; blocks 0 to {depth - 1} exist")
        return layers

    @torch.no_grad()
    def ask(self, rows: Sequence[int] | np.ndarray, pictures: Tensor | None = None) -> dict[str, Tensor]:
        """The teacher's answers about some images.

        Args:
            rows: which images.
            pictures: float32 `[n, 3, height, width]`, normalised as for students: views of these images, to be looked
                at in their place.

        Returns:
            words: bool `[n, k]`; names: int64 `[n, k]`, indices into the vocabulary, 0 for padding.
            presence: float32 `[n, k]`, how likely the word is there; only where the teacher chooses the words.
            maps: float32 `[n, layer, k, patch]`, each summing to 1, even where a word only pads.
            logits: float32 `[n, class]`: zero-shot logits; log-odds of presence where images have several labels.
            latents: float32 `[n, dim]`, unit norm.
            activations: float32 `[n, tower layer, patch]`, sums of squares over channels.
            attentions: float32 `[n, tower layer, 1 + patch, patch]`: CLS and patches over patches, mean over heads.
        """
        teacher, wanted = self.teacher, self.wanted
        if not wanted and self.seen is None:
            return self._words(rows)
        if pictures is None:
            pixels = torch.from_numpy(np.ascontiguousarray(self.images.images[rows])).permute(0, 3, 1, 2).float() / 255
        else:
            pixels = pictures * STD + MEAN
        with ExitStack() as stack:
            blocks: list[Any] = [blocks_of(teacher)[layer] for layer in self.tower_layers]
            if not blocks and {"attentions", "activations"} & set(wanted):
                raise UnsupportedModelError(f"the image tower of {teacher.name} has no attention to transfer")
            attended = stack.enter_context(tap([block.attn for block in blocks])) if "attentions" in wanted else None
            tokens = [stack.enter_context(outputs_of(block)) for block in blocks] if "activations" in wanted else []
            encoded = teacher.encode(teacher.from_pixels(pixels))
        found = self.answer(encoded, rows)
        if tokens:
            found["activations"] = torch.stack([activation_map(seen[-1][:, 1:].float()) for seen in tokens], 1)
        if attended is not None:
            over = attended.stack()[..., 1:]
            found["attentions"] = over / over.sum(-1, keepdim=True).clamp_min(1e-9)
        return {name: value.cpu() if pictures is None else value for name, value in found.items()}

    def answer(self, encoded: EncodedImages, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """What `ask` gives of encoded images, except for what their tower attends to."""
        found, own = {}, [self.words[row] for row in rows]
        logits = self._logits(encoded) if "logits" in self.wanted or self.seen is not None else None
        if self.seen is not None:
            assert logits is not None
            own, found["presence"] = self._choose(self.seen, logits.cpu())
        found |= self._words(rows, own)
        if "maps" in self.wanted:
            found["maps"] = self._maps(encoded, rows, own)
        if "latents" in self.wanted:
            found["latents"] = encoded.latent
        if "logits" in self.wanted:
            assert logits is not None
            found["logits"] = logits
        return found

    def all(self, batch: int = 64) -> InMemory:
        """Every image's answers, in memory; maps, activations and attentions in float16."""
        parts: dict[str, list[Tensor]] = {}
        starts = range(0, len(self.images), batch)
        for start in tqdm(starts, desc="asking the teacher", unit="batch", leave=False, dynamic_ncols=True):
            for name, value in self.ask(np.arange(start, min(start + batch, len(self.images)))).items():
                small = name in ("maps", "activations", "attentions")
                parts.setdefault(name, []).append(value.half() if small else value)
        return InMemory({name: torch.cat(values) for name, values in parts.items()})

    def _choose(self, seen: SeenWords, logits: Tensor) -> tuple[list[tuple[str, ...]], Tensor]:
        """Words that the teacher is sure of, and how likely it finds them, `[n, most]`, 0 for padding."""
        chances = logits.sigmoid() if self.images.multilabel else logits.softmax(-1)
        chosen, likely = seen.choose(chances)
        presence = torch.zeros(len(chosen), seen.most)
        for row, values in zip(presence, likely, strict=True):
            row[: len(values)] = torch.tensor(values)
        return [tuple(seen.vocabulary[word] for word in row) for row in chosen], presence

    def _words(self, rows: Sequence[int] | np.ndarray, own: Sequence[Sequence[str]] | None = None) -> dict[str, Tensor]:
        own = [self.words[row] for row in rows] if own is None else own
        words, names = np.zeros((len(rows), self.most), bool), np.zeros((len(rows), self.most), np.int64)
        for index, row in enumerate(own):
            words[index, : len(row)] = [word in self._place for word in row]
            names[index, : len(row)] = [self._place.get(word, 0) for word in row]
        return {"words": torch.from_numpy(words), "names": torch.from_numpy(names)}

    def _maps(self, encoded, rows: Sequence[int] | np.ndarray, own: Sequence[Sequence[str]]) -> Tensor:  # type: ignore[no-untyped-def]
        if not any(own):
            maps = torch.zeros(len(own), len(self.teacher.layers), 0, self.teacher.grid[0] * self.teacher.grid[1])
        elif self.source.maps == "captions":
            maps = self.teacher.interactions(encoded, [self.images.captions[row] for row in rows]).weights.flatten(-2)
        else:
            maps = self.teacher.interactions_for(encoded, own).weights.flatten(-2)
        maps = maps[:, list(self.source.layers), : self.most]
        even = maps.new_full((*maps.shape[:2], self.most - maps.shape[2], maps.shape[3]), 1 / maps.shape[3])
        return torch.cat([maps, even], 2)

    def _logits(self, encoded) -> Tensor:  # type: ignore[no-untyped-def]
        classes = self.images.classes
        if not self.images.multilabel:
            return self.teacher.classify(encoded, [fill(self.source.prompt, name) for name in classes])
        return presence(self.teacher, encoded, classes)


def unsaid(images: ImageSet) -> ImageSet:
    """The images without what is said of them: what the teacher sees depends on pixels alone, so that one cache serves
    any share of the labels."""
    return replace(images, captions=("",) * len(images), words=((),) * len(images))


def seen_words(teacher: BaseTeacher, images: ImageSet, sure: float) -> SeenWords:
    """How a teacher's own words of these images are chosen.

    Raises:
        UnsupportedModelError: the images have no classes, between which it could choose, or several each, and the
            teacher does not judge presence.
    """
    if not images.classes:
        raise UnsupportedModelError("teacher.maps is 'seen', which needs classes; images without classes have captions")
    if images.multilabel and not judges_presence(teacher):
        raise UnsupportedModelError(
            f"teacher.maps is 'seen', and images have several classes each: {teacher.name} was not trained on presence "
            "statements and cannot say which are there; use 'statements' or 'captions'"
        )
    names = teacher.tokenizer.names if isinstance(teacher.tokenizer, NameTokenizer) else None
    return SeenWords(images.classes, names, MOST_WORDS, sure)


def blocks_of(teacher: BaseTeacher) -> Sequence[nn.Module]:
    """Blocks of the image tower, whose attention can be transferred; none if it is not a transformer."""
    transformer = getattr(getattr(teacher.model, "visual", None), "transformer", None)
    return () if transformer is None else transformer.resblocks


def judges_presence(teacher: BaseTeacher) -> bool:
    """Whether a teacher was trained on presence statements, and so answers whether something is in an image."""
    tokenizer = teacher.tokenizer
    known = isinstance(tokenizer, WordTokenizer) and {"yes", "no"} <= set(tokenizer.vocabulary)
    return isinstance(teacher, CoCaTeacher) and known and teacher.model.visual.attn_pool is None


def presence(teacher: BaseTeacher, encoded, classes: Sequence[str]) -> Tensor:  # type: ignore[no-untyped-def]
    """Log-odds that the teacher answers `yes` to each class's name, float32 `[n, class]`.

    Raises:
        UnsupportedModelError: for a teacher that was not trained on presence statements.
    """
    tokenizer, model = teacher.tokenizer, teacher.model
    if not judges_presence(teacher):
        raise UnsupportedModelError(
            f"{teacher.name} was not trained on presence statements, so it has no logits for images with several "
            "labels; leave out logit_kd and dist, or train a teacher with `lfi train`"
        )
    assert isinstance(tokenizer, WordTokenizer)
    yes, no = (int(tokenizer.encode(word)[1]) for word in ("yes", "no"))
    ids = tokenizer(list(classes)).to(teacher.device)
    last = (ids != 0).sum(1) - 2
    _, states = encode_text(model, ids[:, : int(last.max()) + 3])
    states = states[:, : int(last.max()) + 1]
    assert encoded.tokens is not None
    final, _ = decode(model, states[None].expand(len(encoded), -1, -1, -1), encoded.tokens)
    at = last[None, :, None, None].expand(len(encoded), -1, 1, final.shape[-1])
    answers = final.gather(2, at)[:, :, 0] @ model.text_decoder.text_projection[:, [yes, no]]
    return (answers[..., 0] - answers[..., 1]).float()
