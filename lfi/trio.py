"""A trio answers one image: the teacher, a student of its interactions and the best student of its results alone.

Besides the three, each can be asked for another explanation by name, such as `baseline:rollout`.

A trio is a folder: `card.json`, `teacher/` (as open_clip reads it), `lfi/student.safetensors` and
`baseline/student.safetensors`. Its `peers/NAME/` hold models of other people, which can be asked beside the three.
"""

from __future__ import annotations

import difflib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lfi.comparison import MODELS, Address, Comparison, EncodedTrio, Question, model_of
from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnknownWordError, WordsError
from lfi.maps import InteractionMaps
from lfi.peers import Peer, check_name, load_peer
from lfi.students import Student
from lfi.students.explanations import WORDLESS, explain, explanations_of, gradient_maps, layers_of
from lfi.students.relevance import Trace, relevance, trace, traceable
from lfi.teachers import ClipTeacher, CoCaTeacher, EncodedImages, load_teacher
from lfi.teachers.checkpoints import fingerprint_of

DENSE = "teacher:dense-similarity"
PEERS = "peers"
AnyTeacher = CoCaTeacher | ClipTeacher


def check_student(part: str, student: Student, teacher: AnyTeacher, where: str) -> None:
    """Refuse a student that cannot stand beside this teacher.

    Args:
        part: `lfi` or `baseline`.
        where: what an error names: the trio, or the student's file.

    Raises:
        CheckpointError: LFI has no named queries, or the student projects into another text space.
    """
    if part == "lfi" and (student.queries is None or student.name is None):
        raise CheckpointError(f"{where}: the LFI student has no named Interaction Queries")
    projects = student.name is not None or student.embed is not None
    if projects and student.config.text_dim != teacher.embed_dim:
        raise CheckpointError(
            f"{where}: the {part} student projects into {student.config.text_dim} dimensions; the text space of "
            f"{teacher.name} has {teacher.embed_dim}"
        )


class Trio:
    """Three models that answer the same question. Threads may ask it; one is answered at a time.

    Args:
        teacher: reads words; its text space names the students' queries.
        lfi: a student with queries and names.
        baseline: a student that projects into the teacher's space.
        card: `name`, `explanation` (the baseline's own, one of `EXPLANATIONS`), `default_layer` per model (and for any
            other answer, whose last layer is shown otherwise), `phrases` that name queries, `vocabulary` that people
            can type (empty where any word will do), `models`, a card per model, and `peers`, a card per peer, which may
            say what `explanation` it shows.
        peers: models of other people, by the names they are asked for by.

    Attributes:
        models: names of the models, the three and their peers.
        layers: names of the layers of every answer: the models by their names, other explanations of one as
            `baseline:rollout`; in the order in which they are shown.
        default_layer: the layer of each answer that is shown first.
    """

    def __init__(
        self,
        teacher: AnyTeacher,
        lfi: Student,
        baseline: Student,
        card: dict[str, Any],
        peers: Mapping[str, Peer] | None = None,
    ):
        self.teacher, self.lfi, self.baseline, self.card = teacher, lfi.eval(), baseline.eval(), card
        self.peers = dict(peers or {})
        self.models = (*MODELS, *self.peers)
        self.name: str = card["name"]
        self.explanation: str = card["explanation"]
        if self.explanation not in explanations_of(baseline):
            raise CheckpointError(
                f"{self.name}: explanation is {self.explanation!r}; "
                f"one of {', '.join(explanations_of(baseline))} was expected"
            )
        for part, student in (("lfi", lfi), ("baseline", baseline)):
            check_student(part, student, teacher, self.name)
        self.vocabulary: tuple[str, ...] = tuple(card["vocabulary"])
        self.phrases: tuple[str, ...] = tuple(card["phrases"])
        self.fingerprints = {
            "teacher": teacher.fingerprint,
            "lfi": fingerprint_of(lfi),
            "baseline": fingerprint_of(baseline),
            **{name: peer.fingerprint for name, peer in self.peers.items()},
        }
        said = {**card["models"], **self._peer_cards()}
        self.cards: dict[str, dict[str, Any]] = {
            model: {**said[model], "fingerprint": self.fingerprints[model]} for model in self.models
        }
        self.layers: dict[str, tuple[str, ...]] = {
            "teacher": teacher.layers,
            "lfi": lfi.layers,
            "baseline": layers_of(baseline, self.explanation),
            **{name: peer.layers(self.cards[name]["explanation"]) for name, peer in self.peers.items()},
        }
        if isinstance(teacher, CoCaTeacher):  # a CLIP's own maps are these
            self.layers[DENSE] = (teacher.dense_variant,)
        for model, student in (("lfi", lfi), ("baseline", baseline)):
            for explanation in explanations_of(student):
                self.layers[f"{model}:{explanation}"] = layers_of(student, explanation)
        for name, peer in self.peers.items():
            for explanation in peer.explanations:
                self.layers[f"{name}:{explanation}"] = peer.layers(explanation)
        last = {name: len(layers) - 1 for name, layers in self.layers.items() if name not in MODELS}
        self.default_layer = {name: int(layer) for name, layer in {**last, **card["default_layer"]}.items()}
        for name, layer in self.default_layer.items():
            if name not in self.layers:
                raise CheckpointError(f"{self.name}: default layer of {name!r}, which it cannot be asked for")
            if not 0 <= layer < len(self.layers[name]):
                raise CheckpointError(
                    f"{self.name}: default layer {layer} of {name}; 0 to {len(self.layers[name]) - 1} exist"
                )
        self._alone = threading.Lock()  # maps are read by hooks, which would hear another thread's pass as well
        self._phrase_embeddings = teacher.embed_texts(self.phrases)
        self._traces = self.explanation == "gradient" and traceable(self.baseline)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Trio:
        """A trio from its folder.

        Raises:
            UnknownModelError: there is no such folder.
            CheckpointError: a part is missing, unreadable or does not fit.
        """
        folder = Path(folder)
        if not (folder / "card.json").is_file():
            raise UnknownModelError(f"{folder} holds no card.json, so it is no trio; `lfi trio` makes one")
        try:
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
            teacher = load_teacher(folder / "teacher", device=device)
            lfi, baseline = (Student.load(folder / part / "student.safetensors").to(device) for part in MODELS[1:])
            for name in card.get("peers", {}):
                check_name(name, MODELS)
            peers = {name: load_peer(str(folder / PEERS / name), device) for name in card.get("peers", {})}
            return cls(teacher, lfi, baseline, card, peers)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{folder / 'card.json'} is not a trio's card: {error!r}") from error

    def _peer_cards(self) -> dict[str, dict[str, Any]]:
        """What is known of every peer, with the explanation that it shows."""
        cards = {}
        for name, peer in self.peers.items():
            cards[name] = {"explanation": peer.explanation, **peer.about, **self.card.get("peers", {}).get(name, {})}
            if cards[name]["explanation"] not in peer.explanations:
                raise CheckpointError(
                    f"{self.name}: explanation of {name} is {cards[name]['explanation']!r}; "
                    f"one of {', '.join(peer.explanations)} was expected"
                )
        return cards

    def squash(self, image: Image.Image) -> Image.Image:
        """The few pixels that all models read, where they read the same ones; else the image as it is."""
        side = (self.teacher.image_size,) * 2
        students = (self.lfi, self.baseline, *(peer.student for peer in self.peers.values()))
        if any(student.image_size != side for student in students):
            return image
        return image.convert("RGB").resize(side, Image.Resampling.BICUBIC)

    def encode(self, image: Image.Image) -> EncodedTrio:
        """Run the image once through the three models."""
        return self.encode_all([image])[0]

    def encode_all(self, images: Sequence[Image.Image]) -> list[EncodedTrio]:
        """Run some images together, in one forward pass of each model: on most machines quicker than one by one."""
        with self._alone:
            return self._encode(images)

    @torch.no_grad()
    def _encode(self, images: Sequence[Image.Image]) -> list[EncodedTrio]:
        device, clock = self._phrase_embeddings.device, _Clock(len(images))
        images = [self.squash(image) for image in images]
        teacher = self.teacher.project(self.teacher.encode(self.teacher.preprocess(images).to(device)))
        clock.stop("teacher")
        read = self.lfi.preprocess(images).to(device)
        (_, queries), layers, _ = self.lfi.run(read)
        assert self.lfi.name is not None
        assert queries is not None
        names = F.normalize(self.lfi.name(queries).float(), dim=-1)
        attended = torch.stack(layers, 1).transpose(2, 3)
        clock.stop("lfi")
        pixels = self.baseline.preprocess(images).to(device)
        traced = trace(self.baseline, pixels) if self._traces else None
        clock.stop("baseline")
        seen = {"lfi": read, "baseline": pixels}
        seen |= {name: peer.preprocess(images).to(device) for name, peer in self.peers.items()}
        return [
            EncodedTrio(
                teacher.image(index),
                attended[index : index + 1],
                names[index],
                {model: each[index : index + 1] for model, each in seen.items()},
                None if traced is None else (traced, index),
                clock.seconds,
            )
            for index in range(len(images))
        ]

    def question(
        self,
        words: Sequence[str],
        models: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        heads: bool = False,
    ) -> Question:
        """A question that these models can answer. The arguments are those of `Question`.

        Raises:
            WordsError: no word, an empty one, or one that is too long.
            UnknownWordError: a word outside a small vocabulary, or outside the classes of a peer that is asked.
            UnknownModelError: a model or an explanation that this trio does not have.
            ConfigError: a layer that a model asked for does not have.
        """
        words = tuple(" ".join(word.split()) for word in words)
        if not words or not all(words):
            raise WordsError("no word was given" if not words else "a word is empty")
        if not models:
            raise UnknownModelError(f"no model is asked for; there are: {', '.join(self.layers)}")
        self.ordered(models)
        for model in models:
            wrong = [layer for layer in layers or () if not 0 <= layer < len(self.layers[model])]
            if wrong:
                raise ConfigError(f"{model} has no layer {wrong[0]}; it has 0 to {len(self.layers[model]) - 1}")
        if heads and "teacher" in models and not self.teacher.heads:
            raise ConfigError(f"{self.teacher.name} has no heads to show: its maps are dense similarity, not attention")
        self._check_words(words, models)
        return Question(words, tuple(dict.fromkeys(models)), None if layers is None else tuple(layers), heads)

    def ordered(self, models: Sequence[str]) -> tuple[str, ...]:
        """What is asked for in the order in which it is shown; `MODELS` where nothing is.

        Raises:
            UnknownModelError: a model or an explanation that this trio does not have.
        """
        unknown = [model for model in models if model not in self.layers]
        if unknown:
            raise UnknownModelError(f"no model {', '.join(map(repr, unknown))}; there are: {', '.join(self.layers)}")
        return tuple(model for model in self.layers if model in models) or MODELS

    def compare(
        self,
        image: Image.Image | EncodedTrio,
        words: Sequence[str],
        models: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        heads: bool = False,
    ) -> Comparison:
        """Where each model looks for each word. Arguments and errors are those of `question`."""
        question = self.question(words, models, layers, heads)
        encoded = image if isinstance(image, EncodedTrio) else self.encode(image)
        return self.compare_all([encoded], [question])[0]

    def compare_all(self, images: Sequence[EncodedTrio], questions: Sequence[Question]) -> list[Comparison]:
        """Answer one question about each of some images, together: one forward pass of each model for all words."""
        with self._alone:
            return self._compare(images, questions)

    @torch.no_grad()
    def _compare(self, images: Sequence[EncodedTrio], questions: Sequence[Question]) -> list[Comparison]:
        embeddings = self.teacher.embed_texts([word for question in questions for word in question.words])
        own = embeddings.split([len(question.words) for question in questions])
        addressed = [
            self._address(image, question.words, words) if "lfi" in question.models else ()
            for image, question, words in zip(images, questions, own, strict=True)
        ]
        clock = _Clock(len(questions))
        found = [dict.fromkeys(question.models) for question in questions]  # maps to be, in the order asked
        self._ask_teacher(images, questions, found)
        clock.stop("teacher")
        self._ask_baseline(images, questions, own, found)
        clock.stop("baseline")
        return [self._comparison(*each, clock) for each in zip(images, questions, own, addressed, found, strict=True)]

    @torch.inference_mode()
    def _ask_teacher(
        self,
        images: Sequence[EncodedTrio],
        questions: Sequence[Question],
        found: Sequence[dict[str, InteractionMaps | None]],
    ) -> None:
        """Fill in the teacher's maps where they are wanted; questions with and without heads go through it apart."""
        for heads in (False, True):
            asked = [i for i, each in enumerate(questions) if "teacher" in each.models and each.heads == heads]
            if not asked:
                continue
            together = EncodedImages.cat([images[index].teacher for index in asked])
            words = [questions[index].words for index in asked]
            if isinstance(self.teacher, CoCaTeacher):
                maps = self.teacher.interactions_for(together, words, heads=heads)
            else:  # `question` lets no heads through
                maps = self.teacher.interactions_for(together, words)
            for row, index in enumerate(asked):
                count = len(questions[index].words) * (self.teacher.heads if heads else 1)
                alone = maps.image(row)
                # the rest is padding
                found[index]["teacher"] = alone if len(maps.queries[0]) == count else alone.select(queries=range(count))

    @torch.inference_mode()
    def _ask_baseline(
        self,
        images: Sequence[EncodedTrio],
        questions: Sequence[Question],
        embeddings: Sequence[Tensor],
        found: Sequence[dict[str, InteractionMaps | None]],
    ) -> None:
        """Fill in the baseline's maps where they are wanted and its forward pass was kept."""
        asked = [index for index, question in enumerate(questions) if "baseline" in question.models]
        traces = [each for index in asked if (each := images[index].trace) is not None]
        if not traces:
            return
        words = nn.utils.rnn.pad_sequence([embeddings[index] for index in asked], batch_first=True)
        scores = relevance(self.baseline, Trace.of(traces), words)
        for row, index in enumerate(asked):
            question = questions[index]
            own = scores[row : row + 1, :, : len(question.words)]
            found[index]["baseline"] = gradient_maps(
                own, self.baseline, question.words, heads=question.heads, model=self._label("baseline")
            )

    def _comparison(
        self,
        image: EncodedTrio,
        question: Question,
        embeddings: Tensor,
        addressed: tuple[Address, ...],
        found: dict[str, InteractionMaps | None],
        clock: _Clock,
    ) -> Comparison:
        """One answer: the maps that were found together, and those that are found alone."""
        maps: dict[str, InteractionMaps] = {}
        seconds: dict[str, float] = {}
        words, layers = question.words, question.layers
        for model, given in found.items():
            start = time.perf_counter()
            if given is not None:
                each = given
            elif model == DENSE:
                each = self.teacher.dense(image.teacher, words)
            elif model == "lfi":
                each = self._lfi(image, [address.query for address in addressed], words, question.heads)
            else:
                each = self._explained(model, image, words, embeddings, question.heads)
            maps[model] = (each if layers is None else each.select(layers=layers)).cpu()
            together = 0.0 if given is None else clock.seconds[model]
            seconds[model] = image.seconds.get(model, 0.0) + together + time.perf_counter() - start
        return Comparison(
            words=words,
            maps=maps,
            default_layer={model: self._shown(model, layers) for model in maps},
            queries=self._queries(image, layers).cpu() if "lfi" in maps else None,
            addressed=addressed,
            named=self._named(image) if "lfi" in maps else (),
            seconds=seconds,
        )

    def _check_words(self, words: Sequence[str], models: Sequence[str]) -> None:
        """As the teacher and the peers that are asked do, but the teacher suggests words that show something."""
        try:
            self.teacher.check_prompts(words)
        except UnknownWordError as error:
            raise UnknownWordError(
                {word: difflib.get_close_matches(word, self.vocabulary, 3, cutoff=0) for word in error.words}
            ) from None
        for answer in models:
            model = model_of(answer)
            if model in self.peers and self._shows(answer) not in WORDLESS:
                try:
                    self.peers[model].check(words)
                except UnknownWordError as error:
                    raise UnknownWordError(error.nearest, peer=model) from None

    def _shows(self, answer: str) -> str:
        """The explanation behind an answer of the baseline or of a peer, where none is named as well."""
        model, _, explanation = answer.partition(":")
        return explanation or (self.cards[model]["explanation"] if model in self.peers else self.explanation)

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
        weights = encoded.attended[:, :, :, list(rows)]
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
            model=self._label("lfi"),
        )

    def _explained(
        self, answer: str, encoded: EncodedTrio, words: Sequence[str], embeddings: Tensor, heads: bool
    ) -> InteractionMaps:
        """What an explanation of a student or of a peer shows: the one that is named, or the model's own."""
        model, explanation = model_of(answer), self._shows(answer)
        if model in self.peers:
            peer, label = self.peers[model], self._label(model)
            return peer.explain(explanation, encoded.pixels[model], words, heads=heads, model=label)
        return explain(
            self.lfi if model == "lfi" else self.baseline,
            explanation,
            encoded.pixels[model],
            words,
            embeddings,
            heads=heads,
            model=self._label(model),
        )

    def _label(self, model: str) -> str:
        """`name@fingerprint`, as `InteractionMaps.model` has it."""
        return f"{self.name} {model}@{self.fingerprints[model]}"

    def _queries(self, encoded: EncodedTrio, layers: Sequence[int] | None) -> InteractionMaps:
        count = encoded.attended.shape[3]
        maps = self._lfi(encoded, range(count), [f"query {query + 1}" for query in range(count)], heads=False)
        return maps if layers is None else maps.select(layers=layers)


class _Clock:
    """Seconds since the last stop, by what was done, shared among the images of a batch."""

    def __init__(self, images: int):
        self.seconds: dict[str, float] = {}
        self._images = images
        self._since = time.perf_counter()

    def stop(self, model: str) -> None:
        now = time.perf_counter()
        self.seconds[model] = (now - self._since) / self._images
        self._since = now
