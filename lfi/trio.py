"""A trio: the teacher, a student of its interactions, and the best student of its results alone, asked about one image.

Besides the three, each can be asked for another explanation by name, such as `baseline:rollout`.

A trio is a folder: `card.json`, `teacher/` (as open_clip reads it), `lfi/student.safetensors` and
`baseline/student.safetensors`. Its `peers/NAME/` hold third-party models, which can be asked as well as the three.
"""

from __future__ import annotations

import difflib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lfi.answerers import Answer, Answerer, Encoded, line_up
from lfi.cards import check_explanation, check_student, default_layers, peer_cards
from lfi.comparison import MODELS, Comparison, EncodedTrio, Question, assemble, model_of
from lfi.errors import CheckpointError, ConfigError, UnknownModelError, UnknownWordError, WordsError, excerpt
from lfi.hub import local_folder, pretrained
from lfi.peers import Peer, check_name, load_peer
from lfi.presence import read_presence
from lfi.seen import Sightings
from lfi.students import Student
from lfi.students.explanations import explanations_of
from lfi.teachers import BaseTeacher, load_teacher
from lfi.teachers.checkpoints import fingerprint_of
from lfi.teachers.names import NameTokenizer
from lfi.upright import upright_rgb

PEERS = "peers"


class Trio:
    """A card and the answerers that it describes. Threads may ask; one is answered at a time.

    Args:
        teacher: reads words; its text space names the students' queries.
        lfi: a student with queries and names.
        baseline: a student that projects into the teacher's space.
        card: `name`, `explanation` (the baseline's own, one of `EXPLANATIONS`), `default_layer` per model (and for any
            other answer, whose last layer is shown otherwise), `phrases` that name queries, `vocabulary` that people
            can type (empty where any word will do), `models`, a card per model, and `peers`, a card per peer, which may
            say what `explanation` it shows.
        peers: third-party models, by the names under which they are requested.

    Attributes:
        answerers: everything that can be asked, by name, in display order: the models by their names, other
            explanations of one as `baseline:rollout`.
        models: names of the models, the three and their peers.
        layers: names of the layers of every answer, in the same order.
        default_layer: the layer of each answer that is shown first.
    """

    def __init__(
        self,
        teacher: BaseTeacher,
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
        check_explanation(self.name, "", self.explanation, explanations_of(baseline))
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
        said = {**card["models"], **peer_cards(card, self.peers)}
        self.cards: dict[str, dict[str, Any]] = {
            model: {**said[model], "fingerprint": self.fingerprints[model]} for model in self.models
        }
        self.answerers: dict[str, Answerer[Any]] = line_up(
            teacher,
            lfi,
            baseline,
            self.explanation,
            phrases=self.phrases,
            peers={name: (peer, self.cards[name]["explanation"]) for name, peer in self.peers.items()},
            labels={model: f"{self.name} {model}@{fingerprint}" for model, fingerprint in self.fingerprints.items()},
        )
        self.presence = read_presence(card)
        for name, answerer in self.answerers.items():
            answerer.judges = model_of(name) in self.presence
        judge = self.presence.get("teacher")
        self._sightings = None if judge is None else Sightings(teacher, self.vocabulary, judge)
        self.layers = {name: answerer.layers for name, answerer in self.answerers.items()}
        self.default_layer = default_layers(card, self.layers)
        self._alone = threading.Lock()  # maps are read by hooks, which would hear another thread's pass as well

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Trio:
        """A trio from its folder, or from `hf-hub:ORG/NAME`.

        Raises:
            UnknownModelError: there is no such folder.
            CheckpointError: a part is missing, unreadable or does not fit.
        """
        folder = local_folder(folder)
        if not (folder / "card.json").is_file():
            raise UnknownModelError(f"{folder} has no card.json, so it is not a trio; `lfi trio` makes one")
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

    @classmethod
    def from_pretrained(cls, name: str | Path, device: str = "cpu") -> Trio:
        """A trio from its folder or from a repository of the Hugging Face hub, `ORG/NAME`.

        Raises:
            UnknownModelError, CheckpointError: as `load`, or it cannot be fetched.
        """
        return cls.load(pretrained(name), device)

    def squash(self, image: Image.Image) -> Image.Image:
        """The image at the size that all models read, where that is one size; else the image as it is."""
        sizes = {self.answerers[model].image_size for model in self.models}
        if len(sizes) > 1:
            return image
        height, width = sizes.pop()
        return upright_rgb(image).resize((width, height), Image.Resampling.BICUBIC)

    def encode(self, image: Image.Image) -> EncodedTrio:
        """Run the image once through every model."""
        return self.encode_all([image])[0]

    def encode_all(self, images: Sequence[Image.Image]) -> list[EncodedTrio]:
        """Run several images together, in one forward pass of each model: usually faster than one by one."""
        images = [self.squash(image) for image in images]
        found: list[dict[str, Encoded]] = [{} for _ in images]
        seconds: dict[str, float] = {}
        with self._alone:
            for model in self.models:
                start, answerer = time.perf_counter(), self.answerers[model]
                for own, encoded in zip(found, answerer.encode(answerer.preprocess(images)), strict=True):
                    own[model] = encoded
                seconds[model] = (time.perf_counter() - start) / len(images)
        return [EncodedTrio(own, seconds) for own in found]

    def question(
        self,
        words: Sequence[str],
        models: Sequence[str] = MODELS,
        layers: Sequence[int] | None = None,
        heads: bool = False,
    ) -> Question:
        """A question that these models can answer. The arguments are those of `Question`; what is repeated counts once.

        Raises:
            WordsError: no word, an empty one, or one that is too long.
            UnknownWordError: a word outside a small vocabulary, or outside the classes of a peer that is asked.
            UnknownModelError: a model or an explanation that this trio does not have.
            ConfigError: a layer that a model asked for does not have, or single heads of one without any.
        """
        words = tuple(" ".join(word.split()) for word in words)
        if not words or not all(words):
            raise WordsError("no word was given" if not words else "a word is empty")
        if not models:
            raise UnknownModelError(f"no model was asked for; there are: {', '.join(self.layers)}")
        self.ordered(models)
        layers = None if layers is None else tuple(dict.fromkeys(layers))
        for model in models:
            wrong = [layer for layer in layers or () if not 0 <= layer < len(self.layers[model])]
            if wrong:
                raise ConfigError(f"{model} has no layer {wrong[0]}; it has 0 to {len(self.layers[model]) - 1}")
        try:
            self.teacher.check_prompts(words)
        except UnknownWordError as error:
            if isinstance(self.teacher.tokenizer, NameTokenizer):  # it knows what is nearest in meaning
                raise
            # of words like these, those that show something
            near = {word: difflib.get_close_matches(word, self.vocabulary, 3, cutoff=0) for word in error.words}
            raise UnknownWordError(near) from None
        for model in models:
            self.answerers[model].check(words, heads)
        return Question(words, tuple(dict.fromkeys(models)), layers, heads)

    def ordered(self, models: Sequence[str]) -> tuple[str, ...]:
        """The requested answers in display order; `MODELS` where none is requested.

        Raises:
            UnknownModelError: a model or an explanation that this trio does not have.
        """
        unknown = [model for model in models if model not in self.layers]
        if unknown:
            raise UnknownModelError(
                f"there is no model {excerpt(', '.join(map(repr, unknown)))}; there are: {', '.join(self.layers)}"
            )
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
        answers: list[dict[str, Answer]] = [{} for _ in questions]
        seconds: list[dict[str, float]] = [{} for _ in questions]
        with self._alone:
            # in one run of the text tower, which remembers them for whoever asks
            self.teacher.embed_texts([word for question in questions for word in question.words])
            for name, heads in dict.fromkeys((name, each.heads) for each in questions for name in each.models):
                start, model = time.perf_counter(), model_of(name)
                asked = [i for i, each in enumerate(questions) if name in each.models and each.heads == heads]
                found = self.answerers[name].answer(
                    [images[i].images[model] for i in asked], [questions[i].words for i in asked], heads
                )
                taken = (time.perf_counter() - start) / len(asked)
                for i, answer in zip(asked, found, strict=True):
                    answers[i][name], seconds[i][name] = answer, images[i].seconds.get(name, 0.0) + taken
        return [
            assemble(*each, self.default_layer, self.presence) for each in zip(questions, answers, seconds, strict=True)
        ]

    @property
    def judges(self) -> bool:
        """Whether the teacher can say which words of the vocabulary it sees."""
        return self._sightings is not None

    def seen(self, encoded: EncodedTrio, count: int = 5) -> tuple[tuple[str, float], ...]:
        """What the teacher sees most in an image: words of the vocabulary and the probability of each.

        Likely specific names come before their hypernyms. Empty where the teacher was not calibrated, or where any word
        can be asked.
        """
        if self._sightings is None:
            return ()
        with self._alone:
            return self._sightings.of(encoded.images["teacher"], count)  # type: ignore[arg-type]
