"""A peer: its maps, and the words it knows."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from lfi.errors import ConfigError, UnknownWordError, UnsupportedModelError
from lfi.images import MEAN, STD, pixels
from lfi.maps import InteractionMaps
from lfi.students import Student
from lfi.students.explanations import EXPLANATIONS, WORDLESS, explain, layers_of
from lfi.teachers import ClipTeacher

NAMES = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
"""What a peer can be called."""
PREFERRED = ("dense-similarity", "layer-cam", "self-attention")
"""What a peer shows when it is asked for by its name alone: the first of these that it can give."""


class Classifier(Student):
    """A student whose words are classes: a word is scored by its logit, which is not normalised."""

    def project(self, features: Tensor) -> Tensor:
        """Logits `[..., class]`."""
        assert self.embed is not None
        return self.embed(features)


@dataclass(frozen=True, eq=False)
class Peer(ABC):
    """Another model and what it shows. `load_peer` makes one: a `StudentPeer` or a `FeaturePeer`.

    Attributes:
        module: the network; `image_size`: height and width of its input, in pixels.
        mean, std: of the RGB channels (0 to 1), as in its training, `[3, 1, 1]`.
        about: what its card says by default: `title`, `kind`, `summary`, `parameters`.
        fingerprint: of its weights.
        write: puts it into a folder that `load_peer` reads.
        clip: the whole CLIP, if it is one.
        classes: numbers of a classifier's classes by their names, lower case.
    """

    module: nn.Module
    image_size: tuple[int, int]
    mean: Tensor
    std: Tensor
    about: Mapping[str, Any]
    fingerprint: str
    write: Callable[[Path], None]
    clip: ClipTeacher | None = None
    classes: Mapping[str, int] | None = None

    @property
    @abstractmethod
    def explanations(self) -> tuple[str, ...]:
        """What it can be explained by, of `lfi.maps.KINDS`."""

    @property
    def explanation(self) -> str:
        """What it shows where none is named."""
        return next((each for each in PREFERRED if each in self.explanations), self.explanations[0])

    @property
    def scores_words(self) -> bool:
        """Whether it can say how much of a word is in an image."""
        return self.clip is not None or bool(self.classes)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.module.parameters()).device

    def layers(self, explanation: str) -> tuple[str, ...]:
        """Names of the layers of an explanation."""
        if explanation == "dense-similarity":
            assert self.clip is not None
            return self.clip.layers
        return self._layers(explanation)

    def preprocess(self, images: Sequence[Image.Image]) -> Tensor:
        """Images as the model expects them, float32 `[batch, 3, height, width]`; the whole image stays visible."""
        return self.read(pixels(images, self.image_size))

    def read(self, images: Tensor) -> Tensor:
        """The same of images that are normalised as `lfi.images` does, and of the right size."""
        return (images * STD + MEAN - self.mean.to(images)) / self.std.to(images)

    def check(self, words: Sequence[str]) -> None:
        """Refuse words that it does not know.

        Raises:
            UnknownWordError: names the nearest that it knows.
            WordsError: as a teacher's `check_prompts`.
        """
        if self.clip is not None:
            self.clip.check_prompts(words)
        elif self.classes is not None:
            known = list(self.classes)
            unknown = [word for word in words if word.lower() not in self.classes]
            if unknown:
                raise UnknownWordError({word: difflib.get_close_matches(word, known, 3, cutoff=0) for word in unknown})

    def embed(self, words: Sequence[str]) -> Tensor:
        """Words where the model scores them: unit-norm embeddings, or classes one-hot, `[word, dim]`."""
        if self.clip is not None:
            return self.clip.embed_texts(words)
        if self.classes is None:
            return torch.zeros(len(words), 0, device=self.device)
        rows = torch.tensor([self.classes[word.lower()] for word in words], dtype=torch.int64, device=self.device)
        return nn.functional.one_hot(rows, self._outputs()).float()

    @abstractmethod
    def project(self, images: Tensor) -> Tensor:
        """Images where words are compared: unit-norm embeddings, or logits, `[batch, dim]`.

        Args:
            images: as from `preprocess`.
        """

    def explain(
        self, explanation: str, images: Tensor, words: Sequence[str], *, heads: bool = False, model: str = "peer"
    ) -> InteractionMaps:
        """Maps for words, as `lfi.students.explanations.explain` gives them.

        Args:
            explanation: one of `explanations`.
            images: `[batch, 3, height, width]`, as from `preprocess`.
            model: `name@fingerprint` of the maps.

        Raises:
            UnsupportedModelError: for an explanation that it cannot give.
            UnknownWordError, WordsError: as `check`, where the explanation depends on the words.
        """
        if explanation not in self.explanations:
            possible = ", ".join(self.explanations)
            raise UnsupportedModelError(f"this peer cannot be explained by {explanation!r}; it can be by {possible}")
        if explanation not in WORDLESS:
            self.check(words)
        if explanation == "dense-similarity":
            assert self.clip is not None
            return replace(self.clip.dense(images, words), model=model)
        embeddings = self.embed(words if explanation not in WORDLESS else ())
        return self._explain(explanation, images, words, embeddings, heads, model)

    @abstractmethod
    def _outputs(self) -> int:
        """Classes of a classifier."""

    @abstractmethod
    def _layers(self, explanation: str) -> tuple[str, ...]:
        """As `layers`, of what the module itself is explained by."""

    @abstractmethod
    def _explain(
        self, explanation: str, images: Tensor, words: Sequence[str], embeddings: Tensor, heads: bool, model: str
    ) -> InteractionMaps:
        """As `explain`, with the words embedded."""


@dataclass(frozen=True, eq=False)
class StudentPeer(Peer):
    """A plain vision transformer that reads out its class token, explained as a student is: by all there is."""

    @property
    def student(self) -> Student:
        """The image tower."""
        assert isinstance(self.module, Student)
        return self.module

    @property
    def explanations(self) -> tuple[str, ...]:
        if self.clip is not None:
            return EXPLANATIONS
        return tuple(each for each in EXPLANATIONS if each in WORDLESS or (self.classes and each != "dense-similarity"))

    def project(self, images: Tensor) -> Tensor:
        return self.student.project(self.student(images).features)

    def _outputs(self) -> int:
        assert self.student.embed is not None
        return self.student.embed.out_features

    def _layers(self, explanation: str) -> tuple[str, ...]:
        return layers_of(self.student, explanation)

    def _explain(
        self, explanation: str, images: Tensor, words: Sequence[str], embeddings: Tensor, heads: bool, model: str
    ) -> InteractionMaps:
        return explain(self.student, explanation, images, words, embeddings, heads=heads, model=model)


def check_name(name: str, taken: Sequence[str]) -> None:
    """Refuse an invalid name for a peer.

    Raises:
        ConfigError: it is taken, or holds other characters than lower-case letters, digits and dashes.
    """
    if name in taken or not NAMES.fullmatch(name):
        raise ConfigError(
            f"a peer cannot be called {name!r}; use lower-case letters, digits and dashes, and a name "
            f"other than {', '.join(taken)}"
        )
