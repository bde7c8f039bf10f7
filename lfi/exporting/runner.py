"""Runs an exported student: `python -m lfi.exporting.runner FOLDER IMAGE --word star`.

It needs NumPy, Pillow and onnxruntime. The folder may be copied to a machine without torch, and this file and
`lfi/upright.py` with it, side by side: it imports nothing else of LFI.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

try:
    from lfi.upright import upright_rgb
except ImportError:  # copied
    from upright import upright_rgb  # type: ignore[import-not-found, no-redef]

GRAPH, ABOUT, WORDS = "student.onnx", "student.json", "words.npz"


class OnnxStudent:
    """An exported student.

    Args:
        folder: as `lfi.exporting.student.export` writes it.

    Attributes:
        about: `name`, `fingerprint`, `image_size`, `layers`, `grid`.
        words: that it can be asked for, with their embeddings.
        phrases: embeddings of those among which queries and patches speak to a word.

    Raises:
        ImportError: onnxruntime is not installed.
        FileNotFoundError: there is no exported student.
    """

    def __init__(self, folder: str | Path):
        import onnxruntime

        folder = Path(folder)
        self.about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(str(folder / GRAPH), providers=["CPUExecutionProvider"])
        self.words: dict[str, np.ndarray] = {}
        self.phrases = np.zeros((0, 0), np.float32)
        if (folder / WORDS).is_file():
            with np.load(folder / WORDS) as arrays:
                self.words = dict(zip(arrays["words"].tolist(), arrays["embeddings"], strict=True))
                self.phrases = arrays.get("phrases", self.phrases)

    def preprocess(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Images squashed to the model's size, float32 `[batch, 3, height, width]`."""
        height, width = self.about["image_size"]
        small = [upright_rgb(image).resize((width, height), Image.Resampling.BICUBIC) for image in images]
        values = np.stack([np.asarray(image, np.float32) for image in small]).transpose(0, 3, 1, 2) / 255
        return ((values - self.about["mean"]) / self.about["std"]).astype(np.float32)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs by name, of images as from `preprocess`."""
        names = self.about["outputs"]
        return dict(zip(names, self.session.run(names, {"images": images}), strict=True))

    def maps(self, image: Image.Image, words: Sequence[str]) -> tuple[np.ndarray, list[int], list[float]]:
        """Maps of words `[layer, word, row, column]`, the query nearest to each, and how near it is.

        As the student itself is read: a word's map is that of its query, or of one whose patches have names what all
        queries look at, each as much as it speaks to the word, times how much each patch does.

        Raises:
            KeyError: a word that is not among `words`; names the nearest.
        """
        for word in words:
            if word not in self.words:
                near = ", ".join(difflib.get_close_matches(word, self.words, 3, cutoff=0))
                raise KeyError(f"the exported vocabulary has no {word!r} (nearest: {near or 'it is empty'})")
        found = self.run(self.preprocess([image]))
        asked = np.stack([self.words[word] for word in words])
        nearness = asked @ found["names"][0].T
        query = nearness.argmax(1)
        maps = found["maps"][0]
        if "patches" in found:
            maps = self._both_ways(maps, found["names"][0], found["patches"][0], asked)
        else:
            maps = maps[:, query]
        return maps, query.tolist(), nearness.max(1).tolist()

    def _both_ways(self, maps: np.ndarray, names: np.ndarray, patches: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Maps of words, of those of queries: the arithmetic of `lfi.answerers.queries`."""
        share = self._log_share(names, asked)
        looks = np.exp(share - share.max(1, keepdims=True))
        looks /= looks.sum(1, keepdims=True)
        flat = maps.reshape(*maps.shape[:2], -1)
        weights = looks @ flat * np.exp(self._log_share(patches, asked))
        total = weights.sum(-1, keepdims=True)
        tiny = np.finfo(np.float32).tiny
        shares = np.where(total > tiny, weights / np.maximum(total, tiny), 1 / flat.shape[-1])
        return shares.reshape(len(maps), len(asked), *maps.shape[2:]).astype(np.float32)

    def _log_share(self, names: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Log of how much queries or patches speak to each word, of all phrases, `[word, name]`."""
        temperature = self.about["temperature"]
        scores = asked @ names.T / temperature
        if not len(self.phrases):
            return scores
        every = names @ self.phrases.T / temperature
        most = every.max(1)
        return scores - (most + np.log(np.exp(every - most[:, None]).sum(1)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Where an exported LFI student looks for words.")
    parser.add_argument("folder", type=Path, help="as `lfi export` writes it")
    parser.add_argument("image", type=Path)
    parser.add_argument("--word", action="append", required=True, help="repeat it for more")
    parser.add_argument("--out", type=Path, default=Path("maps.npz"))
    given = parser.parse_args(arguments)
    try:
        student = OnnxStudent(given.folder)
        with Image.open(given.image) as image:
            maps, queries, nearness = student.maps(image, given.word)
    except (OSError, ImportError, KeyError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error.args[0] if isinstance(error, KeyError) else error}\n")
    np.savez(given.out, maps=maps, words=np.array(given.word), layers=np.array(student.about["layers"]))
    for word, query, near in zip(given.word, queries, nearness, strict=True):
        print(f"{word}: query {query + 1}, nearness {near:.2f}")
    print(given.out)


if __name__ == "__main__":
    main()
