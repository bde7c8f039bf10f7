"""A trio answers one image: the teacher, a student of its interactions and the best student of its results alone.

A trio is a folder: `card.json`, `teacher/` (as open_clip reads it), `lfi/student.safetensors` and
`baseline/student.safetensors`.
"""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnknownWordError, WordsError
from lfi.maps import InteractionMaps
from lfi.students import Student
from lfi.students.explanations import EXPLANATIONS, explain
from lfi.teachers import CoCaTeacher, EncodedImages, load_teacher
from lfi.teachers.checkpoints import fingerprint_of

MODELS = ("teacher", "lfi", "baseline")


@dataclass(frozen=True)
class Address:
    """Which Interaction Query stands for a word, and how near its name is (cosine, at most 1)."""

    word: str
    query: int
    nearness: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the models of a trio say of one image.

    Attributes:
        words: as asked, trimmed.
        maps: per model, a batch of one; the query axis holds the words (or words and heads).
        default_layer: per model, the layer that localised best on validation data, as an index into its maps.
        queries: LFI's Interaction Queries themselves `[1, layer, query, height, width]`, if LFI was asked.
        addressed: per word the query that LFI shows for it.
        named: per query the phrase nearest to its name, and how near.
        seconds: time each model took.
    """

    words: tuple[str, ...]
    maps: dict[str, InteractionMaps]
    default_layer: dict[str, int]
    queries: InteractionMaps | None
    addressed: tuple[Address, ...]
    named: tuple[tuple[str, float], ...]
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class EncodedTrio:
    """One image, run once through teacher and LFI student; words cost little on top.

    Attributes:
        teacher: the teacher's cached image.
        scores: the LFI queries' attention scores per layer and head, `[1, layer, head, query, patch]`.
        names: its queries' names in the teacher's text space, unit norm, `[query, text_dim]`.
        pixels: the image as the baseline reads it.
        seconds: time each model took for the image.
    """

    teacher: EncodedImages
    scores: Tensor
    names: Tensor
    pixels: Tensor
    seconds: dict[str, float]


class Trio:
    """Three models that answer the same question.

    Args:
        teacher: reads words; its text space names the students' queries.
        lfi: a student with queries and names.
        baseline: a student that projects into the teacher's space.
        card: `name`, `explanation` (one of `EXPLANATIONS`), `default_layer` per model, `phrases` that name queries,
            `vocabulary` that people can type (empty where any word will do), and `models`, a card per model.
    """

    def __init__(self, teacher: CoCaTeacher, lfi: Student, baseline: Student, card: dict[str, Any]):
        self.teacher, self.lfi, self.baseline, self.card = teacher, lfi.eval(), baseline.eval(), card
        self.name: str = card["name"]
        self.explanation: str = card["explanation"]
        if self.explanation not in EXPLANATIONS:
            raise CheckpointError(
                f"{self.name}: explanation is {self.explanation!r}; one of {', '.join(EXPLANATIONS)} was expected"
            )
        if lfi.queries is None or lfi.name is None:
            raise CheckpointError(f"{self.name}: the LFI student has no named Interaction Queries")
        self.vocabulary: tuple[str, ...] = tuple(card["vocabulary"])
        self.phrases: tuple[str, ...] = tuple(card["phrases"])
        self.fingerprints = {
            "teacher": teacher.fingerprint,
            "lfi": fingerprint_of(lfi),
            "baseline": fingerprint_of(baseline),
        }
        self.cards: dict[str, dict[str, Any]] = {
            model: {**card["models"][model], "fingerprint": self.fingerprints[model]} for model in MODELS
        }
        blocks = [f"block {block + 1}" for block in range(len(baseline.backbone.blocks))]
        self.layers: dict[str, tuple[str, ...]] = {
            "teacher": teacher.layers,
            "lfi": lfi.layers,
            "baseline": ("final",) if self.explanation == "dense-similarity" else tuple(blocks),
        }
        self.default_layer: dict[str, int] = {model: int(card["default_layer"][model]) for model in MODELS}
        for model, layer in self.default_layer.items():
            if not 0 <= layer < len(self.layers[model]):
                raise CheckpointError(
                    f"{self.name}: default layer {layer} of {model}; 0 to {len(self.layers[model]) - 1} exist"
                )
        self._phrase_embeddings = teacher.embed_texts(self.phrases)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Trio:
        """A trio from its folder.

        Raises:
            UnknownModelError: there is no such folder.
            CheckpointError: a part is missing, unreadable or does not fit.
        """
        folder = Path(folder)
        if not (folder / "card.json").is_file():
            raise UnknownModelError(f"{folder} holds no card.json, so it is no trio; `lfi train-default` makes one")
        try:
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
            teacher = load_teacher(folder / "teacher", device=device)
            if not isinstance(teacher, CoCaTeacher):
                raise CheckpointError(f"{folder}: the teacher of a trio must be a CoCa; {teacher.name} is none")
            lfi, baseline = (Student.load(folder / part / "student.safetensors").to(device) for part in MODELS[1:])
            return cls(teacher, lfi, baseline, card)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{folder / 'card.json'} is not a trio's card: {error!r}") from error

    @torch.no_grad()
    def encode(self, image: Image.Image) -> EncodedTrio:
        """Run the image once through teacher and LFI student."""
        device = self._phrase_embeddings.device
        start = time.perf_counter()
        teacher = self.teacher.encode(self.teacher.preprocess([image]).to(device))
        middle = time.perf_counter()
        (_, queries), scores, _ = self.lfi.run(self.lfi.preprocess([image]).to(device))
        assert self.lfi.name is not None
        names = F.normalize(self.lfi.name(queries).float(), dim=-1)[0]
        end = time.perf_counter()
        pixels = self.baseline.preprocess([image]).to(device)
        return EncodedTrio(
            teacher,
            torch.stack(scores, 1),
            names,
            pixels,
            {"teacher": middle - start, "lfi": end - middle, "baseline": 0.0},
        )

    def compare(
        self,
        image: Image.Image | EncodedTrio,
        words: Sequence[str],
        models: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        heads: bool = False,
    ) -> Comparison:
        """Where each model looks for each word.

        Args:
            words: words or short phrases.
            models: which of `MODELS` to ask.
            layers: indices of the layers to keep, for every model asked; all when None.
            heads: one map per head and word instead of the mean over heads.

        Raises:
            WordsError: no word, or an empty one.
            UnknownWordError: a word outside a small vocabulary.
            UnknownModelError: a model that no trio has.
            ConfigError: a layer that a model asked for does not have.
        """
        words = tuple(" ".join(word.split()) for word in words)
        if not words or not all(words):
            raise WordsError("no word was given" if not words else "a word is empty")
        unknown = [model for model in models if model not in MODELS]
        if unknown or not models:
            raise UnknownModelError(
                f"unknown model {', '.join(map(repr, unknown)) or '(none)'}; known: {', '.join(MODELS)}"
            )
        for model in models:
            wrong = [layer for layer in layers or () if not 0 <= layer < len(self.layers[model])]
            if wrong:
                raise ConfigError(f"{model} has no layer {wrong[0]}; it has 0 to {len(self.layers[model]) - 1}")
        self._check_words(words)
        encoded = image if isinstance(image, EncodedTrio) else self.encode(image)
        embeddings = self.teacher.embed_texts(words)
        maps: dict[str, InteractionMaps] = {}
        seconds: dict[str, float] = {}
        addressed = self._address(encoded, words, embeddings) if "lfi" in models else ()
        for model in dict.fromkeys(models):
            start = time.perf_counter()
            if model == "teacher":
                found = self.teacher.interactions_of(encoded.teacher, words, heads=heads)
            elif model == "lfi":
                found = self._lfi(encoded, [address.query for address in addressed], words, heads)
            else:
                label = f"{self.name} baseline@{self.fingerprints['baseline']}"
                found = explain(
                    self.baseline,
                    self.explanation,
                    encoded.pixels,
                    words,
                    embeddings,
                    heads=heads,
                    model=label,
                )
            maps[model] = found if layers is None else found.select(layers=layers)
            seconds[model] = encoded.seconds[model] + time.perf_counter() - start
        return Comparison(
            words=words,
            maps=maps,
            default_layer={model: self._shown(model, layers) for model in maps},
            queries=self._queries(encoded, layers) if "lfi" in models else None,
            addressed=addressed,
            named=self._named(encoded) if "lfi" in models else (),
            seconds=seconds,
        )

    def _check_words(self, words: Sequence[str]) -> None:
        """As the teacher does, but the words it suggests are those that show something."""
        try:
            self.teacher.check_words(words)
        except UnknownWordError as error:
            raise UnknownWordError(
                {word: difflib.get_close_matches(word, self.vocabulary, 3, cutoff=0) for word in error.words}
            ) from None

    def _shown(self, model: str, layers: Sequence[int] | None) -> int:
        """Where the default layer is among the layers kept; the last one if it was dropped."""
        if layers is None:
            return self.default_layer[model]
        kept = list(layers)
        return kept.index(self.default_layer[model]) if self.default_layer[model] in kept else len(kept) - 1

    def _address(self, encoded: EncodedTrio, words: Sequence[str], embeddings: Tensor) -> tuple[Address, ...]:
        nearness, query = (embeddings @ encoded.names.T).max(1)
        return tuple(
            Address(word, int(index), float(near)) for word, index, near in zip(words, query, nearness, strict=True)
        )

    def _named(self, encoded: EncodedTrio) -> tuple[tuple[str, float], ...]:
        nearness, phrase = (encoded.names @ self._phrase_embeddings.T).max(1)
        return tuple((self.phrases[int(index)], float(near)) for index, near in zip(phrase, nearness, strict=True))

    def _lfi(self, encoded: EncodedTrio, rows: Sequence[int], names: Sequence[str], heads: bool) -> InteractionMaps:
        weights = encoded.scores[:, :, :, list(rows)].softmax(-1)
        if heads:
            names = [f"{name} · head {head + 1}" for name in names for head in range(weights.shape[2])]
            weights = weights.transpose(2, 3).flatten(2, 3)
        else:
            weights = weights.mean(2)
        return InteractionMaps.from_scores(
            weights,
            grid=self.lfi.grid,
            queries=[list(names)],
            layers=self.lfi.layers,
            kind="interaction-query",
            model=f"{self.name} lfi@{self.fingerprints['lfi']}",
        )

    def _queries(self, encoded: EncodedTrio, layers: Sequence[int] | None) -> InteractionMaps:
        count = encoded.scores.shape[3]
        maps = self._lfi(encoded, range(count), [f"query {query + 1}" for query in range(count)], heads=False)
        return maps if layers is None else maps.select(layers=layers)
