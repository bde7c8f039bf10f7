"""Models that write, as peers: where the words of BLIP and of LLaVA look while they are written.

`lfi.teachers.writers` says how that is read. `described` does the same with what the model writes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lfi.errors import WordsError
from lfi.maps import InteractionMaps
from lfi.peers.peer import Peer
from lfi.teachers.checkpoints import fingerprint_of
from lfi.teachers.content import STOP_WORDS
from lfi.teachers.subwords import spelled
from lfi.teachers.writerfiles import load_writer, normalisation
from lfi.teachers.writers import FAMILIES, Writer

_ATTENTION = "cross-attention"


@dataclass(frozen=True, eq=False)
class GenerativePeer(Peer):
    """A BLIP or a LLaVA.

    Attributes:
        writer: the model and its tokeniser.
    """

    writer: Any = None

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
        tokens = self.writer.look(images)
        for own, text in zip(tokens.split(1), self.writer.write(tokens), strict=True):
            spans = [(begin, end) for word, begin, end in spelled(text) if word not in STOP_WORDS]
            names = [text[begin:end] for begin, end in spans]
            rows = self.writer.read(own, [text], [[end for _, end in spans]]) if spans else None
            found.append((text, None if rows is None else self._maps(rows, names, model)))
        return found

    def _layers(self, explanation: str) -> tuple[str, ...]:
        return tuple(f"decoder layer {number}" for number in range(1, self.writer.layers + 1))

    @torch.no_grad()
    def _explain(
        self, explanation: str, images: Tensor, words: Sequence[str], embeddings: Tensor, heads: bool, model: str
    ) -> InteractionMaps:
        tokens = self.writer.look(images).repeat_interleave(len(words), 0)
        answers = [*words] * len(images)
        rows = self.writer.read(tokens, answers, [[len(answer)] for answer in answers])
        return self._maps(rows[:, :, 0].unflatten(0, (len(images), len(words))).transpose(1, 2), words, model)

    def _maps(self, rows: Tensor, words: Sequence[str], model: str) -> InteractionMaps:
        return InteractionMaps.from_scores(
            rows,
            grid=(self.writer.side, self.writer.side),
            queries=[list(words)] * len(rows),
            layers=self._layers(_ATTENTION),
            kind=_ATTENTION,
            model=model,
            prefix=1,
        )


def load_generative(folder: Path, family: str, name: str, device: str, write: Any) -> GenerativePeer:
    """A BLIP or a LLaVA from a folder that transformers wrote.

    Args:
        write: puts it into another folder.

    Raises:
        UnsupportedModelError, CheckpointError: as `load_writer`.
    """
    writer: Writer = load_writer(folder, family, name, device)
    model = writer.model
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in normalisation(folder))
    size = int(model.config.vision_config.image_size)
    about = {
        "title": name,
        "kind": FAMILIES[family],
        "summary": "A model that writes; a word's map is its decoder's attention to the image where it has written the "
        "word. It takes any word.",
        "parameters": sum(each.numel() for each in model.parameters()),
    }
    return GenerativePeer(model, (size, size), mean, std, about, fingerprint_of(model), write, writer=writer)
